"""The store of votes, in SQLite and in PostgreSQL: what goes in comes out, once, and in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from stored_votes import comparison, undo, vote, with_items

from palate.annotate.events import Event
from palate.annotate.store import VoteStore
from palate.annotate.store_errors import EventRefused, KeyReused, MalformedEvent, NothingToUndo, UnknownItem
from palate.records import Comparison, Message, Provenance


@pytest.fixture
def store(store_url: str) -> Iterator[VoteStore]:
    with VoteStore(store_url) as opened:
        yield opened


def test_what_went_in_is_there_when_it_is_opened_again(store_url: str) -> None:
    with VoteStore(store_url) as store:
        items = with_items(store)
        stored = [
            store.append(vote("k1", items[0], repeat=1, left="b", note="short", seconds=2.25)),
            store.append(Event("k2", "bo", "skip", items[1], left="a")),
            store.append(Event("k3", "bo", "adjudicate", items[2], choice="both_bad", source="old.csv:7")),
            store.append(Event("k4", "ann", "undo", items[0], repeat=1, undoes="k1")),
        ]
    with VoteStore(store_url) as store:
        assert store.events() == stored
        assert [event.number for event in stored] == [1, 2, 3, 4]
        assert stored[0] == Event(
            "k1", "ann", "vote", items[0], 1, "a", "b", "short", 2.25,
            created_at=stored[0].created_at, number=1,
        )  # fmt: skip
        age = datetime.now(UTC) - datetime.fromisoformat(stored[0].created_at)
        assert timedelta(0) <= age < timedelta(minutes=5)


def test_only_what_is_new_is_read(store: VoteStore) -> None:
    items = with_items(store)
    stored = [store.append(vote(f"k{number}", items[0])) for number in range(4)]
    assert store.events(after=2) == stored[2:]
    assert store.events(after=4) == []
    assert [item.number for item in store.items(after=1)] == [2, 3]
    assert store.items(after=3) == []


def test_items_come_out_as_they_went_in(store: VoteStore) -> None:
    strange = Comparison(
        (Message("system", "s"), Message("user", "题\0\ud800 '\"\\u0041")),
        (Message("assistant", ""),),
        (Message("assistant", "🙂\r\n"),),
        Provenance("文件.jsonl", None, {"a": {"model": "m", "temperature": 0.1}, "list": [1, None, "\0"]}),
    )
    assert store.add_items([(comparison(1), "label"), (strange, "compare")]) == 2
    first, second = store.items()
    assert (first.comparison, first.task, first.number) == (comparison(1), "label", 1)
    assert (second.comparison, second.task, second.number) == (strange, "compare", 2)
    assert second.comparison.generators == ("m", None)


def test_an_item_is_there_once_and_stays_as_it_was(store: VoteStore) -> None:
    assert (
        store.add_items([(comparison(1), "label"), (comparison(2), "label"), (comparison(1), "compare")]) == 2
    )
    turned = comparison(2, a="other", b="one")
    assert turned.id == comparison(2).id
    assert store.add_items([(turned, "compare"), (comparison(3), "compare")]) == 1
    assert [(item.comparison, item.task) for item in store.items()] == [
        (comparison(1), "label"),
        (comparison(2), "label"),
        (comparison(3), "compare"),
    ]
    assert store.add_items([]) == 0


def test_many_items_and_events_at_once(store: VoteStore) -> None:
    """More than are looked up in one query."""
    items = with_items(store, 1200)
    events = [vote(f"k{number}", item) for number, item in enumerate(items)]
    stored = store.append_all(events)
    assert [event.number for event in stored] == list(range(1, 1201))
    assert store.append_all(events) == stored
    assert store.events() == stored


def test_the_same_event_again_is_stored_once(store: VoteStore) -> None:
    items = with_items(store)
    event = vote("k", items[0], seconds=1, note="half \ud83d, NUL \0")
    first = store.append(event)
    assert first.note == "half \\ud83d, NUL \\x00"
    assert store.append(event) == first
    assert store.append(replace(event, number=77, created_at="1999")) == first
    assert store.append_all([event, vote("k2", items[1]), event])[2] == first
    assert [event.key for event in store.events()] == ["k", "k2"]


@pytest.mark.parametrize(
    "change",
    [{"choice": "b"}, {"repeat": 1}, {"note": "x"}, {"seconds": 2.0}, {"left": "a"}, {"kind": "adjudicate"}],
)
def test_another_event_under_the_same_key_is_refused(store: VoteStore, change: dict[str, object]) -> None:
    items = with_items(store)
    first = store.append(vote("k", items[0]))
    with pytest.raises(KeyReused, match="event 1 has it"):
        store.append(replace(vote("k", items[0]), **change))
    assert store.events() == [first]


def test_two_annotators_may_have_the_same_key(store: VoteStore) -> None:
    items = with_items(store)
    store.append(vote("k", items[0], "ann"))
    store.append(vote("k", items[0], "bo"))
    assert [event.annotator for event in store.events()] == ["ann", "bo"]


def test_an_unknown_item_is_refused(store: VoteStore) -> None:
    with pytest.raises(UnknownItem, match="no item nothing"):
        store.append(vote("k", "nothing"))
    [item] = with_items(store, 1)
    store.append(vote("k", item))
    assert len(store.events()) == 1


def test_only_ones_own_is_undone_and_once(store: VoteStore) -> None:
    items = with_items(store)
    cast = store.append(vote("k", items[0]))
    refused = {
        "no such event": undo("u", replace(cast, key="other")),
        "no such event ": undo("u", replace(cast, annotator="bo")),
        "something else": undo("u", replace(cast, item=items[1])),
        "something else ": undo("u", replace(cast, repeat=1)),
    }
    for why, event in refused.items():
        with pytest.raises(NothingToUndo, match=why.strip()):
            store.append(event)
    undone = store.append(undo("u", cast))
    assert store.append(undo("u", cast)) == undone
    with pytest.raises(NothingToUndo, match="undone already"):
        store.append(undo("u2", cast))
    with pytest.raises(NothingToUndo, match="vote again"):
        store.append(undo("u3", undone))
    assert store.events() == [cast, undone]


def test_a_vote_and_its_undo_in_one_transaction(store: VoteStore) -> None:
    items = with_items(store)
    cast = vote("k", items[0])
    store.append_all([cast, undo("u", cast)])
    assert [event.kind for event in store.events()] == ["vote", "undo"]
    with pytest.raises(NothingToUndo, match="undone already"):
        store.append_all([undo("u2", cast)])
    other = vote("k2", items[0])
    with pytest.raises(NothingToUndo, match="undone already"):
        store.append_all([other, undo("u3", other), undo("u4", other)])
    assert len(store.events()) == 2


def test_all_or_none(store: VoteStore) -> None:
    items = with_items(store)
    with pytest.raises(UnknownItem):
        store.append_all([vote("k1", items[0]), vote("k2", "nothing"), vote("k3", items[1])])
    assert store.events() == []
    store.append_all([vote("k1", items[0]), vote("k3", items[1])])
    assert [event.number for event in store.events()] == [1, 2]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"key": ""}, "no key"),
        ({"annotator": ""}, "no annotator"),
        ({"key": "a\0"}, "key of the event holds characters"),
        ({"annotator": "\ud800"}, "annotator of the event holds characters"),
        ({"annotator": "名" * 201}, "longer than 200"),
        ({"note": "x" * 100_001}, "note is longer than 100,000"),
        ({"kind": "like"}, '"like" is no kind'),
        ({"choice": None}, "a vote chooses one of a, b, tie, both_bad"),
        ({"choice": "left"}, "a vote chooses one of"),
        ({"kind": "skip"}, "a skip chooses nothing"),
        ({"kind": "undo", "choice": None}, "names the event"),
        ({"undoes": "k0"}, "nothing else does"),
        ({"left": "left"}, '"left" is no side'),
        ({"repeat": -1}, "counts from 0"),
        ({"seconds": float("nan")}, "no number of seconds"),
        ({"seconds": float("inf")}, "no number of seconds"),
        ({"seconds": -0.1}, "no number of seconds"),
    ],
)
def test_what_no_event_can_be_is_refused(change: dict[str, object], told: str, tmp_path) -> None:
    """Before it gets to a database, so one of them says as much as both."""
    with VoteStore(tmp_path / "votes.sqlite3") as store:
        items = with_items(store)
        with pytest.raises(MalformedEvent, match=told):
            store.append(
                vote("k", items[0], **change) if "key" not in change else vote(item=items[0], **change)
            )
        assert store.events() == []


def test_the_longest_names_are_kept(store: VoteStore) -> None:
    """Four bytes a character, in every index there is."""
    items = with_items(store)
    cast = store.append(vote("🙂" * 200, items[0], "🙃" * 200, note="语" * 100_000))
    undone = store.append(undo("😶" * 200, cast))
    assert store.events() == [cast, undone]


def test_settings(store: VoteStore) -> None:
    assert store.setting("seed") is None
    assert store.setting("seed", 7) == 7
    for value in (0, None, {"b": [1.5, "é"], "a": None}, "text"):
        store.set_setting("seed", value)
        assert store.setting("seed", 7) == value
    store.set_setting("overlap", 2)
    assert store.setting("seed") == "text"
    with pytest.raises(TypeError):
        store.set_setting("seed", {1, 2})


def test_many_settle_on_one_value(store_url: str) -> None:
    with VoteStore(store_url) as one, VoteStore(store_url) as two, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit((one, two)[n % 2].settled, "identity", {"number": n}) for n in range(16)]
        told = [future.result() for future in asked]
        assert told == [told[0]] * 16
        assert one.setting("identity") == told[0]
        one.set_setting("identity", None)
        assert two.settled("identity", 1) is None


def test_one_key_from_many_threads_is_one_event(store: VoteStore) -> None:
    items = with_items(store)
    start = threading.Barrier(8)
    stored: list[Event] = []

    def send() -> None:
        start.wait()
        stored.extend(store.append(vote(f"k{number}", items[0])) for number in range(20))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.number for event in store.events()] == list(range(1, 21))
    assert {event.number for event in stored} == set(range(1, 21))
    assert len(stored) == 160


def test_each_thread_gets_its_own_answer(store: VoteStore) -> None:
    """Those that are refused do not touch the others, with whom they are stored together."""
    items = with_items(store)
    store.append(vote("taken", items[0]))
    answers: dict[str, list[object]] = {}

    def send(name: str) -> None:
        answers[name] = []
        for number in range(30):
            event = {
                0: vote(f"{name}-{number}", items[number % 3], name),
                1: vote(f"{name}-{number}", "nothing", name),
                2: vote("taken", items[1]),
            }[number % 3]
            try:
                answers[name].append(store.append(event).key)
            except EventRefused as error:
                answers[name].append(type(error))

    threads = [threading.Thread(target=send, args=(f"ann{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, told in answers.items():
        assert told == [[f"{name}-{n}", UnknownItem, KeyReused][n % 3] for n in range(30)]
    assert [event.number for event in store.events()] == list(range(1, 82))


def test_a_mistake_of_ours_fails_nobody_else(store: VoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that makes the code itself fall over, in a transaction with others."""
    items = with_items(store)
    real = store._store

    def falls_over(connection: object, events: list[Event]) -> object:
        if any(event.key == "bad" for event in events):
            raise ZeroDivisionError("a mistake")
        return real(connection, events)

    monkeypatch.setattr(store, "_store", falls_over)
    answers: dict[str, object] = {}

    def send(key: str) -> None:
        try:
            answers[key] = store.append(vote(key, items[0])).key
        except ZeroDivisionError as error:
            answers[key] = str(error)

    keys = ["k1", "k2", "bad", "k3", "k4"]
    threads = [threading.Thread(target=send, args=(key,)) for key in keys]
    with store._writing:  # they gather behind it
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert answers == {"k1": "k1", "k2": "k2", "bad": "a mistake", "k3": "k3", "k4": "k4"}
    assert {event.key for event in store.events()} == {"k1", "k2", "k3", "k4"}


