"""Numbers and labels in rows: read strictly, or the row is set aside."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.data.messages import Unusable
from palate.data.scalars import label_field, margin_field, number_of, weight_field


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0),
        (0.5, 0.5),
        ("0.5", 0.5),
        (" 2 ", 2.0),
        ("-1e3", -1000.0),
        ("+.5", 0.5),
        ("7.", 7.0),
        (0, 0.0),
    ],
)
def test_numbers(value, number):
    assert number_of(value, "n") == number


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", '"n" is empty'),
        (" ", '"n" is empty'),
        ("much", '"n" is text that is no number'),
        ("1_000", '"n" is text that is no number'),
        ("0,5", '"n" is text that is no number'),
        ("nan", '"n" is text that is no number'),
        ("٣", '"n" is text that is no number'),
        (True, '"n" is a truth value, a number was expected'),
        ([1], '"n" is a list, a number was expected'),
        (math.nan, '"n" is not finite'),
        (-math.inf, '"n" is not finite'),
        ("1e999", '"n" is not finite'),
        (10**400, '"n" is not finite'),
    ],
)
def test_what_is_no_number(value, reason):
    with pytest.raises(Unusable) as caught:
        number_of(value, "n")
    assert str(caught.value) == reason


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_written_numbers_come_back(number):
    assert number_of(repr(number), "n") == number_of(number, "n") == number


@pytest.mark.parametrize(
    ("read", "value", "reason"),
    [
        (margin_field, -0.1, '"n" is negative: this margin says that rejected is the better one'),
        (margin_field, None, '"n" is null'),
        (weight_field, 0, '"n" is 0: a row of weight 0 teaches nothing'),
        (weight_field, "-0.0", '"n" is 0: a row of weight 0 teaches nothing'),
        (weight_field, -1, '"n" is negative: a weight is above 0'),
    ],
)
def test_margins_and_weights_out_of_bounds(read, value, reason):
    with pytest.raises(Unusable) as caught:
        read({"n": value}, "n")
    assert str(caught.value) == reason


def test_a_margin_may_be_0_and_a_missing_column_is_said():
    assert margin_field({"n": "0"}, "n") == 0
    with pytest.raises(Unusable, match='"n" is missing'):
        weight_field({}, "n")


@pytest.mark.parametrize(
    "value", [True, 1, 1.0, "1", "1.0", "true", "TRUE", " True ", "yes", "desirable", "chosen", "Good"]
)
def test_desirable(value):
    assert label_field({"label": value}, "label") is True


@pytest.mark.parametrize(
    "value", [False, 0, 0.0, -0.0, "0", "0.0", "false", "No", "undesirable", "rejected", "bad"]
)
def test_undesirable(value):
    assert label_field({"label": value}, "label") is False


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, '"label" is null'),
        ("", '"label" is empty'),
        (2, '"label" is another number; known: true,'),
        (-1, '"label" is another number; known: true,'),
        (0.7, '"label" is another number; known: true,'),
        (math.nan, '"label" is another number; known: true,'),
        ("not bad", '"label" is other text; known: true,'),
        ("-1", '"label" is other text; known: true,'),
        ([True], '"label" is a list; known: true,'),
    ],
)
def test_other_labels_are_not_guessed_at(value, reason):
    with pytest.raises(Unusable) as caught:
        label_field({"label": value}, "label")
    assert str(caught.value).startswith(reason)
