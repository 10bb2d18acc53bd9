"""Votes as pairs and one by one: rows in are rows out and rows set aside, and what was undone never comes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from voted import Box, comparison, items_of, some_items

from palate.annotate.exporting import cast_votes, pairs_from_votes
from palate.records import Provenance


def test_a_pair_carries_its_lineage() -> None:
    known = comparison("p", "one", "other")
    detail = {"a": {"model": "small", "sample": 3}, "b": {"model": "large"}, "document": "d7"}
    (item,) = items_of(replace(known, provenance=Provenance("made.jsonl", 7, detail)))
    box = Box()
    box.vote(item, "b", by="ann")
    box.vote(item, "b", by="ben")
    box.vote(item, "tie", by="cyd")
    (pair,) = pairs_from_votes(box.ballots, [item], store="votes.sqlite3").pairs
    assert (pair.chosen[0].content, pair.rejected[0].content) == ("other", "one")
    assert (pair.provenance.source, pair.provenance.line) == ("made.jsonl", 7)
    assert pair.provenance.detail == {
        "document": "d7",
        "chosen_generator": "large",
        "rejected_generator": "small",
        "rejected_sample": 3,
        "votes": {
            "store": "votes.sqlite3", "item": 1, "annotators": ["ann", "ben", "cyd"], "chosen": 2,
            "rejected": 0, "tie": 1, "both_bad": 0, "adjudicated_by": None,
        },
    }  # fmt: skip


def test_each_item_without_a_pair_has_its_reason() -> None:
    items, box = some_items(7), Box()
    for item, votes in zip(
        items, (("a", "b"), ("tie",), ("both_bad",), ("a", "a", "b"), ("a",), (), ()), strict=True
    ):
        for number, choice in enumerate(votes):
            box.vote(item, choice, by=f"person {number}")
    box.adjudicate(items[6], "b", by="chair")
    made = pairs_from_votes(box.ballots, items, store="s", min_agreement=0.7)
    assert {row.line: row.code for row in made.set_aside} == {
        1: "level", 2: "tie", 3: "both_bad", 4: "disagreement", 6: "no_vote"
    }  # fmt: skip
    assert [pair.provenance.detail["votes"]["item"] for pair in made.pairs] == [5, 7]
    assert made.pairs[1].provenance.detail["votes"]["adjudicated_by"] == "chair"
    assert len(pairs_from_votes(box.ballots, items, store="s").pairs) == 3


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(("a", "b", "tie", "both_bad", "undo")))))
def test_nothing_is_lost_and_nothing_undone_comes_out(doings: list[tuple[int, str]]) -> None:
    items, box = some_items(5), Box()
    votes = []
    for place, choice in doings:
        if choice == "undo":
            if votes:
                box.undo(votes.pop())
        else:
            votes.append(box.vote(items[place], choice, by=f"person {len(votes) % 2}"))
    made = pairs_from_votes(box.ballots, items, store="s")
    assert len(made.pairs) + len(made.set_aside) == len(items)
    keys = Counter(vote.detail["key"] for vote in cast_votes(box.ballots, items))
    assert set(keys) <= {vote.key for vote in votes}
    assert keys == Counter(event.key for event in box.ballots.votes())


def test_names_can_stay_behind() -> None:
    items, box = some_items(3), Box()
    for item, name in zip(items, ("Ann", "Ben", "Ann"), strict=True):
        box.vote(item, by=name, source=f"{name}.csv:1")
    box.adjudicate(items[0], "a", by="Cyd")
    made = pairs_from_votes(box.ballots, items, store="s", anonymous=True)
    votes = cast_votes(box.ballots, items, anonymous=True)
    said = repr(made) + repr(votes)
    assert not any(name in said for name in ("Ann", "Ben", "Cyd"))
    assert votes[0].annotator == votes[2].annotator != votes[1].annotator
    assert {vote.annotator for vote in votes} == {"annotator 1", "annotator 2", "annotator 3"}
