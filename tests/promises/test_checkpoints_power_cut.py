"""What is seen under its name is on the disk: before the rename all of it, after the rename the name."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from small_checkpoints import WEIGHTS, save, weights

from palate import durable
from palate.durable import system
from palate.train import RunFolder
from palate.train.checkpoint import publish


class Disk:
    """Watches what was flushed, and in which state; refuses a rename of what was not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushed: dict[int, tuple[int, int]] = {}
        self.renamed: list[Path] = []
        self.names_not_flushed: set[int] = set()
        """Folders in which a name has changed since."""
        replace, exchange, fsync = system.replace, system.exchange, system.fsync

        def watched_fsync(descriptor: int) -> None:
            fsync(descriptor)
            there = os.fstat(descriptor)
            self.flushed[there.st_ino] = there.st_size, there.st_mtime_ns
            self.names_not_flushed.discard(there.st_ino)

        def watched_replace(source: Path, path: Path) -> None:
            self.rename(source, path)
            replace(source, path)

        def watched_exchange(first: Path, second: Path) -> bool:
            self.rename(first, second)
            return exchange(first, second)

        monkeypatch.setattr(system, "fsync", watched_fsync)
        monkeypatch.setattr(system, "replace", watched_replace)
        monkeypatch.setattr(system, "exchange", watched_exchange)

    def is_on_disk(self, path: Path) -> bool:
        there = path.stat()
        return self.flushed.get(there.st_ino) == (there.st_size, there.st_mtime_ns)

    def rename(self, source: Path, path: Path) -> None:
        inside = [source, *source.rglob("*")] if source.is_dir() else [source]
        assert [str(entry) for entry in inside if not self.is_on_disk(entry)] == []
        self.renamed.append(path)
        self.names_not_flushed.add(path.parent.stat().st_ino)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.mark.parametrize("existing", [False, True])
def test_a_checkpoint(tmp_path: Path, disk: Disk, existing: bool) -> None:
    checkpoints = tmp_path / "run" / "checkpoints"
    if existing:
        save(checkpoints, 7, note="earlier")
        disk.renamed.clear()
    made = save(checkpoints, 7)
    assert disk.renamed == [made]
    assert not disk.names_not_flushed
    assert all(disk.is_on_disk(folder) for folder in (tmp_path / "run", tmp_path)), (
        "they were made on the way"
    )


def test_a_folder_with_folders_in_it(tmp_path: Path, disk: Disk) -> None:
    with durable.new_folder(tmp_path / "model", manifest={}) as folder:
        (folder / "deep" / "deeper").mkdir(parents=True)
        (folder / "deep" / "deeper" / "file").write_text("words")
    assert disk.renamed == [tmp_path / "model"]


def test_a_result(tmp_path: Path, disk: Disk) -> None:
    for step in (1, 2):
        publish(save(tmp_path / "checkpoints", step), tmp_path / "adapter")
    assert disk.renamed.count(tmp_path / "adapter") == 2
    assert not disk.names_not_flushed


def test_a_file(tmp_path: Path, disk: Disk) -> None:
    RunFolder(tmp_path).write("evaluation/comparison.json", {"win_rate": 0.5})
    assert disk.renamed == [tmp_path / "evaluation" / "comparison.json"]
    assert all(disk.is_on_disk(folder) for folder in (tmp_path, tmp_path / "evaluation"))


def test_lines_once_they_are_flushed(tmp_path: Path, disk: Disk) -> None:
    run = RunFolder(tmp_path)
    run.flush_log()  # there is nothing yet, and nothing wrong with that
    run.log({"step": 1})
    run.log({"step": 2})
    run.flush_log()
    assert disk.is_on_disk(run.metrics_file)
    assert disk.is_on_disk(tmp_path)
    durable.append_line(tmp_path / "other.jsonl", "{}", flush=True)
    assert disk.is_on_disk(tmp_path / "other.jsonl")
    assert disk.is_on_disk(tmp_path)


def readings_while(read: Callable[[], bytes], work: Callable[[], None]) -> set[bytes]:
    """Everything that a reader saw, who read without a pause while it was worked."""
    seen: set[bytes] = set()
    stop = threading.Event()
    failed: list[OSError] = []

    def reading() -> None:
        while not stop.is_set():
            try:
                seen.add(read())
            except OSError as error:
                failed.append(error)

    reader = threading.Thread(target=reading)
    reader.start()
    try:
        work()
    finally:
        stop.set()
        reader.join()
    assert failed == []
    return seen


def test_a_reader_never_finds_the_result_gone(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    if not system.exchange(one, other):
        pytest.skip("this file system cannot exchange two names")
    checkpoints = [save(tmp_path / "checkpoints", step) for step in (1, 2)]
    target = tmp_path / "adapter"
    publish(checkpoints[0], target)

    def work() -> None:
        for i in range(1, 40):
            publish(checkpoints[i % 2], target)

    def read() -> bytes:
        """The folder is held open, as a reader of several files would have it."""
        folder = os.open(target, os.O_RDONLY)
        os.close(folder)
        return bytes(target.is_dir())

    assert readings_while(read, work) == {bytes(True)}
    assert (target / WEIGHTS).read_bytes() == weights(2)


def test_a_reader_never_finds_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = {bytes([i]) * 50_000 for i in range(20)}
    durable.write_bytes(path, bytes([0]) * 50_000)

    def work() -> None:
        for content in sorted(contents):
            durable.write_bytes(path, content)

    assert readings_while(path.read_bytes, work) <= contents
