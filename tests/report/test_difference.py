"""Marks of what differs: every text stays whole, and the marks are where a reader would put them."""

from __future__ import annotations

from difflib import Match, SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.report.difference import _TOKEN, MAX_WORK, Effort, Span, _opcodes, mark_differences


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


class Counted(SequenceMatcher[str]):
    """Counts the pairs of equal tokens that the search for a longest run meets."""

    met = 0

    def find_longest_match(
        self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None
    ) -> Match:
        Counted.met += sum(len(self.b2j.get(token, ())) for token in self.a[alo:ahi])
        assert Counted.met <= MAX_WORK
        return super().find_longest_match(alo, ahi, blo, bhi)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (",;" * 1500, ";,;" * 1000),
        (", ; " * 700, ";, " * 900),
        ("的一是不" * 700, "是的不一" * 700),
        ("a b c " * 400, "b a c " * 400),
    ],
)
def test_no_two_answers_take_more_than_so_much_work(
    before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palate.report.difference.SequenceMatcher", Counted)
    monkeypatch.setattr(Counted, "met", 0)
    old, new = mark_differences(before, after)
    assert 0 < Counted.met <= MAX_WORK
    assert "".join(span.text for span in old) == before and "".join(span.text for span in new) == after


def test_answers_behind_those_that_a_page_is_worth_are_left_unmarked() -> None:
    before, after = "the cat sat on the warm mat", "the cat sat on the cold mat"
    effort = Effort(300)
    shown = [marked(mark_differences(before, after, effort)[1]) for _ in range(20)]
    assert shown[0] == ["cold"] and shown[-1] == []
    assert 0 <= effort.left < 300
    assert shown == sorted(shown, reverse=True)


@given(st.lists(st.sampled_from("ab ,"), max_size=40).map("".join), st.text("ab ,", max_size=40))
def test_it_finds_what_the_plain_matcher_finds(before: str, after: str) -> None:
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    plain = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    ours = _opcodes(old, new, Effort())
    assert ours is not None
    assert [found[1:] for found in ours if found[0] == "equal"] == [
        found[1:] for found in plain if found[0] == "equal"
    ]


words = st.lists(
    st.sampled_from(["one", "two", "three", " ", "\n", ",", "好", "🙂", "<b>"]), max_size=30
).map("".join)


@given(words, words)
def test_spans_always_add_up_to_the_text(before: str, after: str) -> None:
    old, new = mark_differences(before, after)
    assert "".join(span.text for span in old) == before
    assert "".join(span.text for span in new) == after
