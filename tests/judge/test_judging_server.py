"""Scripted judges over HTTP: verdicts as a user gets them, what fails, and what a crash costs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from judging_scene import comparisons, worth_of
from judging_server import judging_server

from palate.asking import Endpoint, Limits, ResponseStore
from palate.judge.llm import LLMJudge
from palate.judge.prompting import Mode
from palate.judge.rubric import load_rubric
from palate.records import Comparison, Verdict
from running_server import RunningServer

SCENE = comparisons(20, seed=5)
RUBRIC = load_rubric("helpfulness")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with judging_server(tmp_path_factory.mktemp("server") / "judge.jsonl") as running:
        yield running


def judged(server: RunningServer, tmp_path: Path, model: str, mode: Mode = "pairwise") -> list[Verdict]:
    with ResponseStore(tmp_path / "responses.sqlite3") as store:
        limits = Limits(first_backoff_seconds=0.01, max_attempts=2)
        endpoint = Endpoint(server.base_url, store=store, limits=limits)
        return LLMJudge(endpoint, model, RUBRIC, mode=mode).judge(SCENE)


def better(comparison: Comparison) -> str:
    a, b = (worth_of(side[0].content) for side in (comparison.completion_a, comparison.completion_b))
    return "a" if a > b else "b" if b > a else "tie"


def longer(comparison: Comparison) -> str:
    return "a" if len(comparison.completion_a[0].content) > len(comparison.completion_b[0].content) else "b"


def own(comparison: Comparison) -> str:
    return "a" if comparison.generators[0] == "own-writer" else "b"


@pytest.mark.parametrize(("model", "prefers"), [("honest", better), ("longer", longer), ("own-family", own)])
def test_a_judge_prefers_what_its_script_says(
    server: RunningServer, tmp_path: Path, model: str, prefers: object
) -> None:
    verdicts = judged(server, tmp_path, model)
    assert callable(prefers)
    assert [verdict.preferred for verdict in verdicts] == [prefers(each) for each in SCENE]


@pytest.mark.parametrize("mode", ["pairwise", "listwise"])
def test_the_honest_one_is_honest_in_every_mode(server: RunningServer, tmp_path: Path, mode: Mode) -> None:
    assert [v.preferred for v in judged(server, tmp_path, "honest", mode)] == [better(each) for each in SCENE]


def test_scores_never_point_the_other_way(server: RunningServer, tmp_path: Path) -> None:
    """Five steps cannot tell ten worths apart: some are ties, none is wrong."""
    verdicts = judged(server, tmp_path, "honest", "pointwise")
    assert all(v.preferred in ("tie", better(v.comparison)) for v in verdicts)
    assert sum(v.preferred == "tie" for v in verdicts) < 12


def test_places_and_chance_are_seen_in_the_flips(server: RunningServer, tmp_path: Path) -> None:
    assert all(v.flipped for v in judged(server, tmp_path, "always-first"))
    assert all(v.flipped for v in judged(server, tmp_path, "always-second"))
    at_random = sum(v.flipped for v in judged(server, tmp_path, "random"))
    assert 4 <= at_random <= 16


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("prose", "unparsed"),
        ("garbage", "unparsed"),
        ("refuses", "refused"),
        ("truncates", "truncated"),
        ("empty", "empty"),
    ],
)
def test_what_is_no_verdict_is_missing_with_its_text(
    server: RunningServer, tmp_path: Path, model: str, problem: str
) -> None:
    verdicts = judged(server, tmp_path, model)
    assert {verdict.preferred for verdict in verdicts} == {None}
    calls = [call for verdict in verdicts for call in verdict.calls]
    assert Counter(call.problem for call in calls) == {problem: 2 * len(SCENE)}
    if problem in ("unparsed", "truncated"):
        assert all("better" in call.text for call in calls)


def test_judging_again_asks_nothing(server: RunningServer, tmp_path: Path) -> None:
    first = judged(server, tmp_path, "honest")
    num_before = len(server.arrivals())
    assert judged(server, tmp_path, "honest") == first
    assert len(server.arrivals()) == num_before


_JUDGING = """
import sys
from judging_scene import comparisons
from palate.asking import Endpoint, Limits, ResponseStore
from palate.judge.llm import LLMJudge
from palate.judge.rubric import load_rubric

url, path = sys.argv[1:]
with ResponseStore(path) as store:
    endpoint = Endpoint(url, store=store, limits=Limits(concurrency=2))
    verdicts = LLMJudge(endpoint, "honest", load_rubric("preference")).judge(comparisons(40))
    print(sum(verdict.preferred is not None for verdict in verdicts))
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """Of 80 requests, only those in flight at the kill, at most two, are asked a second time."""
    log = tmp_path / "judge.jsonl"
    store = tmp_path / "responses.sqlite3"
    with judging_server(log, "--delay-seconds", "0.02") as server:
        command = [sys.executable, "-c", _JUDGING, server.base_url, str(store)]
        here = {"cwd": Path(__file__).parent, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **here) as killed:  # type: ignore[call-overload]
            while len(server.arrivals()) < 30:
                assert killed.poll() is None
                time.sleep(0.01)
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        assert len(server.arrivals()) < 80
        finished = subprocess.run(command, check=True, **here)  # type: ignore[call-overload]
        assert finished.stdout.strip() == "40"
        times = Counter(arrival["digest"] for arrival in server.arrivals())
    assert len(times) == 80
    assert sum(count - 1 for count in times.values()) <= 2