def test_two_stores_see_each_other_in_order(store_url: str) -> None:
    """Two that write, two that read as they go: nobody sees a gap that is filled later."""
    with VoteStore(store_url) as one, VoteStore(store_url) as two:
        items = with_items(one)
        assert two.items() == one.items()
        ended = threading.Event()
        seen: dict[int, list[int]] = {0: [], 1: []}

        def read(place: int, store: VoteStore) -> None:
            is_last = False
            while not is_last:
                is_last = ended.is_set()
                after = seen[place][-1] if seen[place] else 0
                seen[place].extend(event.number for event in store.events(after=after))

        def write(name: str, store: VoteStore) -> None:
            for number in range(25):
                store.append(vote(f"k{number}", items[number % 3], name))

        readers = [threading.Thread(target=read, args=pair) for pair in enumerate((one, two))]
        writers = [
            threading.Thread(target=write, args=(f"ann{number}", (one, two)[number % 2]))
            for number in range(4)
        ]
        for thread in (*readers, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        ended.set()
        for thread in readers:
            thread.join()
        assert seen[0] == seen[1] == list(range(1, 101))
        assert one.events() == two.events()


def test_nobody_changes_or_removes_what_is_there(store_url: str) -> None:
    with VoteStore(store_url) as store:
        items = with_items(store)
        before = store.append(vote("k", items[0]))
    is_file = "://" not in store_url
    engine = create_engine(
        f"sqlite:///{store_url}" if is_file else store_url.replace("postgresql://", "postgresql+psycopg://")
    )
    statements = [
        "UPDATE palate_events SET choice = 'b'",
        "DELETE FROM palate_events",
        "UPDATE palate_items SET task = 'compare'",
        "DELETE FROM palate_items",
    ]
    statements += [] if is_file else ["TRUNCATE palate_events", "TRUNCATE palate_items CASCADE"]
    for statement in statements:
        with pytest.raises(DBAPIError, match="only ever added to"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()
    with VoteStore(store_url) as store:
        assert store.events() == [before]
        assert len(store.items()) == 3


def test_a_closed_store_says_so(store: VoteStore) -> None:
    items = with_items(store)
    store.close()
    store.close()
    for call in (lambda: store.append(vote("k", items[0])), store.events, store.items):
        with pytest.raises(ValueError, match="is closed"):
            call()
