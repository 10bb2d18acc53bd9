"""Files: written whole, or grown by whole lines."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from palate import durable
from palate.durable import system
from palate.errors import ArtifactError


def test_a_file_holds_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "deeper" / "file"
    for content in (b"first\r\n\0", b"", b"x" * 3_000_000):
        durable.write_bytes(path, content)
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_text_and_json(tmp_path: Path) -> None:
    durable.write_text(tmp_path / "text", "a\r\nb 😀 \ud83d")
    assert (tmp_path / "text").read_bytes() == b"a\r\nb \xf0\x9f\x98\x80 \\ud83d"
    content = {"text": "half \ud83d, whole 😀", "value": 0.1}
    durable.write_json(tmp_path / "json", content)
    assert json.loads((tmp_path / "json").read_text(encoding="utf-8")) == content


@pytest.mark.parametrize("content", [{"a": float("nan")}, {"a": {1, 2}}])
def test_what_is_no_json_is_refused(tmp_path: Path, content: dict[str, object]) -> None:
    durable.write_json(tmp_path / "file", {"a": 1})
    with pytest.raises((ValueError, TypeError)):
        durable.write_json(tmp_path / "file", content)
    assert json.loads((tmp_path / "file").read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_system_that_takes_little_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "write", lambda descriptor, data: os.write(descriptor, data[:7]))
    durable.write_bytes(tmp_path / "file", bytes(range(100)))
    assert (tmp_path / "file").read_bytes() == bytes(range(100))


def test_the_umask_decides_who_reads_it(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        durable.write_text(tmp_path / "file", "")
        durable.append_line(tmp_path / "lines", "")
    finally:
        os.umask(before)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("file", "lines")} == {0o640}


def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path, told in ((tmp_path / "file" / "below", "exists"), (tmp_path / "folder", "directory")):
        for write in (
            lambda path: durable.write_text(path, "x"),
            lambda path: durable.append_line(path, "x"),
        ):
            with pytest.raises(ArtifactError, match=rf"cannot be written: .*{told}") as caught:
                write(path)
            assert caught.value.where == str(path)
    with pytest.raises(ArtifactError, match="cannot be written"):
        durable.ensure_folder(tmp_path / "file" / "below")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]


def test_lines_are_added(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lines"
    durable.append_line(path, "first")
    durable.append_line(path, "zwei 😀 \ud83d", flush=True)
    assert path.read_bytes().splitlines() == [b"first", b"zwei \xf0\x9f\x98\x80 \\ud83d"]
    with pytest.raises(ValueError, match="line end"):
        durable.append_line(path, "two\nlines")


def test_a_line_is_one_call_to_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []

    def write(descriptor: int, data: memoryview) -> int:
        calls.append(bytes(data))
        return os.write(descriptor, data)

    monkeypatch.setattr(system, "write", write)
    durable.append_line(tmp_path / "lines", "x" * 100_000)
    assert [len(call) for call in calls] == [100_001]


def test_a_torn_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b'{"whole": 1}\n{"tor')
    durable.append_line(path, '{"next": 2}')
    assert path.read_bytes() == b'{"whole": 1}\n{"tor\n{"next": 2}\n'


def test_processes_that_add_lines_at_the_same_time_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    children = []
    for writer in range(4):
        child = os.fork()
        if child == 0:
            try:
                for i in range(200):
                    durable.append_line(path, f"{writer} {i} " + "x" * 500)
                os._exit(0)
            finally:
                os._exit(3)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
    lines = [line for line in path.read_text().splitlines() if line]
    assert sorted(lines) == sorted(f"{w} {i} " + "x" * 500 for w in range(4) for i in range(200))
