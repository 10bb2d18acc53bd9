"""Telling a layout, and refusing to guess."""

from __future__ import annotations

import pytest

from palate.data import LAYOUTS, read_records
from palate.data.detection import SAMPLE_ROWS, detect_layout
from palate.data.rows import RawRow
from palate.errors import DataError
from palate.recipe import SourceOptions

STRINGS = {"prompt": "1?", "chosen": "yes", "rejected": "no"}
MESSAGES = {
    "prompt": [{"role": "user", "content": "1?"}],
    "chosen": [{"role": "assistant", "content": "yes"}],
    "rejected": [{"role": "assistant", "content": "no"}],
}


def detect(*rows):
    return detect_layout([RawRow(i, row) for i, row in enumerate(rows, 1)], "rows.jsonl")


def test_text_beside_messages_is_mixed():
    assert detect(STRINGS) == "strings"
    assert detect(MESSAGES) == "messages"
    assert detect(STRINGS, MESSAGES) == "mixed"


def test_other_columns_and_bad_rows_do_not_matter():
    assert detect({}, STRINGS | {"id": 1, "chosen": None}, STRINGS | {"id": 1}, {"chosen": 3}) == "strings"


def test_a_row_of_two_layouts_is_ambiguous_and_the_remedy_works(write):
    row = STRINGS | {"support": "for", "oppose": "against"}
    path = write("rows.jsonl", [row])
    with pytest.raises(DataError) as caught:
        read_records(SourceOptions(source=path))
    assert "strings, stance" in caught.value.what
    assert "columns seen: prompt, chosen, rejected, support, oppose" in caught.value.why
    assert "data.train.layout=strings" in caught.value.next
    assert read_records(SourceOptions(source=path, layout="stance")).records[0].chosen[0].content == "for"
    assert read_records(SourceOptions(source=path, layout="strings")).records[0].chosen[0].content == "yes"


def test_two_layouts_in_one_file_are_ambiguous_a_stray_row_is_not(write):
    stance = {"prompt": "1?", "support": "for", "oppose": "against"}
    with pytest.raises(DataError, match="several layouts"):
        detect(*[STRINGS] * 10, stance)
    found = read_records(SourceOptions(source=write("rows.jsonl", [STRINGS] * 11 + [stance])))
    assert (found.layout, [row.reason for row in found.set_aside]) == ("strings", ['"chosen" is missing'])


def test_prompt_and_question_are_not_chosen_between():
    with pytest.raises(DataError, match="several layouts: strings, question"):
        detect(STRINGS | {"question": "2?"})


def test_unknown_rows_list_what_was_seen_and_what_is_known():
    with pytest.raises(DataError) as caught:
        detect({"Idea": "x", "\x1b[2J": 1}, {"n": 2})
    message = str(caught.value)
    assert r"columns seen: Idea, \x1b[2J, n" in message
    assert all(f"{name}: {layout.columns}" in message for name, layout in LAYOUTS.items())
    assert caught.value.exit_code == 2


def test_many_columns_are_not_all_listed():
    with pytest.raises(DataError) as caught:
        detect({f"column {i}": i for i in range(1000)})
    assert "column 19 and 980 more" in caught.value.why


def test_rows_that_cannot_be_read_at_all_say_so(write):
    path = write("rows.jsonl", "<html>\n</html>\n")
    with pytest.raises(DataError) as caught:
        read_records(SourceOptions(source=path))
    assert caught.value.what == "no row can be read"
    assert f"{path}:1: not JSON" in caught.value.why


def test_chosen_and_rejected_without_a_prompt_are_no_layout():
    with pytest.raises(DataError, match="unknown"):
        detect({"chosen": "yes", "rejected": "no"})


def test_text_that_mentions_a_speaker_is_no_transcript():
    assert detect(STRINGS | {"prompt": "Human: who is that?\n\nA mystery."}) == "strings"


def test_only_a_sample_is_looked_at():
    stance = {"prompt": "1?", "support": "for", "oppose": "against"}
    assert detect(*[STRINGS] * SAMPLE_ROWS, *[stance] * SAMPLE_ROWS) == "strings"
