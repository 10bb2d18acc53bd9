"""Votes into a store: again they change nothing, and whichever side stood first means the same."""

from __future__ import annotations

import pytest
from voted import comparison

from palate.annotate.ballots import Ballots
from palate.annotate.exporting import cast_votes
from palate.annotate.importing import import_votes
from palate.annotate.store import VoteStore
from palate.annotate.store_errors import KeyReused
from palate.records import Comparison, Vote


def vote(key: str, about: Comparison, preferred: str = "a", by: str = "ann", **detail: object) -> Vote:
    return Vote(about, by, preferred, "", {"key": key, "line": 2, "task": "label", **detail})


def turned(about: Comparison) -> Comparison:
    return Comparison(about.prompt, about.completion_b, about.completion_a, about.provenance)


@pytest.fixture
def store(store_url):
    with VoteStore(store_url) as opened:
        yield opened


def test_what_was_there_before_is_not_added_again(store) -> None:
    votes = [vote("k1", comparison("p0", "x", "y")), vote("k2", comparison("p1", "x", "y"), "tie", left="b")]
    first = import_votes(store, votes, source="old/votes.csv")
    assert (first.num_added, first.num_known, first.num_new_items) == (2, 0, 2)
    assert [event.source for event in store.events()] == ["votes.csv:2"] * 2
    again = import_votes(store, [*votes, vote("k3", comparison("p2", "x", "y"))], source="renamed.csv")
    assert (again.num_added, again.num_known, again.num_new_items) == (1, 2, 1)
    assert len(store.events()) == 3


def test_a_vote_that_stands_twice_in_a_file_is_one(store) -> None:
    one = vote("k1", comparison("p0", "x", "y"))
    twice = Vote(one.comparison, one.annotator, one.preferred, "", {**one.detail, "line": 9})
    done = import_votes(store, [one, twice], source="doubled.jsonl")
    assert (done.num_votes, done.num_added, done.num_known, done.num_replacing) == (2, 1, 1, 0)
    assert [event.source for event in store.events()] == ["doubled.jsonl:2"]


def test_a_side_is_that_side_however_the_two_stand(store) -> None:
    about = comparison("p0", "x", "y")
    store.add_items([(about, "label")])
    import_votes(store, [vote("k1", turned(about), "a", left="a")], source="f.csv")
    (event,) = store.events()
    assert (event.choice, event.left) == ("b", "b")  # what is a there is b here: y
    ties = [vote(f"t{number}", turned(about), choice) for number, choice in enumerate(("tie", "both_bad"))]
    import_votes(store, ties, source="f.csv")
    assert [event.choice for event in store.events()[1:]] == ["tie", "both_bad"]


def test_a_newer_vote_of_the_same_person_takes_the_place_and_is_counted(store) -> None:
    about = comparison("p0", "x", "y")
    import_votes(store, [vote("k1", about, "a")], source="f.csv")
    done = import_votes(store, [vote("k2", about, "b")], source="g.csv")
    assert (done.num_added, done.num_replacing) == (1, 1)
    assert [event.choice for event in Ballots(store.events()).votes()] == ["b"]


def test_a_key_with_another_content_stops_everything(store) -> None:
    about = comparison("p0", "x", "y")
    import_votes(store, [vote("k1", about, "a")], source="f.csv")
    with pytest.raises(KeyReused):
        import_votes(store, [vote("k2", comparison("p1", "x", "y")), vote("k1", about, "b")], source="f.csv")
    assert len(store.events()) == 1


def test_last_words_and_repeats_come_along(store, tmp_path) -> None:
    about = comparison("p0", "x", "y")
    votes = [
        vote("k1", about, "a", repeat=0),
        vote("k2", about, "b", repeat=1, seconds=2.5),
        vote("k3", about, "tie", by="chair", kind="adjudicate"),
    ]
    import_votes(store, votes, source="f.csv")
    ballots = Ballots(store.events())
    assert ballots.adjudication(about.id).choice == "tie"
    given = cast_votes(ballots, store.items())
    with VoteStore(tmp_path / "other.sqlite3") as other:
        import_votes(other, given, source="g.jsonl")
        assert cast_votes(Ballots(other.events()), other.items())[1].detail["seconds"] == 2.5
        same = [(e.key, e.kind, e.choice, e.repeat, e.source) for e in other.events()]
    assert same == [(e.key, e.kind, e.choice, e.repeat, e.source) for e in store.events()]
    # And back where it came from it adds nothing.
    assert import_votes(store, given, source="g.jsonl").num_added == 0
