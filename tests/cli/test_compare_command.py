"""`palate compare` as typed: what it prints, how it ends, and what its page promises."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from judging_server import judging_server

from options_typed import options_of
from palate.cli import main
from palate.cli.asking_options import AskingOptions
from palate.cli.typed import typed
from palate.evaluate.fears.measure import flag_answers, look_for_fears
from palate.recipe import CompareOptions
from palate.records import Answer, Message
from tiny_run import write_base, write_rows

PAGE = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("other"), seed=1)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    write_rows(
        tmp_path / "p.jsonl", [{"prompt": f"Say {word}"} for word in ("river", "stone", "bread", "key")]
    )
    return tmp_path


def palate(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["compare", *map(str, words)])
        raise SystemExit(0)
    return int(ended.value.code or 0)


ASK = ("--prompts", "p.jsonl", "--max-new-tokens", "6")


def test_json_is_what_the_file_holds(
    here: Path, base: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (base, other, *ASK, "--judge", "longer", "--temperature", "0.9", "--num-samples", "2", "--json")
    assert palate(*words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(Path("evaluation/comparison.json").read_text())
    assert {
        "models", "judge_kind", "judge_card", "win_rates", "ranking", "fears", "fear_findings",
        "worse_prompts", "style", "verdict", "warnings", "base", "tuned", "judge", "temperature", "options",
        "num_prompts", "samples",
        "win_rate", "figures", "held_out",
    } <= set(printed)  # fmt: skip
    assert (printed["num_prompts"], len(printed["samples"][0]["base"])) == (4, 2)


def test_a_seed_draws_other_answers_and_is_kept(here: Path, base: Path, other: Path) -> None:
    words = (base, other, *ASK, "--temperature", "1.5", "--no-drift")
    found = {}
    for seed in ((), ("--seed", "0"), ("--seed", "7")):
        assert palate(*words, *seed) == 0
        found[seed] = json.loads(Path("evaluation/comparison.json").read_text())
    assert [one["seed"] for one in found.values()] == [0, 0, 7]
    absent, nought, seven = (one["samples"] for one in found.values())
    assert absent == nought != seven
    assert palate(*words, "--seed", "-1") == 2


def test_prompts_that_are_not_asked_are_counted(here: Path, base: Path, other: Path) -> None:
    Path("p.jsonl").write_text(Path("p.jsonl").read_text() + '{"prompt": ""}\n')
    assert palate(base, other, *ASK, "--num-prompts", "3", "--no-drift") == 0
    said = json.loads(Path("evaluation/comparison.json").read_text())["warnings"]
    assert said[0].startswith("1 row is not asked, the first at p.jsonl:5: ")
    assert said[1:] == ["Asked are the first 3 of 4 prompts of p.jsonl: num_prompts says how many."]


def test_a_pipe_gets_lines(here: Path, base: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert palate(base, other, "playground", *ASK, "--judge", "shorter", "--output", "out") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert f"{other} against {base}: win / tie / loss " in out and "\nranking, playground: strength " in out
    assert "note: 4 prompts are few" in out
    assert "characters on average: " in out


def test_a_judge_that_fails_a_canary_ends_with_1(
    here: Path, base: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with judging_server(here / "log.jsonl") as server:
        judge = ("--judge-model", "always-first", "--judge-base-url", server.base_url)
        assert palate(base, other, *ASK, *judge, "--concurrency", "2") == 1
        printed = capsys.readouterr()
        assert "withheld" in printed.out and "--force" in printed.err
        assert palate(base, other, *ASK, *judge, "--force", "--json") == 0
        assert json.loads(capsys.readouterr().out)["judge_card"]["forced"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing is named that could be compared"),
        (("playground",), "this is not a run folder"),
        (("playground", "playground"), "there is nothing to ask the models"),
        (("a", "b", "--prompts", "p.jsonl", "--judge", "longer", "--judge-model", "m"), "both judge"),
        (
            ("a", "b", "--prompts", "p.jsonl", "--judge-base-url", "http://x/v1"),
            "no effect without --judge",
        ),
        (("a", "b", "--prompts", "p.jsonl", "--num-samples", "3"), "greedy answers never differ"),
        (("a", "b", "--prompts", "p.jsonl", "--concurrency", "3"), "no effect on a model of this machine"),
        (("a", "b", "--prompts", "p.jsonl", "--judge", "longr"), 'Did you mean "longer"?'),
        (("a", "b", "--prompts", "p.jsonl", "--votes", "nowhere.csv"), "nowhere.csv"),
        (("nowhere", "playground", "--prompts", "p.jsonl"), "nowhere"),
    ],
)
def test_calls_that_are_wrong(
    here: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert palate(*words) == 2
    printed = capsys.readouterr()
    assert said in " ".join(printed.err.split()) and printed.out == ""
    assert not Path("evaluation").exists()


def test_other_commands_do_not_wait_for_it() -> None:
    program = "import sys, palate.cli.app; print(sorted({'scipy.stats', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_page_names_every_option() -> None:
    asking = {typed(field.name) for field in fields(AskingOptions)}  # docs/asking.md names them
    own = [names[0] for names in options_of("compare") if names[0] not in asking]
    assert len(own) > 25
    assert [name for name in own if not re.search(rf"[` ]{name}[` ]", PAGE)] == []


def test_the_page_names_every_figure() -> None:
    answers = {name: [[Answer((Message("user", "q"),), "Yes.", name)]] for name in ("a", "b")}
    figures = set(look_for_fears(answers, flag_answers(answers)).models["a"]) - {"num_answers", "num_prompts"}
    assert [name for name in figures if f"`{name}`" not in PAGE] == []


def test_its_code_runs_and_its_recipe_is_one(here: Path) -> None:
    blocks = dict(re.findall(r"^```(python|yaml)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
    exec(compile(blocks["python"], "docs/compare.md", "exec"), {})
    assert CompareOptions.model_validate(yaml.safe_load(blocks["yaml"])["compare"]).rubric == "writing"
