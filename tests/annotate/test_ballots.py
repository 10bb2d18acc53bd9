"""Which votes count: the fold of events equals what anybody works out from all of them at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voted import Box

from palate.annotate.ballots import Ballots
from palate.annotate.events import Event

PEOPLE, ITEMS = ("ann", "ben"), ("i", "j")


@st.composite
def histories(draw) -> list[Event]:
    """Events in order; some undos name what is not there, is another's, is an undo, or is undone already."""
    events: list[Event] = []
    for number in range(1, draw(st.integers(0, 30)) + 1):
        kind = draw(st.sampled_from(("vote", "vote", "vote", "skip", "undo", "undo", "adjudicate")))
        chooses = kind in ("vote", "adjudicate")
        events.append(
            Event(
                key=f"k{number}",
                annotator=draw(st.sampled_from(PEOPLE)),
                kind=kind,
                item=draw(st.sampled_from(ITEMS)),
                repeat=0 if kind == "adjudicate" else draw(st.integers(0, 1)),
                choice=draw(st.sampled_from(("a", "b", "tie", "both_bad"))) if chooses else None,
                undoes=f"k{draw(st.integers(0, number))}" if kind == "undo" else None,
                number=number,
            )
        )
    return events


def naive(events: list[Event]) -> dict[str, object]:
    """From scratch: which events an undo named after they happened; the last of the rest in each place."""
    undone = {
        (undo.annotator, undo.undoes)
        for undo in events
        for other in events
        if undo.kind == "undo" and other.kind != "undo" and other.number < undo.number
        if (other.annotator, other.key) == (undo.annotator, undo.undoes)
    }
    live = [e for e in events if e.kind != "undo" and (e.annotator, e.key) not in undone]
    votes = {(e.annotator, e.item, e.repeat): e for e in live if e.kind == "vote"}
    skips = {(e.annotator, e.item, e.repeat) for e in live if e.kind == "skip"}
    return {
        "votes": sorted(votes.values(), key=lambda event: event.number),
        "skipped": skips - set(votes),
        "adjudications": {e.item: e for e in live if e.kind == "adjudicate"},
        "voters": {
            item: {e.annotator for e in votes.values() if (e.item, e.repeat) == (item, 0)} for item in ITEMS
        },
    }


def seen(ballots: Ballots) -> dict[str, object]:
    return {
        "votes": ballots.votes(),
        "skipped": {(name, *showing) for name in PEOPLE for showing in ballots.skipped_by(name)},
        "adjudications": {i: ballots.adjudication(i) for i in ITEMS if ballots.adjudication(i) is not None},
        "voters": {item: set(ballots.voters(item)) for item in ITEMS},
    }


@settings(deadline=None)
@given(histories())
def test_the_fold_equals_working_it_out_from_all_events(events: list[Event]) -> None:
    ballots = Ballots(events)
    assert seen(ballots) == naive(events)
    by_item = [vote for votes in ballots.by_item.values() for vote in votes.values()]
    by_person = [vote for name in PEOPLE for vote in ballots.of_annotator(name).values()]
    assert (
        sorted(by_item, key=lambda e: e.number)
        == sorted(by_person, key=lambda e: e.number)
        == ballots.votes()
    )
    assert {name for item in ITEMS for name in ballots.first_votes(item)} == {
        name for voters in (ballots.voters("i"), ballots.voters("j")) for name in voters
    }


@settings(deadline=None)
@given(histories(), st.integers(0, 30))
def test_it_may_be_folded_in_parts(events: list[Event], cut: int) -> None:
    ballots = Ballots(events[:cut])
    assert seen(ballots) == naive(events[:cut])
    for event in events[cut:]:
        ballots.apply(event)
    assert seen(ballots) == seen(Ballots(events))
    assert ballots.last_number == len(events)


def test_an_undo_brings_back_what_was_replaced() -> None:
    box = Box()
    box.vote("i", "a")
    changed = box.vote("i", "b")
    assert [vote.choice for vote in box.ballots.votes()] == ["b"]
    box.undo(changed)
    assert [vote.choice for vote in box.ballots.votes()] == ["a"]
    box.undo(changed)  # once more changes nothing
    assert [vote.choice for vote in box.ballots.votes()] == ["a"]


def test_nobody_undoes_another_ones_vote() -> None:
    box = Box()
    vote = box.vote("i", by="ann")
    box.undo(vote, by="ben")
    assert box.ballots.votes() == [vote]


def test_a_skip_is_no_vote_and_takes_none_back() -> None:
    box = Box()
    vote = box.vote("i")
    box.skip("i")
    box.skip("j")
    assert (box.ballots.votes(), set(box.ballots.skipped_by("ann"))) == ([vote], {("j", 0)})
    box.vote("j")
    assert not box.ballots.skipped_by("ann")


def test_the_last_word_is_the_latest_and_can_be_undone() -> None:
    box = Box()
    first = box.adjudicate("i", "a", by="ann")
    second = box.adjudicate("i", "tie", by="ben")
    assert box.ballots.adjudication("i") == second
    box.undo(second)
    assert box.ballots.adjudication("i") == first
    box.undo(first)
    assert (box.ballots.adjudication("i"), box.ballots.adjudications()) == (None, [])


def test_the_order_of_events_is_kept() -> None:
    box = Box()
    box.vote("i")
    with pytest.raises(ValueError, match="numbers rise"):
        box.ballots.apply(box.events[0])
