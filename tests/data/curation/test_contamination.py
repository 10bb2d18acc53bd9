"""Runs of words that a text shares with a test set."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.data.curation.contamination import TestSet, TestText, read_test_texts
from palate.errors import DataError

NINE = "one two three four five six seven eight nine"


def held_out(*texts, ngram=8):
    return TestSet([TestText(text, f"test:{number}") for number, text in enumerate(texts, 1)], ngram)


def test_eight_words_in_a_row_and_seven():
    tests = held_out(NINE)
    found = tests.overlap("He said: Two, three FOUR five-six seven eight nine! And left.")
    assert found.words == "two three four five six seven eight nine"
    assert found.place == "test:1"
    assert tests.overlap("three four five six seven eight nine") is None


def test_the_length_of_a_run():
    assert held_out(NINE, ngram=3).overlap("a four five six b").words == "four five six"
    assert held_out(NINE, ngram=13).overlap(NINE.replace("nine", "ten")) is None


def test_short_texts_are_compared_whole():
    tests = held_out("Name a colour.")
    assert tests.overlap("name a colour").words == "name a colour"
    assert tests.overlap("Please name a colour.") is None


def test_without_spaces_sixteen_characters_are_a_run():
    text = "天地玄黃宇宙洪荒日月盈昃辰宿列張寒來"
    tests = held_out(text)
    assert tests.overlap("前" + text[1:17] + "後").words == " ".join(text[1:17])
    assert tests.overlap("前" + text[1:16] + "後") is None


def test_what_most_of_a_test_set_says_is_its_template():
    frame = "Write an engaging title for the video idea below"
    tests = held_out(*(f"{frame} {word} {NINE.replace('one', word)}" for word in ("mill", "river", "tree")))
    assert tests.overlap(f"{frame} on a new thing") is None
    assert tests.num_template_runs > 0
    assert held_out(f"{frame} mill").overlap(f"{frame} on a new thing").place == "test:1"


def test_a_template_does_not_hide_a_text_that_is_the_same():
    frame = "Write an engaging title for the video idea below"
    tests = held_out(f"{frame} a", f"{frame} b", f"{frame} c")
    assert tests.overlap(f"{frame} b").place == "test:2"


@given(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12),
    st.lists(st.sampled_from("abcdef"), max_size=12),
)
def test_it_agrees_with_looking_at_every_run(test, text):
    size = 3
    runs = {tuple(test[i : i + size]) for i in range(len(test) - size + 1)}
    shares = any(tuple(text[i : i + size]) in runs for i in range(len(text) - size + 1))
    found = held_out(" ".join(test), ngram=size).overlap(" ".join(text))
    assert (found is not None) == (shares or test == text)


def test_test_sets_of_each_form(tmp_path):
    lines = tmp_path / "test.txt"
    lines.write_text("Name a colour.\n\nName a river.\n", encoding="utf-8")
    assert [said.place for said in read_test_texts(str(lines))] == [f"{lines}:1", f"{lines}:2", f"{lines}:3"]
    rows = tmp_path / "test.jsonl"
    rows.write_text(json.dumps({"prompt": "Q?", "chosen": "A.", "rejected": "B."}) + "\n", encoding="utf-8")
    assert [said.text for said in read_test_texts(str(rows))] == ["Q?", "A.", "B."]
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"question": "Q?"}) + "\n", encoding="utf-8")
    assert [said.text for said in read_test_texts(str(prompts))] == ["Q?"]


def test_a_test_row_that_is_no_record_is_in_the_test_set_all_the_same(tmp_path):
    path = tmp_path / "test.jsonl"
    rows = [
        json.dumps({"prompt": "Q?", "chosen": "A.", "rejected": "B."}),
        json.dumps({"prompt": "Same?", "chosen": "Yes.", "rejected": "Yes."}),
        json.dumps({"prompt": [{"role": "user", "content": "In a list?"}], "chosen": "", "rejected": None}),
        '{"prompt": "Cut off',
    ]
    path.write_text("\n".join(rows), encoding="utf-8")
    found = [(said.text, said.place) for said in read_test_texts(str(path))]
    assert {text for text, place in found if place == f"{path}:2"} == {"Same?", "Yes."}
    assert [text for text, place in found if place == f"{path}:3"] == ["In a list?"]
    assert TestSet(read_test_texts(str(path))).overlap("same").place == f"{path}:2"
    assert TestSet(read_test_texts(str(path)), ngram=2).overlap("it was cut off there").place == f"{path}:4"


def test_an_empty_test_set_is_an_error(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="no text"):
        list(read_test_texts(str(path)))
