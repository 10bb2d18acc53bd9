"""A file that grows is there whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from palate.durable import new_file, scratch_file
from palate.errors import ArtifactError


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_it_has_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file"
    with new_file(path) as file:
        file.write(b"one")
        assert not path.exists()
        file.write(b" two")
    assert path.read_bytes() == b"one two"
    assert names(path.parent) == ["file"]


def test_what_was_there_stays_where_the_work_fails(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="stop"), new_file(path) as file:
        file.write(b"new")
        raise ValueError("stop")
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["file"])


def test_a_scratch_file_goes_away(tmp_path):
    with scratch_file(tmp_path / "file") as (file, hidden):
        file.write(b"x")
        assert hidden.name.startswith(".file.")
        assert names(tmp_path) == [hidden.name]
    assert names(tmp_path) == []


def test_what_the_system_refuses_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").touch()
    with pytest.raises(ArtifactError, match="cannot be written"), new_file(tmp_path / "folder"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError) as caught, new_file(tmp_path / "file" / "below"):
        pass
    assert caught.value.next


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "file"
    code = (
        "import os, signal, sys; from pathlib import Path; from palate.durable import new_file\n"
        "with new_file(Path(sys.argv[1])) as file:\n"
        "    file.write(b'x' * 5_000_000); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=os.environ, check=False)
    assert done.returncode < 0
    assert len(names(tmp_path)) == 1
    with new_file(path) as file:
        file.write(b"whole")
    assert (path.read_bytes(), names(tmp_path)) == (b"whole", ["file"])
