"""Files as rows, one at a time: what is in them is looked at elsewhere."""

from palate.data.files.opening import FORMATS, format_of, read_file, read_lines

__all__ = ["FORMATS", "format_of", "read_file", "read_lines"]
