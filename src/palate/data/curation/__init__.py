"""Which rows are worth learning from, and which are kept to measure with."""

from palate.data.curation.account import Account, StepAccount
from palate.data.curation.curate import Curation, curate_records
from palate.data.curation.splitting import Split, split_source
from palate.data.curation.writing import write_curation, write_split
from palate.data.curation_options import CurationOptions, SplitOptions

__all__ = [
    "Account",
    "Curation",
    "CurationOptions",
    "Split",
    "SplitOptions",
    "StepAccount",
    "curate_records",
    "split_source",
    "write_curation",
    "write_split",
]
