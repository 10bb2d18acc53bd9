"""What a judge is asked: rubric first, material between its lines, and what is wanted after it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_quoting import TEXTS

from palate.judge.prompting import (
    Mode,
    judge_messages,
    listwise_data,
    pairwise_data,
    pointwise_data,
    verdict_schema,
)
from palate.judge.quoting import read_blocks
from palate.judge.rubric import Rubric, load_rubric, parse_rubric
from palate.records import Message, Messages

PROMPT = (Message("system", "Be brief."), Message("user", "Why?"))
TITLES = parse_rubric(
    "name: titles\n"
    "instruction: Which would you click?\n"
    "criteria: [{name: pull, description: It pulls., weight: 3}, {name: honest, description: It holds.}]\n"
    "scale: {min: 0, max: 4, labels: {4: at once}}\n"
)


def said(text: str) -> Messages:
    return (Message("assistant", text),)


@given(TEXTS, TEXTS, TEXTS, st.booleans())
def test_no_answer_reaches_beyond_its_place(
    prompt: str, first: str, second: str, with_reference: bool
) -> None:
    """Whatever stands in the texts, the question around them is the same, and they are read back exactly."""
    reference = prompt if with_reference else None
    example = {"conversation": [], "first": second, "second": first, "preferred": "tie", "note": prompt}
    data = pairwise_data((Message("user", prompt),), said(first), said(second), reference)
    messages = judge_messages("pairwise", TITLES, data, examples=[example])

    plain = pairwise_data((Message("user", "p"),), said("x"), said("y"), None if reference is None else "r")
    harmless = judge_messages("pairwise", TITLES, plain, examples=[example])
    assert [message.role for message in messages] == ["system", "user"]
    assert messages[0] == harmless[0], "the rules are the same, whatever is judged"
    assert read_blocks(messages[1].content) == {"data": data, "examples": {"cases": [example]}}
    assert _around(messages[1].content) == _around(harmless[1].content)


def _around(text: str) -> list[str]:
    """What stands before, between and after the two blocks; of their lines there are exactly four."""
    lines = text.split("\n")
    borders = [number for number, line in enumerate(lines) if line.startswith("<<<")]
    assert len(borders) == 4
    inside = {*range(borders[0], borders[1] + 1), *range(borders[2], borders[3] + 1)}
    return [line for number, line in enumerate(lines) if number not in inside]


@pytest.mark.parametrize("mode", ["pairwise", "pointwise", "listwise"])
def test_the_instruction_stands_before_and_after_what_is_judged(mode: Mode) -> None:
    system, user = judge_messages(mode, TITLES, pairwise_data(PROMPT, said("x"), said("y")))
    assert TITLES.instruction in system.content
    after = user.content.rpartition("<<<end data")[2]
    assert TITLES.instruction in after
    assert '"reasoning"' in after


def test_criteria_stand_in_the_rules_with_their_weights() -> None:
    system, _ = judge_messages("pairwise", TITLES, {})
    assert "- pull (weight 3): It pulls." in system.content
    assert "- honest (weight 1): It holds." in system.content
    same = TITLES.model_copy(update={"criteria": (TITLES.criteria[1],)})
    assert "- honest: It holds." in judge_messages("pairwise", same, {})[0].content


def test_the_scale_is_told_to_a_pointwise_judge_alone() -> None:
    told = {
        mode: judge_messages(mode, TITLES, {})[0].content for mode in ("pairwise", "pointwise", "listwise")
    }
    assert "from 0 (worst) to 4 (best)\n- 4: at once" in told["pointwise"]
    assert "at once" not in told["pairwise"] + told["listwise"]


def test_what_is_shown_of_each_kind_of_question() -> None:
    turns = (Message("assistant", "Let me see."), Message("user", "Well?"), Message("assistant", "So."))
    shown = pairwise_data(PROMPT, said("x"), turns, "because")
    assert list(shown) == ["conversation", "reference", "first", "second"]
    assert shown["conversation"][0] == {"role": "system", "content": "Be brief."}
    assert shown["first"] == "x"
    assert [turn["role"] for turn in shown["second"]] == ["assistant", "user", "assistant"]
    assert list(pointwise_data(PROMPT, said("x"))) == ["conversation", "answer"]
    assert listwise_data(PROMPT, [said("x"), said("y")])["answers"] == {"answer_1": "x", "answer_2": "y"}


def test_a_reference_is_said_to_be_from_whoever_asks() -> None:
    """It may be notes for grading: those are to be followed, though they stand among the material."""
    with_one = judge_messages("pointwise", TITLES, pointwise_data(PROMPT, said("x"), "Names the lake."))
    assert "Its `reference` comes from the person who asks" in with_one[1].content.partition("<<<begin")[0]
    assert (
        "reference" not in judge_messages("pointwise", TITLES, pointwise_data(PROMPT, said("x")))[1].content
    )


def test_reasoning_comes_first_and_the_verdict_last() -> None:
    schema = verdict_schema("pairwise", TITLES)
    assert list(schema["properties"]) == ["reasoning", "criteria", "verdict"] == schema["required"]
    assert list(schema["properties"]["criteria"]["properties"]) == ["pull", "honest"]
    assert schema["properties"]["verdict"]["enum"] == ["first", "second", "tie"]
    assert "maxLength" not in schema["properties"]["reasoning"]
    held = verdict_schema("pairwise", TITLES, max_reasoning_characters=300)
    assert held["properties"]["reasoning"]["maxLength"] == 300


def test_a_rubric_without_ties_has_none_in_the_form_nor_in_the_words() -> None:
    no_ties = load_rubric("preference").model_copy(update={"allow_ties": False})
    assert verdict_schema("pairwise", no_ties)["properties"]["verdict"]["enum"] == ["first", "second"]
    assert "tie" not in judge_messages("pairwise", no_ties, {})[1].content
    assert "no two answers have the same place" in judge_messages("listwise", no_ties, {})[1].content


def test_scores_are_given_by_criterion_or_on_the_whole() -> None:
    by_criterion = verdict_schema("pointwise", TITLES)
    assert list(by_criterion["properties"]) == ["reasoning", "criteria"]
    assert by_criterion["properties"]["criteria"]["properties"]["pull"]["enum"] == [0, 1, 2, 3, 4]
    whole = verdict_schema("pointwise", load_rubric("preference"))
    assert list(whole["properties"]) == ["reasoning", "score"]
    assert whole["properties"]["score"]["enum"] == list(range(1, 11))


def test_every_answer_of_a_list_has_a_place() -> None:
    places = verdict_schema("listwise", TITLES, num_answers=3)["properties"]["places"]
    assert places["required"] == ["answer_1", "answer_2", "answer_3"]
    assert places["properties"]["answer_2"]["enum"] == [1, 2, 3]


@pytest.mark.parametrize("mode", ["pairwise", "pointwise", "listwise"])
@pytest.mark.parametrize("rubric", [TITLES, load_rubric("preference")], ids=lambda rubric: rubric.name)
def test_every_form_is_one_that_servers_hold_to(mode: Mode, rubric: Rubric) -> None:
    """Strict modes want every property required and nothing beside."""
    from palate.asking.structured import check_schema

    schema = verdict_schema(mode, rubric, num_answers=2)
    check_schema(schema)
    for each in [schema, *(inner for inner in schema["properties"].values() if "properties" in inner)]:
        assert each["required"] == list(each["properties"])
        assert each["additionalProperties"] is False
