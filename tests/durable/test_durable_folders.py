"""Folders: whole or not there; verified by their manifest; what killed writers left."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest

from palate import durable
from palate.durable import system
from palate.errors import ArtifactError


def fill(folder: Path, text: str = "words") -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text(text)
    durable.write_part(folder / "other", b"")


def made(path: Path, text: str = "words", *, replace: bool = False) -> Path:
    with durable.new_folder(path, manifest={"step": 3}, replace=replace) as folder:
        fill(folder, text)
    return path


def test_its_manifest_tells_what_is_in_it(tmp_path: Path) -> None:
    manifest = durable.read_manifest(made(tmp_path / "new"))
    assert manifest == {
        "format": 1,
        "step": 3,
        "files": {
            "deep/file": {"bytes": 5, "sha256": hashlib.sha256(b"words").hexdigest()},
            "other": {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()},
        },
    }
    assert durable.verify_folder(tmp_path / "new") == []
    assert [folder.name for folder in tmp_path.iterdir()] == ["new"]


def test_it_is_not_seen_before_it_is_whole(tmp_path: Path) -> None:
    with durable.new_folder(tmp_path / "new") as folder:
        fill(folder)
        assert not (tmp_path / "new").exists()
        assert folder.name.startswith(".new.tmp-")
    assert not (tmp_path / "new" / durable.MANIFEST).exists(), "none was asked for"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_error_leaves_nothing_and_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = made(tmp_path / "folder")
    raised = ArtifactError if error is OSError else error
    with pytest.raises(raised, match="stop"), durable.new_folder(path, replace=True) as folder:
        fill(folder, "changed")
        raise error("stop")
    assert durable.verify_folder(path) == []
    assert (path / "deep" / "file").read_text() == "words"
    assert [folder.name for folder in tmp_path.iterdir()] == ["folder"]


def test_one_that_is_there_is_replaced_only_where_it_is_said(tmp_path: Path) -> None:
    path = made(tmp_path / "folder")
    with pytest.raises(ArtifactError, match="File exists") as caught:
        made(path, "changed")
    assert caught.value.where == str(path)
    made(path, "changed", replace=True)
    assert (path / "deep" / "file").read_text() == "changed"
    assert [folder.name for folder in tmp_path.iterdir()] == ["folder"]


def test_where_names_cannot_be_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "exchange", lambda first, second: False)
    path = made(tmp_path / "folder")
    made(path, "changed", replace=True)
    assert (path / "deep" / "file").read_text() == "changed"

    def fail_for_the_new_one(source: Path, target: Path) -> None:
        if target == path and ".tmp-" in source.name:
            raise OSError(5, "Input/output error")
        source.replace(target)

    monkeypatch.setattr(system, "replace", fail_for_the_new_one)
    with pytest.raises(ArtifactError, match="Input/output error"):
        made(path, "third", replace=True)
    assert (path / "deep" / "file").read_text() == "changed"
    assert [folder.name for folder in tmp_path.iterdir()] == ["folder"]


def test_an_exchange_that_goes_wrong_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        system.exchange(tmp_path / "absent", tmp_path / "absent too")


def test_a_copied_part(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"content")
    with durable.new_folder(tmp_path / "new") as folder:
        durable.copy_part(tmp_path / "source", folder / "deep" / "copy")
    assert (tmp_path / "new" / "deep" / "copy").read_bytes() == b"content"


def test_removing(tmp_path: Path) -> None:
    durable.remove_folder(made(tmp_path / "folder"))
    durable.remove_folder(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_what_a_link_leads_to_is_not_removed(tmp_path: Path) -> None:
    kept = made(tmp_path / "kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(kept)
    durable.remove_folder(tmp_path / "folder")
    assert durable.verify_folder(kept) == []


def test_a_folder_that_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    path = made(tmp_path / "folder")
    monkeypatch.setattr(system, "unlink", refused)
    with pytest.raises(ArtifactError, match="cannot be removed: Permission denied") as caught:
        durable.remove_folder(path)
    assert caught.value.where == str(path)
    assert not path.exists(), "what may be half removed no longer has its name"


@pytest.fixture
def dead() -> int:
    """The number of a process that is no more."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def leave(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "file").write_text(name)
    return folder / name


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_next_writer_of_a_name_clears_away_what_killed_ones_left(tmp_path: Path, dead: int) -> None:
    for name in (f".new.tmp-{dead}-0", f".new.tmp-{os.getpid()}-999999", f".else.tmp-{dead}-0", ".new.tmp"):
        leave(tmp_path, name)
    made(tmp_path / "new")
    assert names(tmp_path) == [f".else.tmp-{dead}-0", ".new.tmp", "new"]


