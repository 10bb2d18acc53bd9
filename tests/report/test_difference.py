"""Marks of what differs: every text stays whole, and the marks are where a reader would put them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.report.difference import Span, mark_differences


def marked(spans: tuple[Span, ...]) -> list[str]:
    return [span.text for span in spans if span.changed]


def test_a_changed_word_is_marked_on_both_sides() -> None:
    before, after = mark_differences("the cat sat on the warm mat", "the cat sat on the cold mat")
    assert marked(before) == ["warm"]
    assert marked(after) == ["cold"]


def test_a_dropped_ending_is_marked_without_its_space() -> None:
    before, after = mark_differences("It is warm inside. I hope this helps!", "It is warm inside.")
    assert marked(before) == ["I hope this helps!"]
    assert marked(after) == []


def test_chinese_is_compared_by_character() -> None:
    before, after = mark_differences("用亚麻布包好放在阴凉的地方", "用棉布包好放在阴凉的地方")
    assert marked(before) == ["亚麻"]
    assert marked(after) == ["棉"]


@pytest.mark.parametrize(
    ("before", "after"), [("same", "same"), ("", "new"), ("old", ""), ("abc def", "xyz uvw")]
)
def test_nothing_is_marked_where_marks_say_nothing(before: str, after: str) -> None:
    assert not any(marked(spans) for spans in mark_differences(before, after))


def test_a_text_too_long_to_compare_is_left_unmarked() -> None:
    assert mark_differences("word " * 4000, "word " * 3999 + "end") == (
        (Span("word " * 4000, False),),
        (Span("word " * 3999 + "end", False),),
    )


words = st.lists(
    st.sampled_from(["one", "two", "three", " ", "\n", ",", "好", "🙂", "<b>"]), max_size=30
).map("".join)


@given(words, words)
def test_spans_always_add_up_to_the_text(before: str, after: str) -> None:
    old, new = mark_differences(before, after)
    assert "".join(span.text for span in old) == before
    assert "".join(span.text for span in new) == after
