"""Extracts hold every sentence once, in order, within the bounds wherever that can be."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.data.documents import extracts as module
from palate.data.documents import read_documents
from palate.data.documents.extracts import extract_row, make_extracts
from palate.errors import DataError
from palate.records import Document, Provenance

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "llm_twin" / "cleaned_documents.json"


def document(lengths: list[int], name: str = "d") -> Document:
    """Sentences of these many characters, each unlike the others: `S12xxxx.`"""
    sentences = [f"S{number}".ljust(length - 1, "x") + "." for number, length in enumerate(lengths)]
    return Document(name, " ".join(sentences), Provenance("docs.jsonl", 3, {"title": "T"}))


def sizes(lengths: list[int], minimum: int = 100, maximum: int = 200) -> list[int]:
    found = make_extracts([document(lengths)], min_characters=minimum, max_characters=maximum)
    return [len(extract.text) for extract in found.extracts]


def test_a_remainder_is_spread_and_not_left_over():
    """Nine of 50 (459 with spaces): filling up gives 152, 152, 152; greedy to 200 would leave 50 over."""
    assert sizes([50] * 9) == [152, 152, 152]
    assert sorted(sizes([50] * 10)) == [101, 101, 152, 152]  # four together would be 203


def test_a_sentence_too_long_stands_alone_and_is_counted():
    found = make_extracts([document([120, 350, 120])], min_characters=100, max_characters=200)
    assert [len(e.text) for e in found.extracts] == [120, 350, 120]
    assert (found.num_oversized, found.num_undersized) == (1, 0)


def test_what_cannot_stand_alone_joins_the_long_sentence():
    found = make_extracts([document([20, 350])], min_characters=100, max_characters=200)
    assert [len(e.text) for e in found.extracts] == [371]
    assert (found.num_oversized, found.num_undersized) == (1, 0)


def test_where_the_bounds_cannot_be_met_it_is_said():
    """90, 190, 90: alone each short one lacks 10, joined the extract would have 81 too many."""
    found = make_extracts([document([90, 190, 90])], min_characters=100, max_characters=200)
    assert [len(e.text) for e in found.extracts] == [90, 190, 90]
    assert (found.num_oversized, found.num_undersized) == (0, 2)


def test_a_short_document_is_set_aside_with_its_place():
    found = make_extracts(
        [document([30, 30]), document([60, 60], "e")], min_characters=100, max_characters=200
    )
    assert [e.document for e in found.extracts] == ["e"]
    assert found.too_short[0].place == "docs.jsonl:3"
    assert found.account() == {
        "num_documents": 2, "num_too_short": 1, "num_sentences": 2, "num_extracts": 1, "num_oversized": 0,
        "num_undersized": 0,
    }  # fmt: skip


def test_lineage_and_row():
    found = make_extracts([document([90, 90, 90, 90])], min_characters=100, max_characters=200)
    second = found.extracts[1]
    assert (second.number, second.provenance.line) == (1, 3)
    assert second.provenance.detail == {"title": "T", "first_sentence": 2}
    row = json.loads(json.dumps(extract_row(second)))
    assert row["text"] == " ".join(row["sentences"]) and row["num_characters"] == len(row["text"]) == 181
    assert (row["id"], row["document"], row["source"], row["line"], row["title"]) == (
        second.id, "d", "docs.jsonl", 3, "T",
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(5, 260), min_size=1, max_size=40))
def test_every_sentence_once_in_order(lengths):
    given_document = document(lengths)
    found = make_extracts([given_document], min_characters=100, max_characters=200)
    if found.too_short:
        assert not found.extracts and len(given_document.text) < 100
        return
    joined = [sentence for extract in found.extracts for sentence in extract.sentences]
    assert joined == given_document.text.split(" ")
    outside = [len(e.text) for e in found.extracts if not 100 <= len(e.text) <= 200]
    assert len(outside) == found.num_oversized + found.num_undersized


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_no_way_to_cut_is_better(lengths):
    """Against every way there is: fewest characters outside 5 to 10, then nearest to the middle."""

    def cost(ends: tuple[int, ...]) -> tuple[int, int]:
        outside = distance = start = 0
        for end in ends:
            length = sum(lengths[start:end]) + end - start - 1
            outside += max(0, length - 10) + max(0, 5 - length)
            distance += (2 * length - 15) ** 2
            start = end
        return outside, distance

    num = len(lengths)
    every = [(*cut, num) for size in range(num) for cut in combinations(range(1, num), size)]
    assert cost(tuple(module._best_ends(lengths, 5, 10))) == min(map(cost, every))


def test_bounds_that_are_none_are_refused():
    for minimum, maximum in ((0, 10), (10, 10), (20, 10)):
        with pytest.raises(DataError, match="cannot be made"):
            make_extracts([], min_characters=minimum, max_characters=maximum)


def test_the_real_articles_keep_every_sentence():
    """Compared with the file itself, and not with what the reader made of it."""
    if not REAL.exists():
        pytest.skip("cleaned_documents.json is not at hand: it is looked for in ../shared/data")
    documents, set_aside = read_documents(str(REAL))
    found = make_extracts(documents)
    articles = json.loads(REAL.read_text(encoding="utf-8"))["artifact_data"]
    assert (len(articles), len(documents), len(set_aside), len(found.too_short)) == (76, 76, 0, 0)
    by_document: dict[str, list[str]] = {}
    for extract in found.extracts:
        by_document.setdefault(extract.document, []).extend(extract.sentences)
    for article in articles:
        # Cleaning takes white space and characters that show nothing.
        told = "".join(by_document[article["id"]])
        assert told.replace(" ", "") == _visible(article["content"]), article["id"]
    assert (found.num_oversized, found.num_undersized) == (2, 0)
    single = [e for e in found.extracts if len(e.text) > 2000]
    assert [len(e.sentences) for e in single] == [1, 1]
    assert min(len(e.text) for e in found.extracts) >= 1000


def _visible(text: str) -> str:
    return "".join(c for c in text if c.isprintable() and not c.isspace())
