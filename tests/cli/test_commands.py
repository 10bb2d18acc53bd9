"""`palate ...` as typed in a shell: exit codes, streams, and errors a person can act on."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from palate.cli import main
from palate.recipe import Recipe, write_recipe
from palate.train import RunFolder
from tiny_run import rows, tiny_recipe, write_rows

HEAVY = {"torch", "transformers", "peft", "datasets", "accelerate"}


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def palate(*words: str | Path) -> Done:
    """In this process, which has torch loaded already."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def shell(*words: str | Path, **environment: str) -> Done:
    """In a process of its own, as people do."""
    done = subprocess.run(
        [sys.executable, "-m", "palate.cli", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | environment,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def recipe_file(folder: Path, base: Path, *overrides: str) -> Path:
    path = folder / "recipe.yaml"
    write_recipe(tiny_recipe(folder, base, *overrides), path)
    return path


def assert_error(done: Done, code: int, *said: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for each in said:
        assert each in done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, base: Path) -> tuple[Path, Done]:
    """A recipe run with --json."""
    path = recipe_file(tmp_path_factory.mktemp("finished"), base, "compare.judge=longer")
    return path, shell("run", path, "train.max_steps=2", "--json")


def test_run_prints_json_alone_on_stdout(finished: tuple[Path, Done]) -> None:
    path, done = finished
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["num_steps"] == 2
    assert "pairs kept" in done.stderr and "reference:" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr, "no terminal, no colours"
    assert (path.parent / "run" / "report.html").is_file()


def test_run_again_says_that_it_is_done(finished: tuple[Path, Done]) -> None:
    path, _ = finished
    again = palate("run", path, "train.max_steps=2")
    assert again.returncode == 0
    assert "is trained already" in again.stderr and "is compared already" in again.stderr
    assert "report.html" in again.stdout
    refused = palate("run", path, "train.max_steps=2", "objective.beta=0.2")
    assert_error(refused, 2, "another run lives in this folder", "objective", "next:")


def test_a_run_goes_on_where_it_lives(finished: tuple[Path, Done], tmp_path: Path) -> None:
    """`output=` was taken without a word, and led nowhere."""
    run = finished[0].parent / "run"
    moved = palate("resume", run, f"output={tmp_path / 'elsewhere'}")
    assert_error(moved, 2, "a run goes on in its own folder", f"palate run {run / 'recipe.yaml'} output=")
    assert_error(palate("resume", run, "seed=5"), 2, "differs in: seed", "or take back what differs")
    nowhere = palate("resume", tmp_path)
    assert_error(nowhere, 2, "this is not a run folder", "next: name a folder that palate train made\n")
    assert list(tmp_path.iterdir()) == []


def test_report_and_compare_of_a_run(finished: tuple[Path, Done]) -> None:
    run = finished[0].parent / "run"
    report = palate("report", run)
    assert (report.returncode, report.stdout.strip()) == (0, str(run / "report.html"))
    asked = palate("compare", run, "--num-prompts", "1", "--judge", "shorter", "--json")
    assert asked.returncode == 0, asked.stderr
    comparison = json.loads(asked.stdout)
    assert (comparison["num_prompts"], comparison["judge"]) == (1, "shorter")
    assert_error(palate("compare", run, "--judge", "shortr"), 2, 'Did you mean "shorter"?')


def test_a_terminal_without_unicode_is_no_obstacle(finished: tuple[Path, Done], tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", [{"prompt": "天气?", "chosen": "晴", "rejected": "雨"}])
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    inspected = shell("data", "inspect", data, "--json", **ascii_only)
    assert json.loads(inspected.stdout)["examples"][0]["chosen"][0]["content"] == "晴"
    for words in (["data", "inspect", data], ["report", finished[0].parent / "run"], ["--help"]):
        done = shell(*words, **ascii_only)
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "nowhere.yaml"], ["nowhere.yaml: no such recipe", "next:"]),
        (["run", "recipe.yaml", "train.epoch=1"], ["override train.epoch=1", 'Did you mean "epochs"?']),
        (["run", "recipe.yaml", "objective.type=dpoo"], ["unknown objective", 'Did you mean "dpo"?']),
        (["run", "recipe.yaml", "train.epochs"], ["is not an override"]),
        (["train"], ["recipe", "requires an argument"]),
        (["trian", "recipe.yaml"], ["trian"]),
        (["compare", "run", "--num-prompts", "many"], ["--num-prompts"]),
    ],
    ids=lambda value: " ".join(value) if value and " " not in value[0] else "",
)
def test_calls_that_are_wrong_are_told_at_once(
    tmp_path: Path, base: Path, words: list[str], said: list[str]
) -> None:
    """Exit code 2, no traceback, and no waiting for torch to be loaded first."""
    recipe_file(tmp_path, base)
    program = (
        "import sys\nfrom palate.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        f"finally:\n    assert not {HEAVY} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert_error(Done(done.returncode, done.stdout, done.stderr), 2, *said)


def test_the_model_and_the_data_must_be_there(tmp_path: Path, base: Path) -> None:
    path = recipe_file(tmp_path, base)
    hub = shell("train", path, "model.base=nobody/nothing", f"output={tmp_path / 'a'}", HF_HUB_OFFLINE="1")
    assert_error(hub, 2, "model.base = nobody/nothing", "HF_HUB_OFFLINE is set", "next:")
    folder = palate("train", path, "model.base=./nothing", f"output={tmp_path / 'b'}")
    assert_error(folder, 2, "model.base = ./nothing", "next:")
    data = palate("train", path, "data.train.source=nothing.jsonl", f"output={tmp_path / 'c'}")
    assert_error(data, 2, "nothing.jsonl")


def test_data_of_which_nothing_is_left(tmp_path: Path, base: Path) -> None:
    same = [{"prompt": "Which?", "chosen": "this", "rejected": "this"}] * 3
    path = recipe_file(tmp_path, base)
    write_rows(tmp_path / "rows.jsonl", same)
    assert_error(
        palate("train", path), 2, "nothing is left to train on", "3 x chosen and rejected are identical"
    )


@pytest.mark.parametrize("where", ["file", "file/run"])
def test_an_output_that_cannot_be(tmp_path: Path, base: Path, where: str) -> None:
    (tmp_path / "file").write_text("mine")
    done = palate("train", recipe_file(tmp_path, base), f"output={tmp_path / where}")
    assert_error(done, 1 if "/" in where else 2, str(tmp_path / where))
    assert (tmp_path / "file").read_text() == "mine"


def test_work_that_falls_short_exits_with_1(tmp_path: Path) -> None:
    assert_error(palate("report", tmp_path), 1, "this is not a run folder", "next:")


def test_ctrl_c_stops_cleanly(tmp_path: Path, base: Path) -> None:
    path = recipe_file(tmp_path, base, "train.max_steps=null", "train.epochs=100000", "compare=null")
    process = subprocess.Popen(
        [sys.executable, "-m", "palate.cli", "train", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.read_text().count("\n") > 3) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped" in said and "Traceback" not in said
    assert not RunFolder(tmp_path / "run").is_done()
    assert not list((tmp_path / "run").rglob("*.tmp"))


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["train", "--help"], ["data", "inspect", "rows.jsonl"]]
)
def test_what_needs_no_model_loads_no_torch(tmp_path: Path, words: list[str]) -> None:
    """The proof that it starts at once; how fast is the machine's business."""
    write_rows(tmp_path / "rows.jsonl", rows(2))
    program = (
        "import sys\nfrom palate.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"loaded = {HEAVY} & set(sys.modules)\nassert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_installed_command_is_the_same(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("palate")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout == palate("--version").stdout != ""


def test_a_relative_source_is_no_trouble_once_trained(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe keeps the source as written; comparing from elsewhere does not read it again."""
    write_rows(tmp_path / "mine.jsonl", rows(8))
    recipe: Recipe = tiny_recipe(tmp_path, base, "data.train.source=mine.jsonl", "train.max_steps=1")
    monkeypatch.chdir(tmp_path)
    from palate.pipeline import compare_command, train_stage

    train_stage(recipe)
    lineage = RunFolder(recipe.output).read("lineage.json")["data"]["train"]
    assert lineage["source"] == "mine.jsonl" and len(lineage["sha256"]) == 64
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert compare_command([recipe.output], {})["num_prompts"] == 2


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["data", "split", "a.jsonl", "--out", ""], "--out"),
        (["data", "split", "a.jsonl", "-o", " "], "-o"),
        (["data", "audit", "a.jsonl", "--html="], "--html"),
        (["generate", "triples", "", "--extracts-only"], ""),
        (["report", ""], ""),
    ],
)
def test_an_empty_value_is_nobodys_wish(tmp_path: Path, monkeypatch, words, option) -> None:
    """An empty path would be the folder one stands in, and be filled or read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.md").write_text("Read by nobody. " * 200)
    write_rows(tmp_path / "a.jsonl", rows(4))
    before = sorted(tmp_path.rglob("*"))
    done = palate(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{option}: an empty value\n" if option else "an empty value\n")
    assert "next: give " in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("joined", ["--columns=prompt=", "data.eval="])
def test_what_only_ends_in_an_equals_sign_is_not_empty(tmp_path: Path, base: Path, joined: str) -> None:
    words = ["data", "inspect", tmp_path / "no.jsonl"] if joined[0] == "-" else ["run", tmp_path / "no.yaml"]
    assert "an empty value" not in palate(*words, joined).stderr


@pytest.mark.parametrize(
    ("words", "page"),
    [
        (["bogus"], "palate"),
        (["data", "bogus"], "palate data"),
        (["data", "inspect", "a.jsonl", "--bogus"], "palate data inspect"),
        (["data", "inspect", "--limit", "x", "a.jsonl"], "palate data inspect"),
        (["judge"], "palate judge"),
        (["plan", "a.yaml", "--probe", "--bogus"], "palate plan"),
    ],
)
def test_a_wrong_call_is_told_which_page_says_more(words: list[str], page: str) -> None:
    done = palate(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"\n  next: {page} --help lists what it takes\n")


def test_help_tells_no_default_that_is_nothing() -> None:
    """That a flag is off and a list empty is what not typing it means."""
    for command in (["judge"], ["data", "curate"], ["annotate"], ["generate", "candidates"], ["demo"]):
        page = " ".join(palate(*command, "--help").stdout.replace("│", "").split())
        assert "--json" in page
        for nothing in ("[default: False]", "[default: ()]", "[default: None]", "[default: (", "[default: ]"):
            assert nothing not in page
    page = " ".join(palate("generate", "candidates", "--help").stdout.replace("│", "").split())
    assert "May be repeated. [default: 1.0]" in page and "decides. [default: 0]" in page


@pytest.mark.parametrize("command", ["convert", "curate"])
def test_a_folder_is_no_file_to_write(tmp_path: Path, monkeypatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "a.jsonl", rows(4))
    for overwrite in ([], ["--overwrite"]):
        done = palate("data", command, "a.jsonl", "-o", ".", *overwrite)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(".: this is a folder, the name of a file was expected\n")
    audited = palate("data", "audit", "a.jsonl", "--html", ".")
    assert (audited.returncode, audited.stdout) == (1, "")
    assert audited.stderr.startswith(".: it cannot be written: Is a directory\n")


def test_a_limit_may_be_larger_than_any_file(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", rows(4))
    done = palate("data", "inspect", tmp_path / "a.jsonl", "--limit", 10**30, "--json")
    assert (done.returncode, json.loads(done.stdout)["num_rows"]) == (0, 4)


@pytest.mark.parametrize("option", ["--model", "--reward-model", "--logprob-model"])
def test_a_folder_without_a_model_is_no_judge(tmp_path: Path, option: str) -> None:
    (tmp_path / "bare").mkdir()
    write_rows(tmp_path / "a.jsonl", rows(4))
    done = palate("judge", tmp_path / "a.jsonl", "-o", tmp_path / "v.jsonl", option, tmp_path / "bare")
    assert (done.returncode, done.stdout) == (2, "")
    assert "bare: no model is in this folder\n  why:  it holds no config.json\n" in done.stderr
    (tmp_path / "bare" / "adapter").mkdir()
    again = palate("judge", tmp_path / "a.jsonl", "-o", tmp_path / "v.jsonl", "--model", tmp_path / "bare")
    assert again.stderr.endswith(f"  next: name {tmp_path / 'bare' / 'adapter'}\n")


def test_a_file_that_cannot_be_read_says_why_and_what_next(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", rows(4))
    (tmp_path / "judges.yaml").write_text("judges:\n  - model: [\n")
    judged = ["judge", tmp_path / "a.jsonl", "-o", tmp_path / "v.jsonl"]
    told = {
        "the recipe cannot be read": palate("run", tmp_path),
        "the rubric cannot be read": palate(*judged, "--model", "m", "--rubric", tmp_path),
        "the file of judges cannot be read": palate(*judged, "--judges", tmp_path),
    }
    for what, done in told.items():
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"{tmp_path}: {what}\n  why:  Is a directory\n  next: ")
    torn = palate(*judged, "--judges", tmp_path / "judges.yaml")
    assert torn.stderr.startswith(f"{tmp_path / 'judges.yaml'}:3: the file of judges cannot be read\n")
    assert len(torn.stderr.splitlines()) == 3


@pytest.mark.parametrize("command", ["judge", "compare", "demo"])
def test_a_seed_is_refused_before_anything_is_asked_or_trained(tmp_path: Path, command: str) -> None:
    """A negative one ended `palate judge` in a traceback, after every verdict had been paid for."""
    write_rows(tmp_path / "a.jsonl", rows(4))
    rest = {
        "judge": [tmp_path / "a.jsonl", "-o", tmp_path / "v.jsonl", "--scorer", "longer"],
        "compare": [tmp_path / "run"],
        "demo": ["--output", tmp_path / "demo"],
    }
    for seed in ("-1", str(2**32)):
        done = palate(command, *rest[command], f"--seed={seed}")
        assert (done.returncode, done.stdout) == (2, "")
        assert f'"{seed}" for --seed' in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_more_canaries_than_can_be_counted_are_a_wrong_call(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", rows(4))
    done = palate(
        "judge", tmp_path / "a.jsonl", "-o", tmp_path / "v.jsonl", "--scorer", "longer",
        "--num-canaries", 10**30,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "for --num-canaries. Must be <= 1000." in done.stderr
