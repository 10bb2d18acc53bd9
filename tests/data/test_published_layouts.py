"""The layouts of published data sets: what each is told from, and what its rows become."""

from __future__ import annotations

import json
from typing import Any

import pytest
from layout_rows import ALL_ROWS, ASKED, BETTER, CHOSEN, HUMAN, OTHER_ROWS, PAIR_ROWS, PROMPT, REJECTED, turn
from said import dicts, said

from palate.data import LAYOUTS, read_records
from palate.data.detection import claimed_layout
from palate.data.layouts import Ordered, Row, Sides, Single
from palate.data.messages import Unusable
from palate.data.rows import RawRow
from palate.recipe import LABEL_LAYOUTS, RANKING_LAYOUTS, SourceOptions
from palate.records import Message


def convert(layout: str, fields: dict[str, Any]) -> Any:
    return LAYOUTS[layout].convert(Row(fields))


def refused(layout: str, fields: dict[str, Any]) -> str:
    with pytest.raises(Unusable) as caught:
        convert(layout, fields)
    return str(caught.value)


def first(layout: str) -> dict[str, Any]:
    return ALL_ROWS[layout][0]


# Which rows are whose


def test_there_are_rows_of_every_layout():
    assert set(ALL_ROWS) == set(LAYOUTS)


def test_recipes_know_which_layouts_are_no_pairs():
    kinds = {name: layout.kind for name, layout in LAYOUTS.items()}
    assert {name for name, kind in kinds.items() if kind == "labels"} == LABEL_LAYOUTS
    assert {name for name, kind in kinds.items() if kind == "rankings"} == RANKING_LAYOUTS


@pytest.mark.parametrize("layout", ALL_ROWS)
def test_its_rows_are_claimed_by_it_and_by_nothing_else(layout):
    for row in ALL_ROWS[layout]:
        assert [name for name, known in LAYOUTS.items() if known.claims(row)] == [layout]


@pytest.mark.parametrize("layout", ALL_ROWS)
def test_its_rows_are_kept_and_have_its_kind(write, layout):
    found = read_records(SourceOptions(source=write("rows.json", ALL_ROWS[layout])))
    assert (found.layout, found.set_aside, found.kind) == (layout, (), LAYOUTS[layout].kind)


@pytest.mark.parametrize("written", [json.dumps, repr])
@pytest.mark.parametrize("layout", ALL_ROWS)
def test_rows_written_into_cells_say_what_they_said(write, layout, written):
    for row in ALL_ROWS[layout]:
        cells = {k: written(v) if isinstance(v, dict | list) else v for k, v in row.items()}
        found = read_records(SourceOptions(source=write("rows.csv", [cells]), layout=layout))
        (meant,) = read_records(SourceOptions(source=write("rows.json", [row]), layout=layout)).records
        assert found.set_aside == ()
        assert [record.id for record in found.records] == [meant.id]
        assert [record.weight for record in found.records] == [meant.weight]


@pytest.mark.parametrize("answer", ['{"from": "Rome", "to": "Paris"}', '{"content": 3}', "{", "{'a': 1}"])
def test_an_answer_in_json_is_no_message(answer):
    row = first("sharegpt") | {"chosen": answer}
    assert convert("sharegpt", row).chosen == said(f"a: {answer}")


@pytest.mark.parametrize("one", ALL_ROWS)
@pytest.mark.parametrize("other", ALL_ROWS)
def test_rows_of_two_layouts_are_told_apart_or_ambiguous(one, other):
    """Ten of each: never one layout for both, but where it covers the other."""
    from palate.errors import DataError

    rows = [RawRow(i, row) for i, row in enumerate([first(one)] * 10 + [first(other)] * 10)]
    covers = {one, other} <= {one, *LAYOUTS[one].covers} or {one, other} <= {other, *LAYOUTS[other].covers}
    both_in_mixed = {one, other} <= {"mixed", *LAYOUTS["mixed"].covers}
    if one == other or covers or both_in_mixed:
        assert claimed_layout(rows, "x") == (one if one == other else "mixed")
        return
    with pytest.raises(DataError) as caught:
        claimed_layout(rows, "x")
    assert {one, other} <= set(caught.value.what.partition(": ")[2].split(", "))


