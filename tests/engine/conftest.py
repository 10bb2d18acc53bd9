"""Small random models of real architectures, one thread, no network."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test caches stays the test's."""
    monkeypatch.setenv("PALATE_HOME", str(tmp_path_factory.mktemp("home")))
