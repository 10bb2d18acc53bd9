"""No acknowledged vote is ever lost: 16 annotators vote without a pause, and the server is killed.

What a client was told is stored is in the store exactly once, with the number it was told. What it was not
told it sends again, with the same key, and that is there once too. The servers are `palate annotate` itself.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from voting_clients import Client, VotingServer, write_source

from palate.annotate.events import Event
from palate.annotate.store import VoteStore
from running_postgres import RunningPostgres

NUM_CLIENTS = 16


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new store can be made."""
    if request.param == "sqlite":
        return str(tmp_path / "votes.sqlite3")
    return str(request.getfixturevalue("postgres").new_database())


def vote_through(
    store_url: str,
    folder: Path,
    disasters: int,
    strike: Callable[[VotingServer], None],
    *,
    num_servers: int = 1,
    seed: int = 0,
) -> list[Client]:
    """Let them vote, strike so many times at random moments, and see that nothing is lost or double."""
    chance = random.Random(seed)
    source = folder / "pairs.jsonl"
    items = write_source(source)
    servers = [VotingServer(source, store_url) for _ in range(num_servers)]
    clients = [
        Client(
            f"client{number:02d}", servers[number % num_servers], items, random.Random(seed * 100 + number)
        )
        for number in range(NUM_CLIENTS)
    ]
    ended = threading.Event()
    threads = [threading.Thread(target=client.run, args=(ended,)) for client in clients]
    for server in servers:
        server.start()
    try:
        for thread in threads:
            thread.start()
        for _ in range(disasters):
            wait_for_more(clients, chance.randrange(1, 120))
            time.sleep(chance.uniform(0, 0.01))
            strike(chance.choice(servers))
        wait_for_more(clients, 50)
    finally:
        ended.set()
        for thread in threads:
            thread.join(timeout=60)
    for server in servers:
        server.stop()
        server.__exit__()
    assert not any(thread.is_alive() for thread in threads)
    assert_all_there_once(store_url, clients)
    return clients


def wait_for_more(clients: list[Client], num_more: int) -> None:
    """Until so many more votes are acknowledged."""
    wanted = num_acknowledged(clients) + num_more
    until = time.monotonic() + 120
    while num_acknowledged(clients) < wanted:
        assert time.monotonic() < until, "nobody is answered any more"
        time.sleep(0.002)


def num_acknowledged(clients: list[Client]) -> int:
    return sum(len(client.acknowledged) for client in clients)


def assert_all_there_once(store_url: str, clients: list[Client]) -> None:
    with VoteStore(store_url, must_exist=True) as store:
        events = store.events()
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    for client in clients:
        assert client.refused == []
        assert set(client.acknowledged) == set(client.sent)
        theirs = [event for event in events if event.annotator == client.name]
        # A list, so that an event which is there twice is not taken for one.
        assert [(event.key, event.number) for event in theirs] == list(client.acknowledged.items())
        for event in theirs:
            assert_as_sent(event, client.sent[event.key])
    assert len(events) == num_acknowledged(clients)


def assert_as_sent(event: Event, sent: dict[str, object]) -> None:
    assert (event.kind, event.item, event.undoes) == (sent["kind"], sent["item"], sent.get("undoes"))
    shown = {"left": event.left, "right": "b" if event.left == "a" else "a"}
    assert event.choice == shown.get(str(sent["choice"]), sent["choice"])


def killed_and_started_again(server: VotingServer) -> None:
    server.kill()
    server.start()


def test_the_server_is_killed_at_two_moments(store_url: str, tmp_path: Path) -> None:
    clients = vote_through(store_url, tmp_path, 2, killed_and_started_again)
    assert sum(client.num_sent_again for client in clients) > 0


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [1, 2])
def test_the_server_is_killed_at_fifty_moments(store_url: str, tmp_path: Path, seed: int) -> None:
    clients = vote_through(store_url, tmp_path, 50, killed_and_started_again, seed=seed)
    assert sum(client.num_sent_again for client in clients) > 50


def test_two_servers_of_one_store_are_killed(postgres: RunningPostgres, tmp_path: Path) -> None:
    vote_through(postgres.new_database(), tmp_path, 2, killed_and_started_again, num_servers=2)


def test_the_database_server_crashes_and_comes_back(postgres: RunningPostgres, tmp_path: Path) -> None:
    """Nobody is refused meanwhile: the voting server waits for it, and sends what broke off again."""

    def crash(server: VotingServer) -> None:
        postgres.stop()
        postgres.start()

    clients = vote_through(postgres.new_database(), tmp_path, 2, crash)
    assert sum(client.num_sent_again for client in clients) == 0