@pytest.mark.parametrize("layout", PAIR_ROWS)
def test_one_preference_in_every_layout(layout):
    for row in PAIR_ROWS[layout]:
        found = convert(layout, row)
        assert (found.prompt, found.chosen, found.rejected) == (
            said(f"u: {ASKED}"),
            said(f"a: {BETTER}"),
            said(f"a: {REJECTED[0]['content']}"),
        )


# The prompt inside both sides


def test_dialogues_of_several_turns_with_system_and_tool_turns():
    before = dicts("s: Be brief.", "u: 1?", "a: Wait.", "t: {}", "a: Which?", "u: 2?")
    row = {"chosen": before + dicts("a: yes"), "rejected": before + dicts("a: no", "u: Really?", "a: No.")}
    sides = convert("implicit", row)
    assert sides.prompt == said("s: Be brief.", "u: 1?", "a: Wait.", "t: {}", "a: Which?", "u: 2?")
    assert (sides.chosen, sides.rejected) == (said("a: yes"), said("a: no", "u: Really?", "a: No."))


def test_a_tool_turn_may_be_what_is_answered():
    before = dicts("u: 1?", "a: Wait.", "t: 7")
    sides = convert("implicit", {"chosen": before + dicts("a: 7"), "rejected": before + dicts("a: 8")})
    assert sides.prompt == said("u: 1?", "a: Wait.", "t: 7")


@pytest.mark.parametrize(
    ("layout", "change", "code"),
    [
        ("sharegpt", {"conversations": []}, ""),
        ("openai", {"input": {"messages": []}}, ""),
        ("summaries", {"info": {"post": "x", "title": ""}}, ""),
        ("openai", {"preferred_output": []}, "empty_side"),
        ("helpsteer3", {"response2": ""}, "empty_side"),
        ("nectar", {"answers": [{"answer": "", "rank": 1}, {"answer": "x", "rank": 2}]}, "empty_side"),
    ],
)
def test_an_empty_side_is_told_from_an_empty_prompt(layout, change, code):
    with pytest.raises(Unusable, match="is empty") as caught:
        convert(layout, first(layout) | change)
    assert caught.value.code == code


@pytest.mark.parametrize("prompt", ["1?", "2?", " 2?\n"])
def test_a_prompt_column_that_repeats_the_first_or_the_last_user_turn(prompt):
    before = dicts("s: Be brief.", "u: 1?", "a: Which?", "u: 2?")
    row = {"prompt": prompt, "chosen": before + dicts("a: yes"), "rejected": before + dicts("a: no")}
    sides = convert("mixed", row)
    assert sides.prompt[0] == Message("system", "Be brief.")
    assert [message.content.strip() for message in sides.prompt] == ["Be brief.", "1?", "Which?", "2?"]
    assert (sides.chosen, sides.rejected) == (said("a: yes"), said("a: no"))


def test_a_prompt_column_that_is_in_neither_side_is_not_passed_over():
    before = dicts("u: 1?")
    row = {"prompt": "3?", "chosen": before + dicts("a: yes"), "rejected": before + dicts("a: no")}
    assert "does not repeat the prompt" in refused("mixed", row)


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        (dicts("u: 1?", "a: x"), dicts("u: 2?", "a: x"), "share no prompt that both answer"),
        (dicts("a: x"), dicts("a: y"), "share no prompt that both answer"),
        ([], dicts("u: 1?", "a: y"), '"chosen" is empty'),
        (
            [*PROMPT, {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}],
            PROMPT + CHOSEN,
            '"chosen" holds a tool call, which would be lost',
        ),
    ],
)
def test_dialogues_that_are_no_pair(chosen, rejected, reason):
    assert reason in refused("implicit", {"chosen": chosen, "rejected": rejected})


# ShareGPT and OpenAI


