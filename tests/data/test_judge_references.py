"""References by their prompts: none is lost without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from palate.data import read_references
from palate.errors import DataError
from palate.records import Message, content_id


def references(folder: Path, *lines: str) -> dict[str, str]:
    (folder / "r.jsonl").write_text("\n".join(lines) + "\n")
    return read_references(str(folder / "r.jsonl"))


def test_a_prompt_is_text_or_messages_with_a_system_message_beside(tmp_path: Path) -> None:
    found = references(
        tmp_path,
        '{"prompt": "p", "reference": "one"}',
        '{"prompt": [{"role": "user", "content": "q"}], "system": "s", "reference": "two"}',
        '{"prompt": "p", "reference": "one"}',
    )
    system, q = Message("system", "s"), Message("user", "q")
    assert found == {content_id((Message("user", "p"),)): "one", content_id((system, q)): "two"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"prompt": "p", "answer": "x"}'], "no references"),
        (['{"prompt": "p", "reference": "x"}', '{"prompt": "q", "reference": ""}'], "r.jsonl:2"),
        (
            ['{"prompt": "p", "reference": "x"}', '{"prompt": "p", "reference": "y"}'],
            "another reference above",
        ),
        (['{"prompt": "p", "reference": "x"}', "{"], "r.jsonl:2"),
    ],
)
def test_a_row_that_is_none_is_an_error(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(DataError) as raised:
        references(tmp_path, *lines)
    assert said in str(raised.value)
