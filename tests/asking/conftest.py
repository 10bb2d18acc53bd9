"""A fake server for each test that wants one, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking_scene import quick

from palate.asking import Endpoint, ResponseStore
from running_server import RunningServer, running_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "server.jsonl") as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResponseStore]:
    with ResponseStore(tmp_path / "responses.sqlite3") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def endpoint(server: RunningServer, store: ResponseStore) -> Callable[..., Endpoint]:
    """An endpoint at the fake server; `limits` are those of `quick`."""

    def make(*, limits: dict[str, Any] | None = None, **options: Any) -> Endpoint:
        return Endpoint(server.base_url, store=store, limits=quick(**(limits or {})), **options)

    return make