def test_every_speaker_of_sharegpt():
    said_before = [turn("system", "Be brief."), turn("human", "1?"), turn("model", "Wait."),
                   turn("observation", "7"), turn("assistant", "Which?"), turn("user", "2?")]  # fmt: skip
    row = {"conversations": said_before, "chosen": turn("gpt", "yes"), "rejected": turn("gpt", "no")}
    assert convert("sharegpt", row).prompt == said(
        "s: Be brief.", "u: 1?", "a: Wait.", "t: 7", "a: Which?", "u: 2?"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"conversations": [turn("function_call", "{}")]}, "holds a tool call"),
        ({"conversations": [turn("narrator", "x")]}, 'has the unknown speaker "narrator"; known: human'),
        ({"conversations": [{"from": "human", "value": 3}]}, "a message whose value is a number"),
        ({"conversations": [{"from": None, "value": "x"}]}, "a message whose from is null"),
        ({"tools": [{"name": "clock"}]}, '"tools" offers tools, which would be lost'),
        ({"rejected": None}, '"rejected" is null'),
    ],
)
def test_sharegpt_rows_that_cannot_be_used(change, reason):
    assert reason in refused("sharegpt", first("sharegpt") | change)


def test_a_dialogue_that_nobody_has_to_answer_is_set_aside(write):
    row = first("sharegpt") | {"conversations": [turn("human", "1?"), turn("gpt", "1!")]}
    found = read_records(SourceOptions(source=write("rows.json", [row])))
    assert "the prompt ends with a turn of assistant" in found.set_aside[0].reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"input": {"messages": PROMPT, "tools": [{"type": "function"}]}}, '"tools" offers tools'),
        ({"input": {}}, '"input.messages" is null'),
        ({"input": "{'messages'"}, '"input" should hold an object with messages'),
        ({"input": [1]}, '"input" is a list, an object with messages was expected'),
        ({"preferred_output": []}, '"preferred_output" is empty'),
    ],
)
def test_openai_rows_that_cannot_be_used(change, reason):
    assert reason in refused("openai", first("openai") | change)


def test_an_input_written_into_a_cell():
    row = first("openai") | {"input": '{"messages": [{"role": "user", "content": "1?"}]}'}
    assert convert("openai", row).prompt == said("u: 1?")


def test_text_in_parts_is_text_and_a_picture_is_not():
    parts = [{"type": "text", "text": "Is the mill "}, {"type": "text", "text": "open?"}]
    row = first("openai") | {"input": {"messages": [{"role": "user", "content": parts}]}}
    assert convert("openai", row).prompt == said(f"u: {ASKED}")
    row["input"]["messages"][0]["content"].append({"type": "image_url", "image_url": {}})
    assert "parts that are no text" in refused("openai", row)


@pytest.mark.parametrize(
    ("winner", "reason"), [("tie", "is a tie"), ("tie (bothbad)", "is a tie"), (3, "neither model_a nor")]
)
def test_an_arena_without_a_winner(winner, reason):
    assert reason in refused("arena", first("arena") | {"winner": winner})


def test_an_arena_keeps_who_said_what():
    assert convert("arena", first("arena")).detail == {"chosen_model": "small", "rejected_model": "big"}


# Alpaca


def test_input_and_history_are_part_of_the_prompt():
    row = {
        "instruction": "Translate.",
        "input": "mill",
        "history": [["Hello?", "Hello!"]],
        "chosen": "Mühle",
        "rejected": "mill",
    }
    assert convert("instruction", row).prompt == said("u: Hello?", "a: Hello!", "u: Translate.\n\nmill")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"history": ["x"]}, '"history" holds text where a question and its answer were expected'),
        ({"history": [["x", None]]}, '"history 1, answer" is null'),
        ({"input": ["x"]}, '"input" is a list, text was expected'),
        ({"instruction": " "}, '"instruction" is empty'),
    ],
)
def test_instructions_that_cannot_be_used(change, reason):
    assert reason in refused("instruction", first("instruction") | change)


def test_output_holds_two_answers_or_is_no_pair():
    row = {"instruction": "1?", "output": ["yes", "no", "hm"]}
    assert refused("instruction", row) == '"output" holds 3 answers, the better and the worse were expected'
    assert not LAYOUTS["instruction"].claims(row)
    assert not LAYOUTS["instruction"].claims({"instruction": "1?", "output": "yes"})


@pytest.mark.parametrize("row", OTHER_ROWS["kto_tag"])
@pytest.mark.parametrize("tag", [True, False, "true", 0])
def test_kto_tags(row, tag):
    desirable = tag in (True, "true")
    column = "label" if "label" in row else "kto_tag"
    assert convert("kto_tag", row | {column: tag}) == Single(
        said(f"u: {ASKED}"), said(f"a: {BETTER}"), desirable
    )


