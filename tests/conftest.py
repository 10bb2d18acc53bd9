"""For every test: one thread, no network, and caches of its own, but for the playground's model.

That model costs a minute to make, so all tests share the machine's, through a link in a home that is
otherwise the test's.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

from palate.home import palate_home

_MACHINES_PLAYGROUND = palate_home() / "playground"


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PALATE_HOME of this test, and of the processes it starts."""
    folder = tmp_path_factory.mktemp("home")
    _MACHINES_PLAYGROUND.mkdir(parents=True, exist_ok=True)
    (folder / "playground").symlink_to(_MACHINES_PLAYGROUND, target_is_directory=True)
    monkeypatch.setenv("PALATE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: a random Llama of a few thousand weights with its own small tokenizer."""
    from tiny_run import write_base

    return write_base(tmp_path_factory.mktemp("base"))
