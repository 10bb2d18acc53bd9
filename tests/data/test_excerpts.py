"""Quotations that cannot do anything to a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from palate.data.excerpts import excerpt


@given(st.text(st.characters()), st.integers(2, 100))
def test_short_printable_and_encodable(text, limit):
    quoted = excerpt(text, limit)
    assert len(quoted) <= limit
    assert "\n" not in quoted
    assert "\x1b" not in quoted
    quoted.encode()


def test_plain_text_stays_as_it_is():
    assert excerpt("磨坊 🌾 café") == "磨坊 🌾 café"


def test_long_text_says_that_it_goes_on():
    assert excerpt("abcdefgh", 5) == "abcd…"
    assert excerpt("abcde", 5) == "abcde"


def test_what_a_terminal_would_obey_is_spelled_out():
    assert excerpt("a\x1b[2Jb\u202ec\ud800\nd") == r"a\x1b[2Jb\u202ec\ud800 d"
