"""Cleaning takes no word away, and sentences put together are the text."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from palate.data.documents import sentences as module
from palate.data.documents.sentences import clean_text, folded, split_sentences
from palate.errors import DataError


def letters(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\u00a0b\u2003c", "a b c"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("\ufeffsoft\u00adly\u200b now\x00\x07", "softly now"),
        ("<p>First.</p><p>Second<br/>line, <b>bold</b>.</p>", "First.\n\nSecond\nline, bold."),
        ("Fish &amp; chips&nbsp;&#8212; x &lt; y", "Fish & chips — x < y"),
        ("Home __ __ __ News ** ** end", "Home __ __ __ News ** ** end"),
        ("__init__ and **kwargs stay, 2 ** 3", "__init__ and **kwargs stay, 2 ** 3"),
        ("a\n\n\n\n\nb   c \n d", "a\n\nb c\nd"),
        ("if a<b and b>c: List<int> x", "if a<b and b>c: List<int> x"),
        ("क्\u200dष 👩\u200d🔬", "क्\u200dष 👩\u200d🔬"),
    ],
)
def test_what_is_cleaned(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@given(st.text(st.characters(categories=("L", "N", "P", "Zs"), exclude_characters="<>&"), max_size=200))
def test_cleaning_takes_no_word_away(text: str) -> None:
    assert letters(clean_text(text)) == letters(text)


@given(st.text(max_size=200))
def test_cleaning_what_is_clean_changes_no_white_space_or_control(text: str) -> None:
    once = clean_text(text)
    assert "\r" not in once and "\u00a0" not in once and "  " not in once and "\n\n\n" not in once
    assert once == once.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Fox came at 5 p.m. on Monday. He left.", ["Dr. Fox came at 5 p.m. on Monday.", "He left."]),
        ("A heading\n\nA sentence\nover two lines. Another.",
         ["A heading", "A sentence over two lines.", "Another."]),
        ("Buy:\n- milk\n- bread", ["Buy:", "- milk", "- bread"]),
        ("他說：「好。」然後走了。真的嗎？是的！", ["他說：「好。」", "然後走了。", "真的嗎？", "是的！"]),
        ("", []),
    ],
)  # fmt: skip
def test_hand_made_texts(text: str, expected: list[str]) -> None:
    assert split_sentences(text) == expected


SCRAPS = st.sampled_from([
    "Dr. ", "e.g. ", "U.S. ", "3.14 ", "…", "...", "?!", '"', "”", "(", ")", "[1]", "\n", "\n\n", "\n- ",
    "1. ", "a) ", "iv. ", "Word ", "word", "。", "！", "」", "♬", "∯", "ȸ", "☉.☉", "&", "\\1", "*",
    "http://a.b/c?d=e. ", "@x. ", "p.m. ", "J. R. ", "ß", "é", "\t", "<", ">", "'", "«",
])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(SCRAPS, max_size=40).map("".join), st.sampled_from(["en", "de", "zh", "ar", "ru", "ja"]))
@example("¶ ∯ hello. World ☉ ȸ ♨ ☝", "en")  # pysbd's own marks, which it gives back as full stops
@example("♬♨ȹȸ☄☈☇☊☋. ♠ ★", "en")
def test_nothing_is_lost_or_made_up(text: str, language: str) -> None:
    cleaned = clean_text(text)
    found = split_sentences(cleaned, language)
    assert letters("".join(found)) == letters(cleaned)
    assert all(sentence == folded(sentence) and sentence for sentence in found)


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=120))
def test_nothing_is_lost_of_any_text(text: str) -> None:
    cleaned = clean_text(text)
    assert letters("".join(split_sentences(cleaned))) == letters(cleaned)


class _Losing:
    """A segmenter with the faults pysbd has had."""

    def __init__(self, parts: list[str] | Exception) -> None:
        self.parts = parts

    def segment(self, text: str) -> list[str]:
        if isinstance(self.parts, Exception):
            raise self.parts
        return self.parts


@pytest.mark.parametrize(
    "parts",
    [
        ["Here is one."],
        ["Here is one.", "Here is one.", "And two."],
        ["Here is onE.", "And two."],
        IndexError(),
    ],
)
def test_a_segmenter_that_loses_text_is_not_believed(parts, monkeypatch) -> None:
    monkeypatch.setattr(module, "_segmenter", lambda language: _Losing(parts))
    text = "Here is one sentence. And Prof. Fox wrote another."
    assert split_sentences(text) == ["Here is one sentence.", "And Prof. Fox wrote another."]


def test_a_long_text_is_given_in_pieces_that_end_where_sentences_do() -> None:
    sentence = "The quick brown fox met Dr. Smith and Prof. Hare yesterday."
    assert split_sentences(f"{sentence} " * 1000) == [sentence] * 1000
    endless = "word " * 20_000
    assert split_sentences(endless) == [endless.strip()]
    assert split_sentences("她走了。" * 10_000) == ["她走了。"] * 10_000


def test_short_words_and_numbers_end_sentences_however_long_the_text_is() -> None:
    """Nothing in these is a sure end: no long word stands before a full stop."""
    told = [f"The fox met dog {number} and hen {number * 7}." for number in range(1500)]
    assert split_sentences(" ".join(told)) == told
    told = ["Tôi đi học ở Hà Nội.", "Anh ấy là bạn tôi.", "Trời đẹp!"] * 1000
    assert split_sentences(" ".join(told)) == told


def test_a_sentence_longer_than_a_window_is_whole() -> None:
    long = "It is " + "so " * 4000 + "big."
    told = ["He saw it.", long, "She ran.", "No."] * 4
    assert split_sentences(" ".join(told)) == told


def test_a_long_text_that_pysbd_spoils_is_still_whole(monkeypatch) -> None:
    text = "The fox is 7. " * 4000
    monkeypatch.setattr(module, "_segmenter", lambda language: _Losing(["The fox is 8."]))
    assert letters("".join(split_sentences(text))) == letters(text)


def test_an_unknown_language_is_an_error() -> None:
    with pytest.raises(DataError, match="no rules"):
        split_sentences("Hello.", "english")
