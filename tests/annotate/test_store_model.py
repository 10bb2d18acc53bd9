"""Whatever is sent, and however often: the store holds what a list and a few rules would hold."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from stored_votes import comparison, undo, vote

from palate.annotate.events import Event
from palate.annotate.store import VoteStore
from palate.annotate.store_errors import KeyReused, NothingToUndo, UnknownItem

KEYS = st.sampled_from(["k1", "k2", "k3", "k4"])
ANNOTATORS = st.sampled_from(["ann", "bo"])
ITEMS = [comparison(number).id for number in (1, 2)]
VOTES = st.builds(
    vote,
    KEYS,
    st.sampled_from([*ITEMS, "nothing"]),
    ANNOTATORS,
    choice=st.sampled_from(["a", "tie"]),
    repeat=st.integers(0, 1),
)

Outcome = Event | type[Exception]


class Model:
    """The rules, in the plainest words; events without numbers and times."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, event: Event) -> Event | type[Exception]:
        """The event that is in the store, or the error."""
        for there in self.events:
            if (there.annotator, there.key) == (event.annotator, event.key):
                return there if there == event else KeyReused
        if event.item not in ITEMS:
            return UnknownItem
        if event.kind == "undo" and not self._can_undo(event):
            return NothingToUndo
        self.events.append(event)
        return event

    def _can_undo(self, event: Event) -> bool:
        mine = [there for there in self.events if there.annotator == event.annotator]
        if any(there.undoes == event.undoes for there in mine):
            return False
        return any(
            there.key == event.undoes
            and there.kind != "undo"
            and (there.item, there.repeat) == (event.item, event.repeat)
            for there in mine
        )


class Appending(RuleBasedStateMachine):
    """Two openings of one store, as two servers have them, against the model."""

    url = ""
    rounds = count()

    @initialize()
    def start(self) -> None:
        self.model = Model()
        self.stores = [VoteStore(self.url), VoteStore(self.url)]
        self.stores[0].add_items((comparison(number), "label") for number in (1, 2))
        # Rounds share a store, which takes nothing back: each has annotators of its own.
        self.round = f" {next(self.rounds)}"
        self.first = self.stores[0].events()[-1:]
        self.num_before = self.first[0].number if self.first else 0

    @rule(event=VOTES, place=st.integers(0, 1), times=st.integers(1, 2))
    def append(self, event: Event, place: int, times: int) -> None:
        for _ in range(times):
            self.send(event, place)

    @rule(undone=KEYS, key=KEYS, who=ANNOTATORS, item=st.sampled_from(ITEMS), place=st.integers(0, 1))
    def undo_anything(self, undone: str, key: str, who: str, item: str, place: int) -> None:
        self.send(undo(key, vote(undone, item, who)), place)

    @precondition(lambda self: self.model.events)
    @rule(data=st.data(), key=st.sampled_from(["u1", "u2"]), place=st.integers(0, 1))
    def undo_what_is_there(self, data: st.DataObject, key: str, place: int) -> None:
        self.send(undo(key, data.draw(st.sampled_from(self.model.events))), place)

    @rule(events=st.lists(VOTES, max_size=3), place=st.integers(0, 1))
    def append_all(self, events: list[Event], place: int) -> None:
        before = list(self.model.events)
        expected = [self.model.append(event) for event in events]
        refused = [outcome for outcome in expected if isinstance(outcome, type)]
        if refused:
            self.model.events = before
            with pytest.raises(refused[0]):
                self.stores[place].append_all(map(self.ours, events))
        else:
            stored = self.stores[place].append_all(map(self.ours, events))
            assert [self.plain(event) for event in stored] == expected

    @rule()
    def open_again(self) -> None:
        self.stores[0].close()
        self.stores[0] = VoteStore(self.url, must_exist=True)

    @invariant()
    def both_hold_what_the_model_holds(self) -> None:
        if hasattr(self, "stores"):
            for store in self.stores:
                events = store.events(after=self.num_before)
                assert [self.plain(event) for event in events] == self.model.events
                numbers = [event.number for event in events]
                assert numbers == list(range(self.num_before + 1, self.num_before + 1 + len(events)))

    def teardown(self) -> None:
        for store in getattr(self, "stores", ()):
            store.close()

    def send(self, event: Event, place: int) -> None:
        expected = self.model.append(event)
        if isinstance(expected, type):
            with pytest.raises(expected):
                self.stores[place].append(self.ours(event))
        else:
            assert self.plain(self.stores[place].append(self.ours(event))) == expected

    def ours(self, event: Event) -> Event:
        return Event(**{**fields(event), "annotator": event.annotator + self.round})

    def plain(self, event: Event) -> Event:
        name = event.annotator.removesuffix(self.round)
        return Event(**{**fields(event), "annotator": name, "number": 0, "created_at": ""})


def fields(event: Event) -> dict[str, object]:
    return {name: getattr(event, name) for name in Event.__slots__}


@pytest.fixture
def machine(store_url: str) -> Iterator[type[Appending]]:
    yield type("AppendingHere", (Appending,), {"url": store_url, "rounds": count()})


def test_as_the_model_says(machine: type[Appending]) -> None:
    run(machine, num_examples=25)


@pytest.mark.thorough
def test_as_the_model_says_at_length(machine: type[Appending]) -> None:
    run(machine, num_examples=400)


def run(machine: type[Appending], num_examples: int) -> None:
    chosen = settings(
        max_examples=num_examples,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)
