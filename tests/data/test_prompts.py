"""Prompts alone, from everything that holds some."""

from __future__ import annotations

import pytest

from palate.data import read_prompts
from palate.errors import DataError
from palate.records import Message


def texts(path, **options):
    prompts, set_aside = read_prompts(path, **options)
    assert set_aside == ()
    return [" / ".join(f"{m.role}: {m.content}" for m in prompt) for prompt in prompts]


def test_one_prompt_a_line(write):
    path = write("prompts.txt", b"\xef\xbb\xbfWhat?\r\n\n  Where? \nWhat?\n")
    assert texts(path) == ["user: What?", "user:   Where? "]


def test_lines_that_are_no_text_are_set_aside(write):
    path = write("prompts.txt", b"ok\n\x00\ncaf\xe9\n")
    prompts, set_aside = read_prompts(path)
    assert [prompt[0].content for prompt in prompts] == ["ok"]
    assert [(row.line, row.source) for row in set_aside] == [(2, path), (3, path)]


@pytest.mark.parametrize("column", ["prompt", "Prompt", "question", "instruction", "Idea", " idea "])
@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl.gz", "parquet"])
def test_a_column_of_prompts(write, column, suffix):
    assert texts(write(f"rows.{suffix}", [{"id": "1", column: "What?"}, {"id": "2", column: "Where?"}])) == [
        "user: What?",
        "user: Where?",
    ]


def test_message_lists_are_prompts_too(write):
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "What?"}]
    assert texts(write("rows.json", [{"prompt": messages}, {"prompt": repr(messages)}])) == [
        "system: Be kind. / user: What?"
    ]


def test_the_first_known_column_is_taken(write):
    assert texts(write("rows.json", [{"idea": "no", "question": "yes"}])) == ["user: yes"]


def test_alpaca_instructions_keep_their_input(write):
    rows = [
        {"instruction": "Translate.", "input": "mill", "output": "x"},
        {"instruction": "Sing.", "input": ""},
    ]
    assert texts(write("rows.json", rows)) == ["user: Translate.\n\nmill", "user: Sing."]


def test_the_system_message(write):
    rows = [{"question": "What?", "system": "Be kind."}, {"question": "What?", "system": None}]
    assert texts(write("rows.json", rows), system="Be brief.") == [
        "system: Be kind. / user: What?",
        "system: Be brief. / user: What?",
    ]
    assert texts(write("prompts.txt", "What?"), system="Be brief.") == ["system: Be brief. / user: What?"]


def test_distinct_prompts_of_pairs_in_their_order(write):
    rows = [{"prompt": prompt, "chosen": f"yes {i}", "rejected": "no"} for i, prompt in enumerate("bacab")]
    prompts, set_aside = read_prompts(
        write("rows.jsonl", [*rows, {"prompt": "d", "chosen": "", "rejected": ""}])
    )
    assert [prompt[0].content for prompt in prompts] == ["b", "a", "c"]
    assert [row.line for row in set_aside] == [6]


def test_prompts_of_transcripts(write):
    text = "\n\nHuman: 1?\n\nAssistant: 1!\n\nHuman: 2?\n\nAssistant: "
    prompts, _ = read_prompts(write("rows.jsonl", [{"chosen": text + "a", "rejected": text + "b"}]))
    assert prompts == ((Message("user", "1?"), Message("assistant", "1!"), Message("user", "2?")),)


def test_rows_without_a_prompt_are_set_aside(write):
    path = write("rows.json", [{"prompt": "What?"}, {"prompt": None}, {"other": 1}, 7])
    prompts, set_aside = read_prompts(path)
    assert len(prompts) == 1
    assert [(row.line, row.reason) for row in set_aside] == [
        (2, '"prompt" is null'),
        (3, '"prompt" is missing'),
        (4, "a row is an object with columns, this is a number"),
    ]


def test_no_column_of_prompts_lists_those_seen(write):
    with pytest.raises(DataError) as caught:
        read_prompts(write("rows.csv", "title,n\nx,1\n"))
    assert "columns seen: title, n" in caught.value.why


@pytest.mark.parametrize(("name", "text"), [("prompts.txt", "\n \n"), ("rows.json", "[]")])
def test_no_prompts_at_all(write, name, text):
    with pytest.raises(DataError, match="no prompts"):
        read_prompts(write(name, text))


def test_no_such_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_prompts(str(tmp_path / "prompts.txt"))
