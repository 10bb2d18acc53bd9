"""Answers that have to fit a schema: strict first, mended in form, never in content."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asking_scene import SCHEMA
from hypothesis import given
from hypothesis import strategies as st

from palate.asking.structured import check_schema, parse_answer, response_format, with_schema_in_prompt
from palate.errors import CallError
from palate.records import Message

GOOD = {"title": "T", "score": 3}


def test_what_fits_is_taken_as_it_is() -> None:
    parsed = parse_answer('{"title": "T", "score": 3}', SCHEMA)
    assert (parsed.value, parsed.repaired, parsed.problem) == (GOOD, False, "")


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"title": "T", "score": 3}\n```',
        'Sure! Here it is:\n\n{"title": "T", "score": 3}\n\nAnything else?',
        '{"title": "T", "score": 3,}',
        "{'title': 'T', 'score': 3}",
        '{title: "T", score: 3}',
        '{"title": "T" "score": 3}',
        '// note\n{"title": "T", "score": 3}',
    ],
)
def test_bad_form_is_mended_and_flagged(text: str) -> None:
    parsed = parse_answer(text, SCHEMA)
    assert (parsed.value, parsed.repaired, parsed.problem) == (GOOD, True, "")


def test_quotation_marks_that_were_not_escaped_do_not_end_it() -> None:
    parsed = parse_answer('{"title": "the "big" one", "score": 3}', SCHEMA)
    assert (parsed.value, parsed.repaired) == ({"title": 'the "big" one', "score": 3}, True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no JSON"),
        ("Three, I think.", "no JSON"),
        ('{"title": "T"}', "'score' is a required property"),
        ('{"title": "T", "score": "3"}', "$.score"),
        ('{"title": "T", "score": 3, "more": 1}', "more"),
        ('{"title": "T", "score": NaN}', "$.score"),
        ("[1, 2]", "object"),
        ('{"title": "T", "score": 3', "cut off"),
        ('```json\n{"title": "T", "sc', "cut off"),
        ('{"title": "T", "score": 3]', "cut off"),
        ("{" * 200_000, "cut off"),
    ],
)
def test_what_does_not_fit_says_where(text: str, problem: str) -> None:
    parsed = parse_answer(text, SCHEMA)
    assert problem in parsed.problem
    assert parsed.value is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(
    st.lists(VALUES, min_size=1, max_size=3) | st.dictionaries(st.text(max_size=3), VALUES, min_size=1),
    st.data(),
)
def test_a_cut_answer_is_never_taken_for_a_whole_one(value: Any, data: st.DataObject) -> None:
    whole = json.dumps(value, ensure_ascii=False)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert parse_answer(whole, {}).value == value
    assert parse_answer(cut, {}).problem


@given(VALUES)
def test_any_json_in_a_fence_comes_back_the_same(value: Any) -> None:
    text = f"```json\n{json.dumps([value], indent=1)}\n```"
    parsed = parse_answer(text, {})
    assert (parsed.value, parsed.repaired) == ([value], True)


@given(st.text(max_size=80))
def test_no_text_makes_it_raise(text: str) -> None:
    parse_answer(text, SCHEMA)


def test_no_reference_is_fetched() -> None:
    elsewhere = {"prefixItems": [{"$ref": "http://127.0.0.1:9/schema.json"}]}
    with pytest.raises(CallError, match="refers to http"):
        check_schema(elsewhere)
    assert "not there" in parse_answer("{}", elsewhere["prefixItems"][0]).problem
    assert "not there" in parse_answer("{}", {"$ref": "#/$defs/none"}).problem


def test_a_schema_that_is_none_is_told_before_anything_is_sent() -> None:
    check_schema(SCHEMA)
    with pytest.raises(CallError, match="not a JSON schema"):
        check_schema({"type": "thing"})


def test_what_the_server_is_asked_to_hold_to() -> None:
    wanted = response_format(SCHEMA, "schema")
    assert wanted is not None
    assert wanted["json_schema"]["schema"] == SCHEMA
    assert response_format(SCHEMA, "json_mode") == {"type": "json_object"}
    assert response_format(SCHEMA, "text") is None


def test_a_server_without_schemas_is_told_in_words() -> None:
    [message] = with_schema_in_prompt((Message("user", "Name it."),), SCHEMA)
    assert message.content.startswith("Name it.\n\n")
    assert json.dumps(SCHEMA) in message.content
    kept, added = with_schema_in_prompt((Message("system", "Be brief."),), SCHEMA)
    assert (kept.content, added.role) == ("Be brief.", "user")