@pytest.mark.parametrize("column", [{"label": "spam"}, {"label": 1}, {"label": True, "chosen": "x"}])
def test_a_dialogue_with_another_label_is_no_tagged_one(column):
    assert not LAYOUTS["kto_tag"].claims({"messages": PROMPT + CHOSEN} | column)


def test_webgpt_goes_by_its_scores():
    assert convert("webgpt", first("webgpt")).gap == 1
    assert "neither is better" in refused("webgpt", first("webgpt") | {"score_0": 0, "score_1": "0"})
    for question in ({"id": 1}, {"full_text": None}):
        assert '"question" is ' in refused("webgpt", first("webgpt") | {"question": question})


def test_a_tagged_dialogue_without_an_answer():
    assert "ends with a user turn, there is no answer" in refused(
        "kto_tag", {"messages": PROMPT, "kto_tag": True}
    )


# Two answers and a choice


def test_shp_says_which_and_by_how_much():
    row = first("shp") | {"score_A": 52, "score_B": 13, "labels": 1}
    assert convert("shp", row).gap == 39
    assert convert("shp", row | {"labels": 0}).gap == -39
    assert convert("shp", first("shp")).gap is None


@pytest.mark.parametrize("label", [2, -1, 0.5])
def test_a_label_that_is_neither(label):
    assert refused("shp", first("shp") | {"labels": label}) == (
        '"labels" is neither 0 nor 1, so neither side is better'
    )


def test_saferlhf_goes_by_better_and_keeps_what_is_said_of_safety():
    row = first("saferlhf") | {
        "safer_response_id": 1,
        "is_response_0_safe": False,
        "is_response_1_safe": True,
    }
    sides = convert("saferlhf", row)
    assert sides.chosen == said(f"a: {BETTER}")
    assert sides.detail == {
        "preferred": 0,
        "safer_response_id": 1,
        "is_response_0_safe": False,
        "is_response_1_safe": True,
    }


@pytest.mark.parametrize(
    ("preference", "better", "gap"), [(-3, "one", 3), (-1, "one", 1), (2, "two", 2), ("3", "two", 3)]
)
def test_helpsteer3_below_zero_is_the_first(preference, better, gap):
    row = {"context": PROMPT, "response1": "one", "response2": "two", "overall_preference": preference}
    sides = convert("helpsteer3", row)
    assert (sides.chosen, sides.gap) == (said(f"a: {better}"), gap)


@pytest.mark.parametrize(
    ("preference", "reason"),
    [(0, "is 0: neither response is better"), (4, "is beyond -3 to 3"), (None, "is null")],
)
def test_helpsteer3_without_a_preference(preference, reason):
    assert reason in refused("helpsteer3", first("helpsteer3") | {"overall_preference": preference})


def test_a_post_is_written_out_with_title_and_subreddit():
    assert convert("summaries", first("summaries")) == Sides(
        said("u: SUBREDDIT: r/mills\n\nTITLE: The mill\n\nPOST: The mill was closed.\n\nTL;DR:"),
        said("a: Closed."),
        said("a: No."),
    )


def test_an_article_and_whose_summaries_they_are():
    row = {
        "info": {"id": "9", "article": "It rained.", "title": None},
        "summaries": [{"text": "Rain.", "policy": "ref"}, {"text": "Sun.", "policy": "sup1"}],
        "choice": 0,
    }
    sides = convert("summaries", row)
    assert sides.prompt == said("u: ARTICLE: It rained.\n\nTL;DR:")
    assert sides.detail == {"chosen_policy": "ref", "rejected_policy": "sup1"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"info": "x"}, '"info" is text, an object was expected'),
        ({"info": {"title": "x"}}, '"info.article" is missing'),
        ({"choice": 2}, '"choice" is neither 0 nor 1'),
        ({"summaries": [{"text": "x"}]}, '"summaries" holds 1 of them, two were expected'),
        (
            {"summaries": ["x", {"text": "y"}]},
            '"summaries" holds text where an object with text was expected',
        ),
        ({"summaries": [{"text": ""}, {"text": "y"}]}, '"summary 1" is empty'),
    ],
)
def test_summaries_that_cannot_be_used(change, reason):
    assert reason in refused("summaries", first("summaries") | change)


