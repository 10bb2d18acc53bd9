"""Any preference data in, records out: nothing dropped silently, nothing fatal about one bad row."""

from palate.data.comparisons import read_comparisons, write_comparisons
from palate.data.converting import Conversion, convert_source
from palate.data.documents import read_documents
from palate.data.documents.extracts import Extracts, make_extracts
from palate.data.inspection import inspect_source
from palate.data.judgeable import Judgeable, blind, read_judgeable
from palate.data.kinds import Kind, Record, records_as
from palate.data.layouts import LAYOUTS
from palate.data.pairing import PairRule
from palate.data.prompts import read_prompts
from palate.data.reading import RecordSet, RecordStream, read_records, stream_records
from palate.data.references import read_references
from palate.data.split import split_by_prompt
from palate.data.verdicts import read_verdicts, write_verdicts
from palate.data.votes import VoteFile, read_votes, write_votes
from palate.data.writing import Written, write_records

__all__ = [
    "LAYOUTS",
    "Conversion",
    "Extracts",
    "Judgeable",
    "Kind",
    "PairRule",
    "Record",
    "RecordSet",
    "RecordStream",
    "VoteFile",
    "Written",
    "blind",
    "convert_source",
    "inspect_source",
    "make_extracts",
    "read_comparisons",
    "read_documents",
    "read_judgeable",
    "read_prompts",
    "read_records",
    "read_references",
    "read_verdicts",
    "read_votes",
    "records_as",
    "split_by_prompt",
    "stream_records",
    "write_comparisons",
    "write_records",
    "write_verdicts",
    "write_votes",
]
