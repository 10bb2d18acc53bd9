"""Small comparisons and events for tests of the store."""

from __future__ import annotations

from palate.annotate.events import Event
from palate.annotate.store import VoteStore
from palate.records import Comparison, Message, Provenance


def comparison(number: int, a: str = "one", b: str = "other") -> Comparison:
    """A comparison of its own for each number."""
    return Comparison(
        (Message("user", f"Prompt {number}"),),
        (Message("assistant", a),),
        (Message("assistant", b),),
        Provenance("made.jsonl", number, {"a": {"model": "small"}, "b": {"model": "large"}}),
    )


def with_items(store: VoteStore, num_items: int = 3) -> list[str]:
    """Items in the store, by their ids."""
    store.add_items((comparison(number), "label") for number in range(1, num_items + 1))
    return [item.id for item in store.items()]


def vote(key: str, item: str, annotator: str = "ann", **more: object) -> Event:
    """A vote for `a`, unless more is said."""
    return Event(**{"key": key, "annotator": annotator, "kind": "vote", "item": item, "choice": "a", **more})


def undo(key: str, target: Event, **more: object) -> Event:
    """An undo of an event, by the one who did it."""
    return Event(
        **{
            "key": key,
            "annotator": target.annotator,
            "kind": "undo",
            "item": target.item,
            "repeat": target.repeat,
            "undoes": target.key,
            **more,
        }
    )
