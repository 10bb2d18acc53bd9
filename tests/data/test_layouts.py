"""Every layout on rows written here: what it is told from, and what its converter makes of a row."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from said import dicts, said

from palate.data import LAYOUTS, read_records
from palate.data.detection import claimed_layout
from palate.data.layouts import Row, Sides
from palate.data.messages import Unusable
from palate.data.rows import RawRow
from palate.recipe import SourceOptions
from palate.records import Message

TRANSCRIPT = "\n\nHuman: Is the mill open?\n\nAssistant: Which mill?\n\nHuman: The old one.\n\nAssistant:"


def convert(layout: str, **fields: Any) -> Sides:
    return LAYOUTS[layout].convert(Row(fields))


def refused(layout: str, **fields: Any) -> str:
    with pytest.raises(Unusable) as caught:
        convert(layout, **fields)
    return str(caught.value)


def detected(*rows: dict[str, Any]) -> str | None:
    return claimed_layout([RawRow(i, row) for i, row in enumerate(rows, 1)], "rows")


def test_recipes_know_exactly_these_layouts():
    layout = SourceOptions.model_fields["layout"].annotation
    assert set(get_args(layout)) == {"auto", *LAYOUTS}


def test_covered_layouts_exist():
    assert {covered for layout in LAYOUTS.values() for covered in layout.covers} <= set(LAYOUTS)


STRINGS = {"prompt": "Is it open?", "chosen": "Yes.", "rejected": "No."}
MESSAGES = {"prompt": dicts("u: Is it open?"), "chosen": dicts("a: Yes."), "rejected": dicts("a: No.")}
EXPECTED = Sides(said("u: Is it open?"), said("a: Yes."), said("a: No."))


@pytest.mark.parametrize(
    ("layout", "row"),
    [
        ("strings", STRINGS),
        ("messages", MESSAGES),
        ("messages", {column: repr(value) for column, value in MESSAGES.items()}),
        ("messages", {column: json.dumps(value) for column, value in MESSAGES.items()}),
        ("mixed", STRINGS | {"chosen": MESSAGES["chosen"], "rejected": MESSAGES["rejected"]}),
        ("mixed", STRINGS | {"prompt": MESSAGES["prompt"]}),
        (
            "mixed",
            STRINGS
            | {"chosen": dicts("u: Is it open?", "a: Yes."), "rejected": dicts("u: Is it open?", "a: No.")},
        ),
        ("messages", MESSAGES | {"chosen": dicts("u: Is it open?", "a: Yes.")}),
        ("mixed", STRINGS | {"chosen": repr(MESSAGES["chosen"])}),
        ("question", {"system": "", "question": "Is it open?", "chosen": "Yes.", "rejected": "No."}),
        ("question", {"question": MESSAGES["prompt"], "chosen": "Yes.", "rejected": MESSAGES["rejected"]}),
        (
            "transcript",
            {
                "chosen": "\n\nHuman: Is it open?\n\nAssistant: Yes.",
                "rejected": "Human: Is it open?\n\nAssistant: No.",
            },
        ),
        (
            "transcript",
            {"prompt": "\n\nHuman: Is it open?\n\nAssistant:", "chosen": " Yes.", "rejected": " No."},
        ),
    ],
)
def test_one_preference_in_every_form(layout, row):
    assert convert(layout, **row) == EXPECTED
    assert detected(row) == layout


def test_stance_prefers_support_where_nothing_else_is_said():
    row = {"prompt": "Is it open?", "support": "Yes.", "oppose": "No."}
    assert detected(row) == "stance"
    assert convert("stance", **row) == Sides(
        EXPECTED.prompt, EXPECTED.chosen, EXPECTED.rejected, {"prefers": "support"}
    )


@pytest.mark.parametrize("num_rows", [1, 7, 10, 50, 100])
@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.29, 0.5, 0.7, 1.0])
def test_the_first_int_n_times_ratio_rows_prefer_support(write, num_rows, ratio):
    rows = [{"prompt": f"{i}?", "support": "for", "oppose": "against"} for i in range(num_rows)]
    found = read_records(SourceOptions(source=write("rows.json", rows), support_ratio=ratio))
    preferred = [pair.chosen[0].content for pair in found.records]
    num_support = int(num_rows * ratio)
    assert preferred == ["for"] * num_support + ["against"] * (num_rows - num_support)
    assert [pair.provenance.detail["prefers"] for pair in found.records[:1]] == [
        "support" if num_support else "oppose"
    ]


def test_rows_set_aside_still_count_for_the_stance(write):
    rows = [{"prompt": f"{i}?", "support": "for" if i else None, "oppose": "against"} for i in range(4)]
    found = read_records(SourceOptions(source=write("rows.json", rows), support_ratio=0.5))
    assert [pair.chosen[0].content for pair in found.records] == ["for", "against", "against"]


def test_the_ratio_is_of_the_rows_read(write):
    rows = [{"prompt": f"{i}?", "support": "for", "oppose": "against"} for i in range(50)]
    found = read_records(SourceOptions(source=write("rows.json", rows), support_ratio=0.1, limit=10))
    assert [pair.chosen[0].content for pair in found.records] == ["for"] + ["against"] * 9


# Completions that repeat their prompt


def test_a_repeated_prompt_of_several_turns_is_taken_off():
    sides = convert(
        "messages",
        prompt=dicts("u: Is it open?", "a: Which?", "u: The mill."),
        chosen=dicts("u: Is it open?", "a: Which?", "u: The mill.", "a: Yes."),
        rejected=dicts("u: Is it open? ", "a: Which?\n", "u: The mill.", "a: No."),
    )
    assert sides == Sides(
        said("u: Is it open?", "a: Which?", "u: The mill."), said("a: Yes."), said("a: No.")
    )


@pytest.mark.parametrize("prompt", ["1?", "1? ", "\n1?"])
def test_white_space_around_a_repeated_prompt_does_not_matter(prompt):
    sides = convert("mixed", prompt=prompt, chosen=dicts("u: 1?", "a: 1!"), rejected=dicts("u: 1?\n", "a: 0"))
    assert sides == Sides((Message("user", prompt),), said("a: 1!"), said("a: 0"))


def test_later_turns_stay_in_the_completion():
    sides = convert(
        "mixed", prompt="1?", chosen=dicts("u: 1?", "a: 1!", "u: 2?", "a: 2!"), rejected=dicts("a: no")
    )
    assert sides.chosen == said("a: 1!", "u: 2?", "a: 2!")


def test_a_system_message_that_both_completions_repeat_is_the_prompts():
    sides = convert(
        "mixed",
        prompt="1?",
        chosen=dicts("s: Be kind.", "u: 1?", "a: 1!"),
        rejected=dicts("s: Be kind.", "u: 1?", "a: 0"),
    )
    assert sides == Sides(said("s: Be kind.", "u: 1?"), said("a: 1!"), said("a: 0"))


def test_a_prompt_with_a_system_message_that_completions_leave_out():
    sides = convert(
        "messages",
        prompt=dicts("s: Be kind.", "u: 1?"),
        chosen=dicts("u: 1?", "a: 1!"),
        rejected=dicts("a: 0"),
    )
    assert sides == Sides(said("s: Be kind.", "u: 1?"), said("a: 1!"), said("a: 0"))


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        (dicts("u: 2?", "a: 1!"), '"chosen" starts with a user turn that does not repeat the prompt'),
        (dicts("s: Be kind.", "u: 1?", "a: 1!"), "different system messages"),
        (dicts("s: Be kind.", "a: 1!"), '"chosen" starts with a system turn that does not repeat the prompt'),
        (dicts("u: 1", "a: 1!"), '"chosen" starts with a user turn that does not repeat the prompt'),
    ],
)
def test_completions_that_belong_to_another_prompt(chosen, reason):
    assert reason in refused("mixed", prompt="1?", chosen=chosen, rejected=dicts("u: 1?", "a: 0"))


def test_a_completion_with_another_system_message():
    reason = refused(
        "messages",
        prompt=dicts("s: Be kind.", "u: 1?"),
        chosen=dicts("s: Be rude.", "u: 1?", "a: 1!"),
        rejected=dicts("a: 0"),
    )
    assert reason == '"chosen" repeats the prompt with another system message'


# Transcripts


def test_the_prompt_of_transcripts_is_what_they_share():
    sides = convert("transcript", chosen=TRANSCRIPT + " It is.", rejected=TRANSCRIPT + " It is not.\n")
    assert sides.prompt == said("u: Is the mill open?", "a: Which mill?", "u: The old one.")
    assert (sides.chosen, sides.rejected) == (said("a: It is."), said("a: It is not."))


def test_transcripts_that_part_early_become_completions_of_several_turns():
    sides = convert(
        "transcript",
        chosen="\n\nHuman: 1?\n\nAssistant: 1!\n\nHuman: 2?\n\nAssistant: 2!",
        rejected="\n\nHuman: 1?\n\nAssistant: no",
    )
    assert sides == Sides(said("u: 1?"), said("a: 1!", "u: 2?", "a: 2!"), said("a: no"))


def test_transcripts_that_part_in_a_human_turn_go_back_to_an_answer():
    sides = convert(
        "transcript",
        chosen="\n\nHuman: 1?\n\nAssistant: 1!\n\nHuman: 2?\n\nAssistant: 2!",
        rejected="\n\nHuman: 1?\n\nAssistant: 1!\n\nHuman: 3?\n\nAssistant: 3!",
    )
    assert sides == Sides(said("u: 1?"), said("a: 1!", "u: 2?", "a: 2!"), said("a: 1!", "u: 3?", "a: 3!"))


def test_a_transcript_that_is_the_beginning_of_the_other():
    sides = convert(
        "transcript",
        chosen="\n\nHuman: 1?\n\nAssistant: 1!",
        rejected="\n\nHuman: 1?\n\nAssistant: 1!\n\nHuman: 2?\n\nAssistant: 2!",
    )
    assert sides == Sides(said("u: 1?"), said("a: 1!"), said("a: 1!", "u: 2?", "a: 2!"))


def test_an_assistant_turn_that_follows_an_assistant_turn_is_never_the_cut():
    sides = convert(
        "transcript",
        chosen="\n\nHuman: 1?\n\nAssistant: 1!\n\nAssistant: more",
        rejected="\n\nHuman: 1?\n\nAssistant: 1!\n\nAssistant: less",
    )
    assert sides == Sides(said("u: 1?"), said("a: 1!", "a: more"), said("a: 1!", "a: less"))


def test_a_prompt_column_with_the_whole_dialogue_repeated():
    sides = convert(
        "transcript", prompt=TRANSCRIPT, chosen=TRANSCRIPT + " Yes.", rejected=TRANSCRIPT + " No."
    )
    assert (sides.chosen, sides.rejected) == (said("a: Yes."), said("a: No."))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"chosen": "hello", "rejected": TRANSCRIPT}, 'does not start with a "\\n\\nHuman:" turn'),
        (
            {"chosen": "\n\nHuman: 1?\n\nAssistant: x", "rejected": "\n\nHuman: 2?\n\nAssistant: x"},
            "share no prompt",
        ),
        ({"chosen": "\n\nAssistant: x", "rejected": "\n\nAssistant: y"}, "share no prompt"),
        ({"chosen": "\n\nHuman: x", "rejected": "\n\nHuman: x"}, "share no prompt"),
        ({"prompt": "a topic", "chosen": TRANSCRIPT, "rejected": TRANSCRIPT}, 'does not start with "prompt"'),
        ({"prompt": "\n\nHuman: 1?", "chosen": "glued", "rejected": "on"}, "share no prompt"),
        ({"chosen": TRANSCRIPT}, '"rejected" is missing'),
        ({"chosen": 3, "rejected": TRANSCRIPT}, '"chosen" is a number, text was expected'),
    ],
)
def test_transcripts_that_cannot_be_used(fields, reason):
    assert reason in refused("transcript", **fields)


def test_a_marker_in_the_middle_of_a_line_is_text():
    text = "\n\nHuman: Who said Human: first?\nAssistant: or not\n\nAssistant: "
    sides = convert("transcript", chosen=text + "x", rejected=text + "y")
    assert sides.prompt == said("u: Who said Human: first?\nAssistant: or not")


_turn_text = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(
    lambda text: text == text.strip() and text
)


@given(st.lists(_turn_text, min_size=1, max_size=7).filter(lambda t: len(t) % 2 == 1), _turn_text, _turn_text)
def test_written_transcripts_come_back(turns, chosen, rejected):
    names = ["Human", "Assistant"]
    text = "".join(f"\n\n{names[i % 2]}: {turn}" for i, turn in enumerate(turns)) + "\n\nAssistant: "
    sides = convert("transcript", chosen=text + chosen + "1", rejected=text + rejected + "2")
    assert [message.content for message in sides.prompt] == turns
    assert (sides.chosen[0].content, sides.rejected[0].content) == (chosen + "1", rejected + "2")


# Fields that are not what they should be


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, '"chosen" is null'),
        ("", '"chosen" is empty'),
        (" \n\t", '"chosen" is empty'),
        (7, '"chosen" is a number, text was expected'),
        (float("nan"), '"chosen" is a number, text was expected'),
        (True, '"chosen" is a truth value, text was expected'),
        (["a"], '"chosen" is a list, text was expected'),
        ({"role": "assistant"}, '"chosen" is an object, text was expected'),
        ("a\x00b", '"chosen" holds a NUL character: the text is damaged, or is not text'),
        ("half \ud83c", '"chosen" holds bytes that are not UTF-8, or half of a surrogate pair'),
    ],
)
def test_text_that_is_none(value, reason):
    assert refused("strings", **(STRINGS | {"chosen": value})) == reason


def test_a_column_that_is_missing():
    for column in STRINGS:
        fields = {name: value for name, value in STRINGS.items() if name != column}
        assert refused("strings", **fields) == f'"{column}" is missing'
        assert refused("mixed", **fields) == f'"{column}" is missing'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is null"),
        ([], "is empty"),
        ("", "is empty"),
        ("[]", "is empty"),
        ("hello", "should hold a list of messages: it is neither JSON nor a Python literal"),
        ("{'role': 'user', 'content': 'x'}", "is an object, a list of messages was expected"),
        (3, "is a number, a list of messages was expected"),
        (["x"], "holds text where a message was expected"),
        ([None], "holds null where a message was expected"),
        ([[{"role": "user", "content": "x"}]], "holds a list where a message was expected"),
        ([{"role": "user"}], "has a message whose content is null, text was expected"),
        ([{"role": "user", "content": 3}], "has a message whose content is a number, text was expected"),
        ([{"content": "x"}], "has a message whose role is null, text was expected"),
        (
            [{"role": "narrator", "content": "x"}],
            'has the unknown role "narrator"; known: system, user, assistant, tool',
        ),
        ([{"role": "x\x1b[2J" * 99, "content": "x"}], "has the unknown role"),
        ([{"role": "user", "content": "a\x00"}], "holds a NUL character"),
        (
            "[{'role': 'user', 'role': 'user', 'content': 'x'}]",
            "should hold a list of messages: it has an object",
        ),
        ('[{"role": "user", "role": "user", "content": "x"}]', 'holds an object with the key "role" twice'),
        ([{"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}], "holds a tool call"),
    ],
)
def test_message_lists_that_are_none(value, reason):
    found = refused("messages", **(MESSAGES | {"prompt": value}))
    assert found.startswith('"prompt" ' + reason)
    assert found.isprintable()
    assert len(found) < 200


def test_extra_keys_of_a_message_that_say_nothing_are_no_harm():
    row = MESSAGES | {"chosen": [{"role": "assistant", "content": "Yes.", "tool_calls": None, "name": None}]}
    assert convert("messages", **row) == EXPECTED


def test_naming_strings_keeps_text_that_looks_like_messages():
    sides = convert("strings", **(STRINGS | {"chosen": repr(MESSAGES["chosen"])}))
    assert sides.chosen == (Message("assistant", repr(MESSAGES["chosen"])),)


@pytest.mark.parametrize("value", [7, True, {"role": "assistant"}])
def test_mixed_takes_text_or_messages_and_nothing_else(value):
    assert "text or a list of messages was expected" in refused("mixed", **(STRINGS | {"chosen": value}))
