"""For every test: one thread, no network, and caches of its own, but for the playground's model.

That model costs a minute to make, so all tests share the machine's, through a link in a home that is
otherwise the test's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

from palate.home import palate_home

if TYPE_CHECKING:
    from running_postgres import RunningPostgres

_MACHINES_PLAYGROUND = palate_home() / "playground"


@pytest.fixture(scope="session", autouse=True)
def _home_of_shared_fixtures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What fixtures of several tests cache is not the machine's either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PALATE_HOME", str(_new_home(tmp_path_factory)))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PALATE_HOME of this test, and of the processes it starts."""
    folder = _new_home(tmp_path_factory)
    monkeypatch.setenv("PALATE_HOME", str(folder))
    return folder


def _new_home(factory: pytest.TempPathFactory) -> Path:
    folder = factory.mktemp("home")
    _MACHINES_PLAYGROUND.mkdir(parents=True, exist_ok=True)
    (folder / "playground").symlink_to(_MACHINES_PLAYGROUND, target_is_directory=True)
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: a random Llama of a few thousand weights with its own small tokenizer."""
    from tiny_run import write_base

    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[RunningPostgres]:
    """A PostgreSQL server of the tests' own."""
    from running_postgres import postgres_programs, running_postgres

    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed: votes are kept in one as well")
    with running_postgres(programs) as server:
        yield server
