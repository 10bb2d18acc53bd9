"""Many annotators at once: how long each waits until a vote is on the disk, through the real server.

    python benchmarks/votes_load.py --store votes.sqlite3 --annotators 16 --per-second 5 --seconds 60
    python benchmarks/votes_load.py --store postgresql://... --annotators 16 --no-pause --seconds 60

The server is `palate annotate`, in a process of its own. The annotators share another process. Each does what
the page does: fetches a dozen pairs ahead when few are left, and sends one event for each vote. At the end
the store is read, and every acknowledged vote has to be in it once.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil  # type: ignore[import-untyped]

from palate.annotate.store import VoteStore
from palate.data import write_comparisons
from palate.records import Comparison, Message, Provenance

_FETCH_BELOW, _FETCHED_AT_ONCE = 6, 12
_WORDS = [
    "so",
    "the",
    "answer",
    "that",
    "people",
    "like",
    "is",
    "short",
    "and",
    "says",
    "what",
    "it",
    "means",
]


@dataclass
class Account:
    """What all annotators saw together."""

    vote_seconds: list[float] = field(default_factory=list)
    fetch_seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, int] = field(default_factory=dict)
    """The number told of each vote, by its key."""
    num_ran_out: int = 0
    """Annotators who had voted on everything before the time was up."""


def main() -> int:
    """Run it, print the figures as text and, as the last line, JSON. 1 where something went wrong."""
    options = _options()
    with VoteStore(options.store) as store:
        first = len(store.events())
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "pairs.jsonl"
        write_comparisons(_comparisons(options.items, random.Random(0)), source)
        with _server(source, options.store) as (url, process):
            started, cpu_before = time.perf_counter(), _cpu_seconds(process)
            account = asyncio.run(_vote(url, options))
            seconds, cpu = time.perf_counter() - started, _cpu_seconds(process) - cpu_before
    num_wrong = _num_wrong(options.store, account, first)
    figures = {
        "store": "postgresql" if "://" in options.store else "sqlite",
        "annotators": options.annotators,
        "per_second_each": None if options.no_pause else options.per_second,
        "seconds": round(seconds, 1),
        "num_votes": len(account.acknowledged),
        "votes_per_second": round(len(account.acknowledged) / seconds, 1),
        "vote_milliseconds": _spread(account.vote_seconds),
        "fetch_milliseconds": _spread(account.fetch_seconds),
        "server_cpu_seconds": round(cpu, 1),
        "num_errors": sum(account.errors.values()),
        "errors": dict(account.errors),
        "num_not_stored_once": num_wrong,
        "num_annotators_ran_out": account.num_ran_out,
        "load_average": os.getloadavg()[0],
    }
    for name, value in figures.items():
        print(f"{name:24} {value}")
    print(json.dumps(figures))
    return 1 if account.errors or num_wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", required=True, help="a new file, or a postgresql:// URL")
    parser.add_argument("--annotators", type=int, default=16)
    parser.add_argument("--per-second", type=float, default=5.0, help="votes of each annotator")
    parser.add_argument("--no-pause", action="store_true", help="vote again as soon as the answer is there")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--items", type=int, default=4000, help="pairs in the store")
    return parser.parse_args()


def _comparisons(num_items: int, chance: random.Random) -> Iterator[Comparison]:
    def said(role: Any, num_words: int) -> tuple[Message, ...]:
        return (Message(role, " ".join(chance.choices(_WORDS, k=num_words))),)

    for number in range(num_items):
        a, b = (said("assistant", chance.randrange(30, 200)) for _ in range(2))
        yield Comparison((Message("user", f"Question {number}"),), a, b, Provenance("made", number))


@contextmanager
def _server(source: Path, store: str) -> Iterator[tuple[str, psutil.Process]]:
    """Its address and its process, for as long as the block lasts."""
    command = [sys.executable, "-m", "palate", "annotate", str(source), "--store", store]
    options = ["--port", "0", "--overlap", "all", "--json", "--no-open"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield json.loads(child.stdout.readline())["url"], psutil.Process(child.pid)
        finally:
            child.terminate()


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def _vote(url: str, options: argparse.Namespace) -> Account:
    account = Account()
    until = time.perf_counter() + options.seconds
    pause = 0.0 if options.no_pause else 1 / options.per_second
    run = f"{time.time_ns():x}"
    await asyncio.gather(
        *(_annotate(url, f"{run}-{number}", pause, until, account) for number in range(options.annotators))
    )
    return account


async def _annotate(url: str, name: str, pause: float, until: float, account: Account) -> None:
    chance = random.Random(name)
    async with httpx2.AsyncClient(timeout=30, follow_redirects=True) as client:
        page = (await client.get(url)).text
        csrf = re.findall(r'name="palate-csrf" content="(\w+)"', page)[0]
        base = url.partition("/enter")[0]
        waiting: list[dict[str, Any]] = []
        # People do not vote in step.
        due = time.perf_counter() + chance.uniform(0, pause)
        for number in itertools.count():
            if len(waiting) < _FETCH_BELOW:
                waiting += await _fetch(client, base, name, waiting, account)
            if not waiting:
                account.num_ran_out += 1
                return
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if time.perf_counter() >= until:
                return
            event = _event(f"{name}-{number:06d}", name, waiting.pop(0), chance)
            await _send(client, base, csrf, event, account)
            due += pause


async def _fetch(
    client: httpx2.AsyncClient, base: str, name: str, held: list[dict[str, Any]], account: Account
) -> list[dict[str, Any]]:
    skip = ",".join(f"{item['item']}:{item['repeat']}" for item in held)
    query = {"annotator": name, "count": str(_FETCHED_AT_ONCE), "skip": skip}
    started = time.perf_counter()
    try:
        answer = await client.get(f"{base}/api/next", params=query)
    except httpx2.TransportError as error:
        account.errors[f"next: {type(error).__name__}"] += 1
        return []
    account.fetch_seconds.append(time.perf_counter() - started)
    if answer.status_code != 200:
        account.errors[f"next: {answer.status_code} {answer.text[:200]}"] += 1
        return []
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def _event(key: str, name: str, item: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    return {
        "key": key,
        "annotator": name,
        "kind": "vote",
        "item": item["item"],
        "repeat": item["repeat"],
        "choice": chance.choice(["left", "right", "tie", "both_bad"]),
        "seconds": round(chance.uniform(0.1, 5), 2),
    }


async def _send(
    client: httpx2.AsyncClient, base: str, csrf: str, event: dict[str, Any], account: Account
) -> None:
    started = time.perf_counter()
    try:
        answer = await client.post(f"{base}/api/events", json=event, headers={"X-Palate-CSRF": csrf})
    except httpx2.TransportError as error:
        account.errors[f"vote: {type(error).__name__}"] += 1
        return
    account.vote_seconds.append(time.perf_counter() - started)
    if answer.status_code != 200:
        account.errors[f"vote: {answer.status_code} {answer.text[:200]}"] += 1
        return
    account.acknowledged[event["key"]] = answer.json()["number"]


def _num_wrong(store: str, account: Account, first: int) -> int:
    """Acknowledged votes that are not in the store exactly once, with the number that was told."""
    with VoteStore(store, must_exist=True) as opened:
        events = opened.events(after=first)
    there = Counter((event.key, event.number) for event in events)
    num_lost = sum(there[told] != 1 for told in account.acknowledged.items())
    return num_lost + sum(count > 1 for count in Counter(event.key for event in events).values())


def _spread(seconds: list[float]) -> dict[str, float]:
    found = sorted(seconds)
    if not found:
        return {}
    places = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {
        name: round(1000 * found[min(len(found) - 1, int(share * len(found)))], 2)
        for name, share in places.items()
    }


if __name__ == "__main__":
    sys.exit(main())
