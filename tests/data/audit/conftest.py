"""Clean rows, and an audit of rows in one call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from auditing_rows import make_clean_rows

from palate.data import stream_records
from palate.data.audit import Audit, audit_source
from palate.recipe import SourceOptions

AuditRows = Callable[..., Audit]


@pytest.fixture
def clean_rows() -> list[dict[str, str]]:
    """Sixty pairs that no check has anything to say about."""
    return make_clean_rows(60)


@pytest.fixture
def audit_rows(tmp_path: Path) -> AuditRows:
    """Audit rows; `against` are held-out rows. The files are train.jsonl and eval.jsonl."""

    def _write(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    def _audit(
        rows: Sequence[Mapping[str, Any]], against: Sequence[Mapping[str, Any]] | None = None, **how: Any
    ) -> Audit:
        train = stream_records(SourceOptions(source=_write("train.jsonl", rows)))
        held_out = None
        if against is not None:
            held_out = stream_records(SourceOptions(source=_write("eval.jsonl", against)))
        return audit_source(train, held_out, **how)

    return _audit
