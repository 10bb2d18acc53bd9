"""Rows as the bytes of a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def encode(name: str, content: Sequence[Mapping[str, Any]] | str) -> bytes:
    """The rows in the format that the file's name says; text as it is."""
    if isinstance(content, str):
        return content.encode()
    match Path(name).suffix:
        case ".json":
            return json.dumps(content).encode()
        case ".jsonl" | ".ndjson":
            return "".join(json.dumps(row) + "\n" for row in content).encode()
        case ".csv":
            out = io.StringIO(newline="")
            writer = csv.DictWriter(out, list(content[0]))
            writer.writeheader()
            writer.writerows(content)
            return out.getvalue().encode()
        case ".parquet":
            import pyarrow
            import pyarrow.parquet

            sink = io.BytesIO()
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(content)), sink)
            return sink.getvalue()
    raise AssertionError(name)
