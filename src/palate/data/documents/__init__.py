"""Documents: read, cleaned, divided into sentences, and cut into extracts that lose none of them."""

from palate.data.documents.extracts import Extracts, extract_row, make_extracts
from palate.data.documents.reading import read_documents

__all__ = ["Extracts", "extract_row", "make_extracts", "read_documents"]