def test_what_living_ones_are_writing_is_left_to_them(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        leave(tmp_path, f".new.tmp-{child}-0")
        leave(tmp_path, ".new.tmp-1-0")  # the first process: it lives, and may not be ours to signal
        with durable.new_folder(tmp_path / "new") as folder:
            fill(folder)
            durable.settle(tmp_path)
            assert folder.is_dir(), "nor is one's own"
        assert names(tmp_path) == [".new.tmp-1-0", f".new.tmp-{child}-0", "new"]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_what_was_set_aside_gets_its_name_back(tmp_path: Path, dead: int) -> None:
    leave(tmp_path, f".adapter.old-{dead}-7")
    leave(tmp_path, f".adapter.tmp-{dead}-6")
    durable.settle(tmp_path)
    assert names(tmp_path) == ["adapter"]
    assert (tmp_path / "adapter" / "file").read_text() == f".adapter.old-{dead}-7"
    leave(tmp_path, f".adapter.old-{dead}-9")
    durable.settle(tmp_path)
    assert names(tmp_path) == ["adapter"]
    assert (tmp_path / "adapter" / "file").read_text() == f".adapter.old-{dead}-7", "it stood: it stays"


def test_two_that_clear_up_do_not_get_in_each_others_way(
    tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (leave(tmp_path, f".new.tmp-{dead}-{i}") for i in (0, 1))
    unlink = system.unlink

    def too_late(path: Path) -> None:
        unlink(path)
        if path.parent == first:
            raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(system, "unlink", too_late)
    durable.settle(tmp_path)
    assert not second.exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "it cannot be read: No such file or directory"),
        (b"", "it is not as it was written"),
        (b"[]", "it is not as it was written"),
        (b"\xff\xfe", "it is not as it was written"),
        (b'{"format": 1, "files": {}}', "it is not as it was written"),
        (b'{"format": 1, "files": {}, "sha256": null}', "it is not as it was written"),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = made(tmp_path / "folder")
    (path / durable.MANIFEST).unlink()
    if content is not None:
        (path / durable.MANIFEST).write_bytes(content)
    assert durable.verify_folder(path) == [f"manifest.json: {told}"]
    with pytest.raises(ArtifactError, match=told):
        durable.read_manifest(path)


def test_the_same_manifest_in_other_letters_is_not_the_same(tmp_path: Path) -> None:
    """Every byte is covered, spaces and all: nothing in it may be changed without notice."""
    path = made(tmp_path / "folder")
    file = path / durable.MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text())))
    assert durable.verify_folder(path) == ["manifest.json: it is not as it was written"]


def test_a_manifest_of_a_later_version(tmp_path: Path) -> None:
    with durable.new_folder(tmp_path / "folder", manifest={}) as folder:
        fill(folder)
    import palate.durable.manifest as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FORMAT", 2)
        later = made(tmp_path / "later")
    with pytest.raises(ArtifactError, match="format 2, and this version of Palate reads format 1"):
        durable.read_manifest(later)


def test_every_problem_is_named(tmp_path: Path) -> None:
    path = made(tmp_path / "folder", "words")
    (path / "deep" / "file").write_text("Words")
    (path / "other").write_text("longer")
    (path / "stray").write_text("")
    assert durable.verify_folder(path) == [
        "deep/file: its content is not what was written",
        "other: it has 6 bytes, and 0 were written",
        "stray: it is not in the manifest",
    ]
    (path / "other").unlink()
    assert "other: it is missing" in durable.verify_folder(path)
