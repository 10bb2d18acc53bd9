"""A full disk never harms the last good checkpoint, and the error says what happened."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dying import full_disk, hidden, moments, scene
from small_checkpoints import WEIGHTS, assert_holds, save, visible_steps

from palate.errors import ArtifactError
from palate.train import RunFolder
from palate.train.checkpoint import checkpoint_bytes, free_bytes, newest_whole, publish, require_space

TOO_MANY = 200_000
"""Floats of four bytes: more than any disk below has room for."""


def test_no_space_at_any_operation(tmp_path: Path) -> None:
    """Either the new one is there all the same, or the error says that it is not."""
    before = tmp_path / "before"
    save(before, 1)
    num_failed = 0
    for moment in moments(lambda: save(scene(before, "counted"), 2)):
        after = scene(before, "after")
        try:
            with full_disk(moment):
                save(after, 2)
            assert visible_steps(after) == [1, 2], moment
        except ArtifactError as error:
            num_failed += 1
            assert error.what == "it cannot be written: No space left on device"
            assert error.where == str(after / "step-000002")
            assert error.next == "free some space there, and run the same again"
        assert_holds(after / "step-000001", 1)
        assert visible_steps(after) in ([1], [1, 2]), moment
        assert hidden(after) == [], moment
        assert_holds(save(after, 2), 2)
    assert num_failed > 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode != 0:
        pytest.skip(f"only root may mount a small disk: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    run = RunFolder(small_disk / "run")
    save(run.checkpoints, 1)
    publish(run.checkpoints / "step-000001", run.adapter)
    published = (run.adapter / WEIGHTS).read_bytes()
    with pytest.raises(ArtifactError, match="No space left on device"):
        save(run.checkpoints, 2, num_floats=TOO_MANY)  # the tensors do not fit

    (small_disk / "filler").write_bytes(bytes(free_bytes(small_disk) - 4096))
    with pytest.raises(ArtifactError, match="No space left on device"):
        save(run.checkpoints, 2)  # the weights fit, and then no more
    with pytest.raises(ArtifactError, match="No space left on device"):
        publish(run.checkpoints / "step-000001", run.adapter)
    with pytest.raises(OSError, match="No space"):
        (small_disk / "rest").write_bytes(bytes(8192))
    with pytest.raises(ArtifactError, match="No space left on device"):
        run.write("summary.json", {"status": "done"})

    assert visible_steps(run.checkpoints) == [1]
    assert newest_whole(run.checkpoints, pytest.fail) == run.checkpoints / "step-000001"
    assert_holds(run.checkpoints / "step-000001", 1)
    assert (run.adapter / WEIGHTS).read_bytes() == published
    assert hidden(small_disk) == []
    for name in ("filler", "rest"):
        (small_disk / name).unlink()
    assert_holds(save(run.checkpoints, 2), 2)


@contextmanager
def longest_file(num_bytes: int) -> Iterator[None]:
    """As with `ulimit -f`: the system refuses what goes beyond, after part of it was written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [100, 1_000, 100_000], ids=["weights", "state", "tensors"])
def test_a_limit_on_file_sizes(tmp_path: Path, limit: int) -> None:
    """A real refusal that needs no root: of the weights (300 bytes), the manifest, the tensors."""
    save(tmp_path, 1)
    with longest_file(limit), pytest.raises(ArtifactError, match="File too large") as caught:
        save(tmp_path, 2, note="x" * 2_000, num_floats=TOO_MANY if limit > 10_000 else 40)
    assert "ulimit -f" in caught.value.next
    assert (visible_steps(tmp_path), hidden(tmp_path)) == ([1], [])
    assert_holds(tmp_path / "step-000001", 1)


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.log({"step": 1, "split": "train"})
    before = run.metrics_file.read_bytes()
    with longest_file(100), pytest.raises(ArtifactError, match="File too large"):
        run.log({"step": 2, "split": "train", "padding": "x" * 200})
    assert run.metrics_file.read_bytes() == before


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    save(tmp_path, 1)
    monkeypatch.setattr("palate.durable.system.mkdir", refused)
    with pytest.raises(ArtifactError, match="Permission denied") as caught:
        save(tmp_path, 2)
    assert caught.value.next.startswith("make the folder writable")
    assert visible_steps(tmp_path) == [1]


def test_what_cannot_fit_is_not_begun(tmp_path: Path) -> None:
    """The folder need not be there yet: its disk is."""
    absent = tmp_path / "not" / "yet"
    free = free_bytes(absent)
    assert abs(free - free_bytes(tmp_path)) < 1e9
    require_space(absent, free // 2, "one checkpoint", "or keep fewer")
    with pytest.raises(ArtifactError, match="three checkpoints will not fit on this disk") as caught:
        require_space(absent, 10**18, "three checkpoints", "or keep fewer")
    assert caught.value.why.startswith("it takes 1000000000.00 GB, and ")
    assert not absent.exists()


def test_the_size_of_a_checkpoint(tmp_path: Path) -> None:
    small, large = save(tmp_path, 1), save(tmp_path, 2, num_floats=1_040)
    # 1000 floats of four bytes, and as many digits more in the header's and the manifest's numbers.
    assert 4_000 <= checkpoint_bytes(large) - checkpoint_bytes(small) < 4_032
