"""No request is paid for twice: whoever is killed asks again at most what was in flight.

A child asks 200 requests, eight at once, and is killed again and again at random moments until it comes to
its end. The server is another process and counts every request on its own.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from running_server import RunningServer, running_server

NUM_PROMPTS, NUM_SAMPLES, CONCURRENCY = 100, 2, 8

ASKER = f"""
import json, sys
from pathlib import Path
from palate.asking import Endpoint, Limits, Request, ResponseStore
from palate.records import Message

base_url, store, out = sys.argv[1:]
requests = [
    Request("m", (Message("user", f"prompt {{number}}"),), sample=sample, seed=sample)
    for number in range({NUM_PROMPTS}) for sample in range({NUM_SAMPLES})
]
with ResponseStore(store) as opened:
    limits = Limits(concurrency={CONCURRENCY}, first_backoff_seconds=0.01)
    print("asking", flush=True)
    answers = {{}}
    for reply in Endpoint(base_url, store=opened, limits=limits, api_key_env=None).ask(requests):
        asked = f"{{reply.request.messages[0].content}} / {{reply.request.sample}}"
        answers[asked] = [reply.status, reply.text]
Path(out).write_text(json.dumps(answers, sort_keys=True))
"""


def start(server: RunningServer, folder: Path) -> subprocess.Popen[str]:
    """The asker, at the moment when it is about to ask."""
    command = [sys.executable, "-c", ASKER, server.base_url, str(folder / "store"), str(folder / "out")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "asking\n"
    return child


def ask_until_done(server: RunningServer, folder: Path, num_kills: int, seed: int) -> int:
    """Kill it so many times while it has not asked everything; returns how often it died of that."""
    chance = random.Random(seed)
    num_killed = 0
    while True:
        child = start(server, folder)
        if num_killed < num_kills:
            # By what has reached the server, so that a slow machine is killed in the midst as well.
            already = len(server.arrivals())
            wanted = already + chance.randrange(1, 2 + NUM_PROMPTS * NUM_SAMPLES // (2 * num_kills))
            while child.poll() is None and len(server.arrivals()) < wanted:
                time.sleep(0.004)
            time.sleep(chance.uniform(0, 0.01))
            child.send_signal(signal.SIGKILL)
        code = child.wait()
        child.stdout.close()  # type: ignore[union-attr]
        if code == 0:
            return num_killed
        assert code == -signal.SIGKILL
        num_killed += 1


def assert_nothing_twice(tmp_path: Path, num_kills: int, seed: int) -> None:
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    undisturbed.mkdir()
    disturbed.mkdir()
    with running_server(undisturbed / "log", "--delay-seconds", "0.02") as server:
        assert ask_until_done(server, undisturbed, 0, seed) == 0
        assert len(server.arrivals()) == NUM_PROMPTS * NUM_SAMPLES
    with running_server(disturbed / "log", "--delay-seconds", "0.02") as server:
        num_killed = ask_until_done(server, disturbed, num_kills, seed)
        counts = Counter((arrival["prompt"], arrival["seed"]) for arrival in server.arrivals())
    assert num_killed == num_kills
    assert len(counts) == NUM_PROMPTS * NUM_SAMPLES
    num_repeated = sum(counts.values()) - len(counts)
    assert 0 < num_repeated <= CONCURRENCY * num_killed
    answers = json.loads((disturbed / "out").read_text())
    assert answers == json.loads((undisturbed / "out").read_text())
    assert {status for status, _ in answers.values()} == {"answered"}


def test_killed_at_four_moments(tmp_path: Path) -> None:
    assert_nothing_twice(tmp_path, num_kills=4, seed=4)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_twenty_moments(tmp_path: Path, seed: int) -> None:
    assert_nothing_twice(tmp_path, num_kills=20, seed=seed)


def test_a_stop_by_hand_keeps_what_came_in(tmp_path: Path) -> None:
    """Ctrl-C ends it soon, and without a trace of its threads; then it goes on where it was."""
    with running_server(tmp_path / "log", "--delay-seconds", "0.02") as server:
        child = start(server, tmp_path)
        while len(server.arrivals()) < 50:
            time.sleep(0.004)
        child.send_signal(signal.SIGINT)
        assert child.wait() in (1, 130, -signal.SIGINT)
        child.stdout.close()  # type: ignore[union-attr]
        assert ask_until_done(server, tmp_path, 0, 0) == 0
        num_repeated = len(server.arrivals()) - NUM_PROMPTS * NUM_SAMPLES
    assert 0 <= num_repeated <= CONCURRENCY
