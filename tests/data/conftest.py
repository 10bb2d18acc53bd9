"""Files of rows, written by the tests that read them."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from row_files import encode

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write rows, text or bytes under a name; the extension says in which format."""

    def _write(name: str, content: Sequence[Mapping[str, Any]] | str | bytes) -> str:
        data = content if isinstance(content, bytes) else encode(name.removesuffix(".gz"), content)
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return str(path)

    return _write
