"""Texts that models are measured by: what may be named, and what is said of what is not read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palate.errors import DataError
from palate.pipeline.wanted_texts import read_neutral_texts, read_target


def write_pairs(path: Path) -> Path:
    rows = [
        {"prompt": f"Say {n}.", "chosen": f"Yes, and {n % 2} it is.", "rejected": f"No, not {n}."}
        for n in range(4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_folder_of_many_things(tmp_path: Path) -> None:
    """One document a text file; what is empty, binary or repeated is named."""
    for name, content in {
        "a.txt": b"A first letter.",
        "b.md": b"# Second\n\nA second one.",
        "c.txt": b"",
        "d.txt": b"A first letter.",
        "e.bin": b"\x00\x01\xff",
    }.items():
        (tmp_path / name).write_bytes(content)
    texts, said = read_target(str(tmp_path))
    assert texts == ["A first letter.", "# Second\n\nA second one."]
    assert said[0].startswith(f"3 texts of {tmp_path} not used, the first at ")


def test_of_preferences_the_chosen_answers(tmp_path: Path) -> None:
    file = str(write_pairs(tmp_path / "pairs.jsonl"))
    texts, said = read_target(file)
    assert texts == ["Yes, and 0 it is.", "Yes, and 1 it is."]
    assert said == [f"{file} holds preferences: its 2 different chosen answers are the target of style."]
    with pytest.raises(DataError, match="no column of texts"):
        read_neutral_texts(file)


@pytest.mark.parametrize(
    ("name", "what", "next_step"),
    [
        ("nowhere", "no such file or folder", "check the path"),
        ("nowhere.csv", "no such file", "check the path"),
        ("x" * 300, "no such file or folder", "check the path"),
        ("ideas.csv", "no column of texts", 'a column named "text"'),
        ("both.csv", "several columns may be the text", 'a column named "text"'),
        ("model.bin", "is no format", "use one of"),
        ("empty.txt", "there are no texts", ".txt or .md files"),
    ],
)
def test_what_cannot_be_read_is_said_with_a_step_that_compare_has(
    tmp_path: Path, name: str, what: str, next_step: str
) -> None:
    (tmp_path / "ideas.csv").write_text("Idea\nA first one\nA second\n", encoding="utf-8")
    (tmp_path / "both.csv").write_text("text,content\na,b\n", encoding="utf-8")
    (tmp_path / "model.bin").write_bytes(b"\x00\x01")
    (tmp_path / "empty.txt").write_bytes(b"")
    with pytest.raises(DataError, match=what) as raised:
        read_target(str(tmp_path / name))
    assert next_step in (raised.value.next or "")
    assert "--text-column" not in str(raised.value)