# Several answers with scores


def ultrafeedback(*completions: dict[str, Any]) -> Any:
    return convert("ultrafeedback", {"instruction": "1?", "completions": list(completions)})


def test_ultrafeedback_is_ranked_by_its_overall_score():
    found = ultrafeedback(
        {"model": "x", "response": "b", "overall_score": 7.5},
        {"model": "y", "response": "c", "overall_score": 3},
        {"model": "z", "response": "a", "overall_score": "9"},
    )
    assert found == Ordered(
        said("u: 1?"),
        (said("a: a"), said("a: b"), said("a: c")),
        {"models": ["z", "x", "y"]},
        (9.0, 7.5, 3.0),
    )


def test_ultrafeedback_without_overall_scores_is_ranked_by_the_mean_rating():
    """The first: (5 + 3) / 2 = 4, for "N/A" is no rating; the second: (5 + 4) / 2 = 4.5."""
    found = ultrafeedback(
        {
            "response": "b",
            "annotations": {"x": {"Rating": "5"}, "y": {"Rating": "3"}, "z": {"Rating": "N/A"}},
        },
        {"response": "a", "annotations": {"x": {"Rating": "5"}, "y": {"Rating": "4"}}},
    )
    assert (found.completions, found.scores) == ((said("a: a"), said("a: b")), (4.5, 4.0))


def test_scores_of_two_sorts_are_not_compared():
    with pytest.raises(Unusable, match="some completion has no score"):
        ultrafeedback({"response": "a", "overall_score": 9}, {"response": "b", "fine-grained_score": 4})


def test_fine_grained_scores_stand_in_where_an_overall_score_lacks():
    found = ultrafeedback(
        {"response": "a", "overall_score": None, "fine-grained_score": 3},
        {"response": "b", "overall_score": 2, "fine-grained_score": 4},
    )
    assert found.scores == (4.0, 3.0)


def test_nectar_ranks_are_scores_below_zero_and_its_prompt_is_a_dialogue():
    dialogue = "\n\nHuman: 1?\n\nAssistant: 1!\n\nHuman: 2?\n\nAssistant: "
    answers = [{"answer": text, "model": text.upper(), "rank": rank} for text, rank in (("b", 2), ("a", 1))]
    found = convert("nectar", {"prompt": dialogue, "answers": answers})
    assert found == Ordered(
        said("u: 1?", "a: 1!", "u: 2?"), (said("a: a"), said("a: b")), {"models": ["A", "B"]}, (-1.0, -2.0)
    )


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([{"answer": "a", "rank": 1}], '"answers" holds fewer than two completions'),
        ([{"answer": "a", "rank": 1}, "b"], '"answers" holds text where an object was expected'),
        ([{"answer": "a", "rank": 1}, {"answer": "b"}], '"rank" is null, a number was expected'),
        ([{"answer": "a", "rank": 1}, {"answer": None, "rank": 2}], '"answer 2" is null'),
        ([{"answer": "a", "rank": 1}, {"answer": "b", "rank": 1}], "all completions tie"),
        ([{"answer": "a", "rank": 1}, {"answer": "a", "rank": 2}], "fewer than two different completions"),
    ],
)
def test_answers_that_cannot_be_ranked(answers, reason):
    assert reason in refused("nectar", {"prompt": HUMAN, "answers": answers})


@pytest.mark.parametrize(
    ("columns", "gap"),
    [
        ({"score_chosen": 8.5, "score_rejected": 6}, 2.5),
        ({"chosen_rating": 4, "rejected_rating": 5}, -1),
        ({"chosen-rating": "4", "rejected-rating": None}, None),
        ({"score_chosen": None, "score_rejected": 1, "chosen_rating": 4, "rejected_rating": 1}, 3),
        ({}, None),
    ],
)
def test_what_both_sides_scored_is_a_gap(columns, gap):
    for layout in ("strings", "messages", "mixed", "implicit", "transcript", "question", "sharegpt"):
        assert convert(layout, first(layout) | columns).gap == gap
