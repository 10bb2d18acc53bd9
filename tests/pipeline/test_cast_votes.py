"""Votes as `palate compare --votes` reads them: what is wrong with a file is said in words of that option."""

from __future__ import annotations

from pathlib import Path

import pytest

from palate.errors import DataError
from palate.pipeline.cast_votes import read_cast_votes


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("votes.sqlite3", None, "no such file, nor a store"),
        ("votes.txt", "ann prefers the second", "is no format"),
        ("votes.csv", "foo,bar\n1,2\n", "these rows are no votes"),
    ],
)
def test_a_file_that_holds_no_votes(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    """`--columns` is another command's: whoever compares is led to a store instead."""
    file = tmp_path / name
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as raised:
        read_cast_votes(str(file))
    assert said in raised.value.what or said in str(raised.value.why)
    assert "the store that palate annotate votes into" in str(raised.value.next)
    assert "--columns" not in str(raised.value)


def test_votes_that_are_damaged_keep_their_own_remedy(tmp_path: Path) -> None:
    file = tmp_path / "votes.csv"
    file.write_text("title_a,title_b,title_b_preferred\nx,y,1\n", encoding="utf-16")
    with pytest.raises(DataError, match="UTF-8"):
        read_cast_votes(str(file))
