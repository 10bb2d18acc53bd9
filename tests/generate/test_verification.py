"""An answer is found in its extract word for word, put right where it nearly is, and else not found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.generate.verification import locate

SENTENCES = [
    "The harbour at Saltmarrow freezes for three weeks in every winter.",
    "Nobody there minds, because the ice is thick enough to hold a market.",
    "Captain Brine once said: “A frozen sea is just a very slow road.”",
    "In spring the stalls float away — some of them with their owners.",
]
TEXT = " ".join(SENTENCES)


def span_of(answer: str, **how) -> str | None:
    found = locate(answer, TEXT, SENTENCES, **how)
    return None if found is None else TEXT[found.start : found.end]


@pytest.mark.parametrize(
    ("answer", "span"),
    [
        (SENTENCES[1], SENTENCES[1]),
        (f"  {SENTENCES[0]}\n{SENTENCES[1]} ", f"{SENTENCES[0]} {SENTENCES[1]}"),
        ('Captain Brine once said: "A frozen sea is just a very slow road."', SENTENCES[2]),
        ("In spring the stalls float away - some of them with their owners.", SENTENCES[3]),
        (f'"{SENTENCES[0]}"', SENTENCES[0]),
    ],
)
def test_word_for_word_up_to_space_and_shape_of_quotes(answer, span):
    found = locate(answer, TEXT, SENTENCES)
    assert found is not None and not found.repaired and found.similarity == 100
    assert TEXT[found.start : found.end] == span


@pytest.mark.parametrize(
    ("answer", "span"),
    [
        # a word changed, a word left out, a typing slip, the first word lost, the end cut off
        ("Nobody there minds, since the ice is thick enough to hold a market.", SENTENCES[1]),
        ("The harbour at Saltmarrow freezes for three weeks every winter.", SENTENCES[0]),
        ("The harbor at Saltmarrow freezes for three weeks in every winter", SENTENCES[0]),
        ("Spring the stalls float away, some of them with their owners.", SENTENCES[3]),
        ("there mind, because the ice is thick enough to hold a market.", SENTENCES[1]),
    ],
)
def test_a_near_miss_becomes_the_exact_span(answer, span):
    found = locate(answer, TEXT, SENTENCES, 85.0)
    assert found is not None and found.repaired and 85 <= found.similarity < 100
    assert TEXT[found.start : found.end].endswith(span[-20:])
    assert TEXT[found.start : found.end] in span


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "   ",
        "Frozen harbours are a common sight in the north, and people hold fairs on them.",
        "The market moves to the ice when the sea is a road, says a captain of some fame.",
        TEXT + " " + TEXT,
    ],
)
def test_what_is_not_there_is_not_found(answer):
    assert locate(answer, TEXT, SENTENCES) is None


FACTS = [
    "In 2019 the bakery on Mill Street sold 1,200 loaves a day, and it did not raise its prices.",
    "In 2020 the bakery on Mill Street sold 1,300 loaves a day, and it did raise its prices.",
    "Its two ovens weren't repaired before the winter, says the owner of the bakery on Mill Street.",
]


@pytest.mark.parametrize(
    ("number", "old", "new"),
    [
        (0, "1,200", "1,300"),
        (0, "1,200", "12"),
        (0, "2019", "2020"),  # all of it but the figure stands in the next sentence
        (0, "not ", ""),  # nearest to the next sentence, which is about another year
        (1, "did raise", "did not raise"),
        (1, "2020", "2021"),
        (2, "weren't", "were"),
        (2, "two", "ten"),
    ],
)
def test_another_number_or_negation_is_no_near_miss(number, old, new):
    answer = FACTS[number].replace(old, new)
    assert answer != FACTS[number]
    assert locate(answer, " ".join(FACTS), FACTS) is None


def test_numbers_and_negations_that_are_kept_do_not_keep_it_from_being_put_right():
    for fact, old, new in (
        (FACTS[0], "1,200", "1200"),
        (FACTS[2], "weren't", "weren’t"),
        (FACTS[1], "sold", "made"),
    ):
        found = locate(fact.replace(old, new), " ".join(FACTS), FACTS)
        assert found is not None and " ".join(FACTS)[found.start : found.end] == fact


def test_the_similarity_has_to_be_reached():
    """`because` becomes `since`: they share c and e in order, so 5 letters go and 3 come."""
    answer = SENTENCES[1].replace("because", "since")
    num_both = len(answer) + len(SENTENCES[1])
    similarity = 100 * (1 - (5 + 3) / num_both)
    found = locate(answer, TEXT, SENTENCES)
    assert found is not None and found.similarity == pytest.approx(similarity, abs=0.01)
    assert span_of(answer, min_similarity=similarity + 0.1) is None


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(TEXT) - 10), st.integers(10, 200))
def test_any_part_of_it_is_found_as_it_is(start, length):
    part = TEXT[start : start + length].strip()
    found = locate(part, TEXT, SENTENCES)
    assert found is not None and TEXT[found.start : found.end] == part


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), st.text(min_size=1, max_size=120))
def test_whatever_is_found_is_similar_and_inside(answer, text):
    found = locate(answer, text)
    if found is not None:
        assert 0 <= found.start < found.end <= len(text)
        assert 90 <= found.similarity <= 100
