"""The notes that the dashboard shows: of votes that count, newest first."""

from __future__ import annotations

from palate.annotate.ballots import Ballots
from palate.annotate.events import Event, Item
from palate.annotate.settings import Settings
from palate.annotate.standing import MAX_NOTES, standing
from palate.records import Comparison, Message, Provenance


def _item(number: int) -> Item:
    prompt = (Message("user", f"question {number}"),)
    a, b = ((Message("assistant", f"{side} {number}"),) for side in ("a", "b"))
    return Item(Comparison(prompt, a, b, Provenance("test", number)), "label", number)


def _vote(item: Item, number: int, note: str) -> Event:
    return Event(f"key-{number}", "Ann", "vote", item.id, choice="a", note=note, number=number)


def test_notes_of_votes_that_count_newest_first() -> None:
    one, two, three = (_item(number) for number in (1, 2, 3))
    ballots = Ballots()
    ballots.apply(_vote(one, 1, "first"))
    ballots.apply(_vote(two, 2, ""))
    ballots.apply(_vote(three, 3, "taken back"))
    ballots.apply(Event("key-4", "Ann", "undo", three.id, undoes="key-3", number=4))
    ballots.apply(_vote(two, 5, "second"))
    notes = standing(ballots, [one, two, three], Settings()).as_dict()["notes"]
    assert [(note["number"], note["annotator"], note["note"]) for note in notes] == [
        (2, "Ann", "second"),
        (1, "Ann", "first"),
    ]


def test_only_the_latest_are_told() -> None:
    items = [_item(number) for number in range(1, MAX_NOTES + 6)]
    ballots = Ballots()
    for item in items:
        ballots.apply(_vote(item, item.number, "note"))
    told = [note["number"] for note in standing(ballots, items, Settings()).as_dict()["notes"]]
    assert told == list(range(MAX_NOTES + 5, 5, -1))
