"""A slip in --num-processes starts nothing: each process would load a model."""

from __future__ import annotations

import os
from typing import Any

import pytest

from palate.cli import launch
from palate.errors import CallError


@pytest.mark.parametrize("processors", [1, 16])
def test_more_processes_than_processors_are_refused_before_any_starts(
    monkeypatch: pytest.MonkeyPatch, processors: int
) -> None:
    started: list[Any] = []

    class Worker:
        returncode = 0

        def __init__(self, *_: Any, **__: Any) -> None:
            started.append(self)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(launch.subprocess, "Popen", Worker)
    monkeypatch.setattr(launch.signal, "signal", lambda *_: None)
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    most = max(8, processors)
    for wrong in (most + 1, 999_999, 0, -1):
        with pytest.raises(CallError):
            launch.launch_processes(wrong, ["run", "recipe.yaml"])
    assert started == []
    assert launch.launch_processes(most, ["run", "recipe.yaml"]) == 0
    assert len(started) == most
