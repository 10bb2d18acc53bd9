"""`palate judge` against scripted judges: what it writes, what it says, and what it never does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from judging_scene import answer, comparisons
from judging_server import judging_server

from palate.cli import main
from palate.data import read_records, read_verdicts, write_comparisons
from palate.recipe import SourceOptions
from running_server import RunningServer

NAMES = {
    "num_asked", "num_given", "num_missing", "missing_reasons", "position_flip_rate", "length_slope",
    "family_preference", "canaries", "kappa",
}  # fmt: skip
"""What scripts rely on."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with judging_server(tmp_path_factory.mktemp("server") / "log.jsonl") as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    write_comparisons(comparisons(40), "c.jsonl")
    return tmp_path


def palate(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["judge", *map(str, words)])
        raise SystemExit(0)
    return int(ended.value.code or 0)


def card(folder: str = ".") -> dict[str, Any]:
    return json.loads((Path(folder) / "judge_card.json").read_text())


def write_preferences(path: str, num: int) -> None:
    """The better answer is the chosen one, of any length, in rows that know no sides."""
    rows = []
    for number in range(num):
        topic = f"lantern-{number}"
        chosen, rejected = answer(topic, 8, number % 5), answer(topic, 3, (number + 2) % 5)
        rows.append({"prompt": f"Tell me about {topic}.", "chosen": chosen, "rejected": rejected})
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("module", ["palate.cli.app", "palate.cli.judge", "palate.judge"])
def test_nobody_waits_for_statistics_before_they_are_needed(module: str) -> None:
    program = f"import sys, {module}; print(sorted({{'scipy.stats', 'torch'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_honest_judge(here: Path, server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(server.arrivals())
    words = ("c.jsonl", "-o", "out/v.jsonl", "--model", "honest", "--base-url", server.base_url)
    assert palate(*words, "--pairs", "out/p.jsonl", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    written = card("out")
    assert set(written) >= NAMES
    assert {name: said[name] for name in written} == written
    assert (written["num_asked"], written["num_given"], written["num_missing"]) == (40, 40, 0)
    assert (written["position_flip_rate"], written["findings"]) == (0.0, [])
    assert all(canary["passed"] for canary in written["canaries"].values())
    verdicts, _ = read_verdicts("out/v.jsonl")
    assert [v.comparison for v in verdicts] == comparisons(40)
    assert all(len(v.calls) == 2 for v in verdicts)
    num_ties = sum(v.preferred == "tie" for v in verdicts)
    pairs = read_records(SourceOptions(source="out/p.jsonl")).records
    assert said["pairs"]["num_pairs"] == len(pairs) == 40 - num_ties
    assert pairs[0].provenance.detail["judge"] == "honest"
    assert {pairs[0].provenance.detail[f"{side}_generator"] for side in ("chosen", "rejected")} == {
        "own-writer", "other-writer",
    }  # fmt: skip
    assert said["asked"][0]["num_new"] == len(server.arrivals()) - before


@pytest.mark.parametrize(
    ("model", "defect", "code"),
    [
        ("always-first", "position_bias", 1),
        ("longer", "length_bias", 1),
        ("own-family", "family_bias", 0),
        ("obeys-injection", "injected_text", 1),
        ("random", "inconsistency", 1),
    ],
)
def test_each_known_defect_is_named(
    here: Path, server: RunningServer, capsys: pytest.CaptureFixture[str], model: str, defect: str, code: int
) -> None:
    """Its verdicts are written all the same; where a canary failed, no headline and no pairs."""
    words = (
        "c.jsonl",
        "-o",
        "v.jsonl",
        "--model",
        model,
        "--base-url",
        server.base_url,
        "--pairs",
        "p.jsonl",
    )
    assert palate(*words) == code
    assert defect in [finding["name"] for finding in card()["findings"]]
    assert len(read_verdicts("v.jsonl")[0]) == 40
    said = capsys.readouterr()
    assert (card()["headline"] is None) == ("withheld" in said.out) == (code == 1)
    assert Path("p.jsonl").exists() == (code == 0)


def test_intervals_are_never_shown_narrower_than_they_are(
    here: Path, server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert palate("c.jsonl", "-o", "v.jsonl", "--model", "random", "--base-url", server.base_url) == 1
    said, found = capsys.readouterr().out, card()
    intervals = {
        "position flips": found["position_flip_interval_95"],
        "shown first preferred": found["win_rate_by_position"]["first_interval_95"],
        "longer preferred": found["longer_win_rate_interval_95"],
    }
    for name, (low, high) in intervals.items():
        shown = re.search(rf"{name}: .* \((\d+)% to (\d+)%\)", said)
        assert shown
        assert int(shown[1]) <= 100 * low < int(shown[1]) + 1
        assert int(shown[2]) - 1 < 100 * high <= int(shown[2])


def test_force_gives_headline_and_pairs_and_says_so(
    here: Path, server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("c.jsonl", "-o", "v.jsonl", "--model", "longer", "--base-url", server.base_url)
    assert palate(*words, "--pairs", "p.jsonl", "--force") == 0
    assert (card()["forced"], card()["headline"] is None, Path("p.jsonl").exists()) == (True, False, True)
    assert "because of --force" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "reason"),
    [("garbage", "unparsed"), ("truncates", "truncated"), ("refuses", "refused"), ("empty", "empty")],
)
def test_no_verdict_at_all_is_no_success(
    here: Path, server: RunningServer, capsys: pytest.CaptureFixture[str], model: str, reason: str
) -> None:
    words = ("--model", model, "--base-url", server.base_url, "--limit", 8)
    assert palate("c.jsonl", "-o", "v.jsonl", *words) == 1
    assert (card()["num_given"], card()["missing_reasons"]) == (0, {reason: 8})
    assert "gave no verdict on any of 8 comparisons" in capsys.readouterr().err
    verdicts, _ = read_verdicts("v.jsonl")
    assert {(v.preferred, call.problem) for v in verdicts for call in v.calls} == {(None, reason)}


def test_the_datas_choices_are_votes_and_the_judge_is_not_told(here: Path, server: RunningServer) -> None:
    write_preferences("d.jsonl", 30)
    assert palate("d.jsonl", "-o", "v.jsonl", "--model", "honest", "--base-url", server.base_url) == 0
    assert (card()["kappa"], card()["num_common"]) == (1.0, 30)
    shown = {v.preferred for v in read_verdicts("v.jsonl")[0]}
    assert shown == {"a", "b"}


def test_a_file_of_votes_measures_the_judge(here: Path, server: RunningServer) -> None:
    """Votes may have the sides the other way round, and be on some of the comparisons only."""
    write_preferences("d.jsonl", 30)
    write_preferences("votes.jsonl", 25)
    words = ("--model", "honest", "--base-url", server.base_url)
    assert palate("d.jsonl", "-o", "first/v.jsonl", *words) == 0
    write_comparisons([v.comparison for v in read_verdicts("first/v.jsonl")[0]], "blind.jsonl")
    assert palate("blind.jsonl", "-o", "v.jsonl", *words, "--votes", "votes.jsonl") == 0
    assert (card()["kappa"], card()["num_common"]) == (1.0, 25)


def test_examples_are_shown_and_measure_nothing(here: Path, server: RunningServer) -> None:
    write_preferences("d.jsonl", 30)
    before = len(server.arrivals())
    words = ("--model", "honest-e", "--base-url", server.base_url, "--examples", 3)
    assert palate("d.jsonl", "-o", "v.jsonl", *words) == 0
    assert card()["num_common"] == 27
    prompts = [event["prompt"] for event in server.arrivals()[before:]]
    assert all("<<<begin examples" in prompt for prompt in prompts)


def test_references_reach_the_judge(here: Path, server: RunningServer) -> None:
    write_preferences("d.jsonl", 8)
    rows = [
        {"prompt": f"Tell me about lantern-{n}.", "reference": f"It hangs, number {n}."} for n in range(8)
    ]
    Path("refs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = len(server.arrivals())
    words = ("--model", "honest-r", "--base-url", server.base_url, "--references", "refs.jsonl")
    assert palate("d.jsonl", "-o", "v.jsonl", *words) == 0
    assert all("It hangs, number" in event["prompt"] for event in server.arrivals()[before:])


def test_a_jury_of_several(here: Path, server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for name in ("honest", "honest-2", "random") for word in ("--model", name)]
    words += ["--base-url", server.base_url, "--pooling", "dawid_skene", "--limit", "12"]
    assert palate("c.jsonl", "-o", "v.jsonl", *words) == 0
    found = card()
    assert [juror["judge"] for juror in found["judges"]] == ["honest", "honest-2", "random"]
    assert found["krippendorff_alpha"] is not None
    assert "alpha among jurors" in capsys.readouterr().out


def test_a_file_of_judges_names_servers_keys_and_rubrics(
    here: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE_KEY", "sk-" + "x" * 40)
    Path("mine.yaml").write_text("name: mine\ninstruction: Which one would a lamplighter rather read?\n")
    Path("judges.yaml").write_text(
        f"""
judges:
  - {{name: careful, model: honest-3, base_url: "{server.base_url}", api_key_env: ONE_KEY, rubric: mine.yaml}}
  - {{name: quick, model: honest-4, mode: pointwise}}
  - {{scorer: shorter}}
"""
    )
    before = len(server.arrivals())
    assert palate("c.jsonl", "-o", "v.jsonl", "--judges", "judges.yaml", "--base-url", server.base_url) in (
        0,
        1,
    )
    assert [juror["judge"] for juror in card()["judges"]] == ["careful", "quick", "shorter"]
    asked = server.arrivals()[before:]
    of_mine = [event for event in asked if event["model"] == "honest-3"]
    assert all("lamplighter" in event["prompt"] for event in of_mine)
    assert {event["model"] for event in asked} == {"honest-3", "honest-4"}
    held = b"".join(path.read_bytes() for path in here.rglob("*") if path.is_file())
    assert b"sk-xxxx" not in held


def test_a_dry_run_asks_nothing_and_says_what_it_would_cost(
    here: Path, server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both orders of every comparison, and of the canaries. What a dry run counted is what is then sent."""
    Path("prices.yaml").write_text('models:\n  "*": {input_per_million: 1, output_per_million: 1000}\n')
    words = ("c.jsonl", "-o", "v.jsonl", "--model", "honest-5", "--base-url", server.base_url)
    words += ("--prices", "prices.yaml", "--max-tokens", "100", "--limit", "10")
    before = len(server.arrivals())
    assert palate(*words, "--dry-run", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (len(server.arrivals()), Path("v.jsonl").exists()) == (before, False)
    assert palate(*words, "--json") == 0
    real = json.loads(capsys.readouterr().out)["asked"][0]
    assert said["num_requests"] == real["num_new"] == len(server.arrivals()) - before
    assert said["models"][0]["max_completion_tokens"] == 100 * said["num_requests"]
    worst = said["models"][0]["max_prompt_tokens"] / 1e6 + said["num_requests"] * 100 * 1000 / 1e6
    assert said["max_cost"] == pytest.approx(worst)
    assert real["cost"] <= said["max_cost"]
    assert palate(*words, "--dry-run", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["num_requests"], said["num_stored"], said["max_cost"]) == (0, real["num_new"], 0.0)


def test_a_spent_budget_leaves_the_rest_missing_and_the_work_short(
    here: Path, server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("c.jsonl", "-o", "v.jsonl", "--model", "honest-6", "--base-url", server.base_url)
    assert palate(*words, "--budget-tokens", "60000", "--concurrency", "1") == 1
    found = card()
    assert 0 < found["num_given"] < 40
    assert found["missing_reasons"] == {"not_asked": 40 - found["num_given"]}
    assert "were never asked for" in capsys.readouterr().err
    assert palate(*words) == 0
    assert card()["num_given"] == 40


def test_ten_runs_give_the_same_card(here: Path, server: RunningServer) -> None:
    write_preferences("d.jsonl", 12)
    cards = set()
    for number in range(10):
        words = ("--model", "random", "--base-url", server.base_url, "--seed", 3)
        palate("d.jsonl", "-o", f"{number}/v.jsonl", *words)
        cards.add(Path(f"{number}/judge_card.json").read_bytes())
        cards.add(b"" + Path(f"{number}/v.jsonl").read_bytes())
    assert len(cards) == 2


def num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


@pytest.mark.parametrize("num_kills", [1, pytest.param(8, marks=pytest.mark.thorough)])
def test_killed_and_started_again_it_asks_nothing_twice(here: Path, num_kills: int) -> None:
    log = here / "slow.jsonl"
    with judging_server(log, "--delay-seconds", "0.05") as slow:
        words = [sys.executable, "-m", "palate", "judge", "c.jsonl", "-o", "v.jsonl", "--model", "honest",
                 "--base-url", slow.base_url, "--concurrency", "2", "--limit", "15"]  # fmt: skip
        for _ in range(num_kills):
            target = num_lines(log) + 5
            with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
                deadline = time.monotonic() + 60
                while num_lines(log) < target and child.poll() is None:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                os.kill(child.pid, signal.SIGKILL)
        assert not Path("v.jsonl").exists()
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        asked = [event["digest"] for event in slow.arrivals()]
        assert len(asked) - len(set(asked)) <= 2 * num_kills
        assert len(read_verdicts("v.jsonl")[0]) == card()["num_given"] == 15


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no judge is named"),
        (["--scorer", "shorter", "--orders", "both"], "--orders: no effect"),
        (["--scorer", "shorter", "--concurrency", "2"], "--concurrency: no effect"),
        (["--scorer", "shorter", "--pooling", "majority"], "no effect on one judge"),
        (["--scorer", "shorter", "--references", "refs.jsonl"], "no language model reads them"),
        (["--model", "m", "--base-url", "http://127.0.0.1:1/v1", "--examples", "2"], "there are no votes"),
        (["--model", "m", "--base-url", "http://127.0.0.1:1/v1", "--batch-size", "2"], "--batch-size"),
        (["--scorer", "shorter", "--votes", "other.jsonl"], "none of 1 votes is on a comparison"),
        (["--scorer", "shorter", "--limit", "0"], "limit"),
        (["--scorer", "shorter", "--num-canaries", "0"], "0 canaries"),
        (["--scorer", "shorter", "--pairs", "v.jsonl"], "the same file"),
        (["--scorer", "shorter", "--pairs", "p.csv"], "no format that records are written in"),
        (["--scorer", "shorter", "--scorer", "shorter"], 'two jurors are called "shorter"'),
        (["--scorer", "shorted"], "no such judge"),
        (["--scorer", "shorter", "--scorer", "longer", "--pooling", "dawid_skene"], "jury of 2"),
        (["--model", "m", "--base-url", "http://127.0.0.1:1/v1", "--rubric", "preferense"], "no such rubric"),
        (["--model", "m", "--base-url", "http://user:hunter2@127.0.0.1:1/v1"], "user"),
        (["--judges", "none.yaml"], "cannot be read"),
    ],
)
def test_a_call_that_is_wrong_is_told_before_anything_is_asked(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    Path("refs.jsonl").write_text('{"prompt": "p", "reference": "r"}\n')
    Path("other.jsonl").write_text('{"prompt": "p", "chosen": "x", "rejected": "y"}\n')
    assert palate("c.jsonl", "-o", "v.jsonl", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "hunter2" not in error
    assert not Path("v.jsonl").exists()


@pytest.mark.parametrize("output", ["v.csv", "c.jsonl", "judge_card.json", "folder"])
def test_an_output_that_cannot_be_is_refused(here: Path, output: str) -> None:
    Path("folder").mkdir()
    assert palate("c.jsonl", "-o", output, "--scorer", "shorter") == 2


def test_what_is_wrong_with_rows_stands_beside_the_verdicts(here: Path) -> None:
    with Path("c.jsonl").open("a") as file:
        file.write('{"prompt": 3}\n')
    palate("c.jsonl", "-o", "v.jsonl", "--scorer", "shorter")
    (row,) = [json.loads(line) for line in Path("v.set_aside.jsonl").read_text().splitlines()]
    assert row["line"] == 41


def test_text_that_steers_a_terminal_never_reaches_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["\x1b[2J[red]evil", "other"]
    made = comparisons(6)
    row = json.loads(Path("c.jsonl").read_text().splitlines()[0])
    rows = [{**row, "prompt": [m.as_dict() for m in c.prompt], "completion_a": [c.completion_a[0].as_dict()],
             "completion_b": [c.completion_b[0].as_dict()], "provenance": None,
             "generator_a": names[0], "generator_b": names[1]} for c in made]  # fmt: skip
    Path("evil.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    palate("evil.jsonl", "-o", "v.jsonl", "--scorer", "shorter", "--force")
    said = capsys.readouterr()
    assert "[red]evil" in said.out
    assert "\x1b" not in said.out + said.err
