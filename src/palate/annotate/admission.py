"""Which events a store takes. Pure: the store tells it what is stored already, and writes what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from palate.annotate.events import Choice, Event, EventKind, Side
from palate.annotate.store_errors import EventRefused, KeyReused, MalformedEvent, NothingToUndo, UnknownItem

__all__ = ["Known", "admit", "storable"]

_MAX_NAME_LENGTH = 200  # PostgreSQL's indexes take 2,700 bytes
_MAX_NOTE_LENGTH = 100_000

EventName = tuple[str, str]
"""An annotator and a key of theirs."""


@dataclass(slots=True)
class Known:
    """What the store holds of what some events are about. `admit` adds what it takes."""

    events: dict[EventName, Event]
    undone: set[EventName]
    """Those that some undo takes back."""
    has_item: Callable[[str], bool]
    next_number: int


def admit(events: Sequence[Event], known: Known, now: str) -> list[Event | EventRefused]:
    """Each event as it is stored, or why it is not taken; one refused does not touch its neighbours.

    New are those whose number is not below the `next_number` that `known` came with. The same event may come
    twice, and has one number.
    """
    return [_admitted(event, known, now) for event in events]


def _admitted(event: Event, known: Known, now: str) -> Event | EventRefused:
    name = event.annotator, event.key
    stored = known.events.get(name)
    if stored is not None:
        return stored if _same(stored, event) else _reused(stored)
    if not known.has_item(event.item):
        return UnknownItem(
            f"there is no item {event.item}", next="add the comparisons to the store before votes on them"
        )
    if event.undoes is not None:
        target = event.annotator, event.undoes
        problem = _not_to_undo(known.events.get(target), event, target in known.undone)
        if problem:
            return NothingToUndo(
                problem, next="only what the same annotator did can be undone, and only once"
            )
        known.undone.add(target)
    admitted = replace(event, number=known.next_number, created_at=now)
    known.next_number += 1
    known.events[name] = admitted
    return admitted


def _same(stored: Event, event: Event) -> bool:
    return stored == replace(event, number=stored.number, created_at=stored.created_at)


def _reused(stored: Event) -> KeyReused:
    return KeyReused(
        f"the key of this event was used before: event {stored.number} has it, and says something else",
        next="give everything that is done a key of its own",
    )


def _not_to_undo(target: Event | None, event: Event, is_undone: bool) -> str:
    if target is None:
        return "the annotator has no such event to undo"
    if target.kind == "undo":
        return "an undo is not undone: vote again"
    if (target.item, target.repeat) != (event.item, event.repeat):
        return "the event to undo is about something else than the undo says"
    return "the event is undone already" if is_undone else ""


def storable(event: Event) -> Event:
    """The event in the form in which every database gives it back; free text that is no UTF-8 is escaped.

    Raises:
        MalformedEvent: it says too little, contradicts itself, or a name in it cannot be kept.
    """
    problem = _problem(event)
    if problem:
        raise MalformedEvent(problem)
    return replace(
        event,
        note=_escaped(event.note),
        source=_escaped(event.source),
        seconds=None if event.seconds is None else float(event.seconds),
        number=0,
        created_at="",
    )


def _problem(event: Event) -> str:
    for what, text in (("key", event.key), ("annotator", event.annotator), ("item", event.item)):
        if not text:
            return f"the event has no {what}"
        if _escaped(text) != text:
            return f"the {what} of the event holds characters that cannot be kept"
        if len(text) > _MAX_NAME_LENGTH:
            return f"the {what} of the event is longer than {_MAX_NAME_LENGTH} characters"
    if len(event.note) > _MAX_NOTE_LENGTH:
        return f"the note is longer than {_MAX_NOTE_LENGTH:,} characters"
    if event.kind not in get_args(EventKind):
        return f'"{event.kind}" is no kind of event'
    if event.left is not None and event.left not in get_args(Side):
        return f'"{event.left}" is no side'
    if not 0 <= event.repeat < 1000:
        return "repeat counts from 0, and stays below 1000"
    if event.seconds is not None and not (math.isfinite(event.seconds) and event.seconds >= 0):
        return "the seconds taken are no number of seconds"
    return _choice_problem(event)


def _choice_problem(event: Event) -> str:
    chooses = event.kind in ("vote", "adjudicate")
    if chooses and event.choice not in get_args(Choice):
        return f"a {event.kind} chooses one of {', '.join(get_args(Choice))}"
    if not chooses and event.choice is not None:
        return f"a {event.kind} chooses nothing"
    if (event.kind == "undo") != (event.undoes is not None):
        return "an undo names the event that it takes back, and nothing else does"
    return ""


def _escaped(text: str) -> str:
    # PostgreSQL keeps no NUL, and neither database keeps half a character.
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
