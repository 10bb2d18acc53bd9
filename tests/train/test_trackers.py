"""Trackers: told what metrics.jsonl holds, nothing twice, nothing secret; and no run depends on them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import socket
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import tracker_reading

from palate.errors import RecipeError
from palate.recipe import Recipe, parse_recipe
from palate.train import RunFolder
from palate.train.trackers import open_trackers, refuse_missing_trackers
from palate.watcher import Watcher
from tiny_run import metrics, run, tiny_recipe, write_base

NAMES = ("tensorboard", "wandb", "comet_ml", "mlflow", "trackio")
SECRET = "5ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7"
SUMMARY = {
    "status": "done", "stopped_early": True, "num_steps": 6, "best_step": 4, "eval": {"loss": 0.25},
}  # fmt: skip
# Killed between metrics.jsonl and these, they are told later what they missed.
MISS_NOTHING = {"tensorboard", "wandb", "mlflow"}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where mlflow and trackio keep what is of no one run; they look for it once a process."""
    return tmp_path_factory.mktemp("trackers")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, places: Path, tmp_path: Path) -> Iterator[None]:
    """Every library in its offline mode, keys for all of them in the environment, and no way out."""
    reached = []
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            reached.append(address)
            raise OSError("no network in tests")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    for name, value in {
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
        "COMET_START_ONLINE": "0",
        "MLFLOW_TRACKING_URI": f"sqlite:///{places / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "TRACKIO_DIR": str(places / "trackio"),
        "HTTPS_PROXY": "http://127.0.0.1:9",  # for processes of their own
        "WANDB_API_KEY": SECRET,
        "COMET_API_KEY": SECRET,
        "MLFLOW_TRACKING_TOKEN": SECRET,
        "HF_TOKEN": SECRET,
        "TRACKIO_WRITE_TOKEN": SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield
    assert reached == []


def skip_without(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install 'palate[trackers]'")


def recipe_for(folder: Path, *names: str) -> Recipe:
    project = [] if names == ("tensorboard",) else ["train.tracker_project=taste"]
    return parse_recipe(f"output: {folder}", [f"train.trackers=[{', '.join(names)}]", *project])


def line(split: str, step: int) -> dict[str, Any]:
    """All of it has a place in the 32 bits that tensorboard keeps."""
    return {
        "step": step,
        "epoch": step / 4,
        "split": split,
        "loss": 1 / (1 + step),
        "grad_norm": None,
        "n": 7,
    }


def session(
    folder: RunFolder, recipe: Recipe, after: int, until: int, notes: list[str], end: bool, cut: bool = False
) -> None:
    """Steps after one until another, evaluated at even ones; as `session.train` goes about it.

    With `cut` the last line is written and not told any more.
    """
    trackers = open_trackers(recipe, folder, notes.append)
    if after:
        folder.truncate_metrics(after, after - after % 2)
    trackers.start(after)
    for step in range(after + 1, until + 1):
        for split in ("train", "eval") if step % 2 == 0 else ("train",):
            folder.log(line(split, step))
            if not (cut and step == until):
                trackers.log(line(split, step))
    trackers.finish(SUMMARY if end else None)


def expected(folder: RunFolder) -> dict[tuple[str, int], list[float]]:
    """Of metrics.jsonl, and of the summary."""
    found: dict[tuple[str, int], list[float]] = {}
    for each in metrics(folder.path):
        split, step = each.pop("split"), each.pop("step")
        found |= {(f"{split}/{name}", step): [value] for name, value in each.items() if value is not None}
    summary = {"stopped_early": 1, "num_steps": 6, "best_step": 4, "eval/loss": 0.25}
    return found | {(f"summary/{name}", 6): [value] for name, value in summary.items()}


def everything_written(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        yield path, path.read_bytes()
        if path.suffix == ".zip":
            archive = zipfile.ZipFile(path)
            yield from ((path / name, archive.read(name)) for name in archive.namelist())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept(name: str, tmp_path: Path, places: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Killed after step 5, resumed after step 3: every line once, the recipe once, the summary; no secret."""
    skip_without(name)
    recipe = recipe_for(tmp_path / "run", name)
    folder, notes = RunFolder(tmp_path / "run"), list[str]()
    folder.begin(recipe)
    session(folder, recipe, 0, 5, notes, end=False, cut=name in MISS_NOTHING)
    session(folder, recipe, 3, 6, notes, end=True)
    assert notes == []
    read: Callable[[Path], tuple[Any, Mapping[str, Any]]] = getattr(tracker_reading, f"read_{name}")
    kept, config = read(folder.path)
    wanted = expected(folder)
    assert len(wanted) == 6 * 3 + 3 * 3 + 4
    assert {place: kept[place] for place in wanted if place in kept} == {
        place: [pytest.approx(value, rel=1e-6) for value in values] for place, values in wanted.items()
    }
    assert set(kept) == set(wanted), "and nothing else"
    assert config["train.learning_rate"] in (5e-5, "5e-05")
    assert config["objective.type"] == "dpo" and config["output"] == str(folder.path)
    assert config["model.revision"] == "null"
    said = capfd.readouterr()
    assert said.out == ""  # a command's result has it to itself
    written = dict(everything_written(tmp_path, places))
    assert len(written) > 3
    assert not [path for path, content in written.items() if SECRET.encode() in content]
    assert SECRET not in said.err


def test_a_run_with_a_tracker(tmp_path: Path) -> None:
    """The real loop: stopped in the middle by an exception, gone on with, read back."""
    skip_without("tensorboard")
    recipe = tiny_recipe(
        tmp_path, write_base(tmp_path / "base"), "train.trackers=[tensorboard]", "train.checkpoint_every=2",
        "train.evaluate_every=2",
    )  # fmt: skip

    class Stops(Watcher):
        def advance(self, done: int, detail: str = "") -> None:
            if "loss" in detail and done == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(recipe, Stops())
    summary, lines = run(recipe)
    kept, config = tracker_reading.read_tensorboard(Path(recipe.output))
    assert [line["step"] for line in lines if line["split"] == "train"] == [1, 2, 3, 4]
    for each in lines:
        for name, value in each.items():
            if name not in ("step", "split") and value is not None:
                # A step that was taken back is shown as it was taken at last, wall clock and all.
                assert kept[f"{each['split']}/{name}", each["step"]] == [pytest.approx(value, rel=1e-6)]
    assert kept["summary/best_step", 4] == [summary["best_step"]]
    assert config["train.trackers"] == '["tensorboard"]'


class Fake:
    """A tracker that fails when it is told to, as accelerate's classes look from outside."""

    told: list[tuple[int, dict[str, Any]]]
    fails_at: str | int | None = None

    def __init__(self, project: str, **given: Any) -> None:
        self.given = given

    def start(self) -> None:
        if Fake.fails_at == "start":
            raise ConnectionError("no route to host\nand a long story")

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        if Fake.fails_at == "config":
            raise OSError(28, "No space left on device")

    def log(self, values: dict[str, Any], step: int) -> None:
        if step == Fake.fails_at:
            raise ConnectionError("no route to host")
        Fake.told.append((step, values))

    def finish(self) -> None:
        if Fake.fails_at == "finish":
            raise TimeoutError("still uploading")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "trackio", Fake)
    monkeypatch.setattr(Fake, "told", [], raising=False)
    monkeypatch.setattr(Fake, "fails_at", None)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("fails_at", "said"),
    [
        ("start", "ConnectionError: no route to host"),
        ("config", "OSError: [Errno 28] No space left on device"),
        (3, "ConnectionError: no route to host"),
        ("finish", "TimeoutError: still uploading"),
    ],
)
def test_one_that_fails(
    fails_at: str | int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is noted once, everything is in metrics.jsonl, and the next session tells it what it missed."""
    recipe, folder, notes = recipe_for(tmp_path / "run", "trackio"), RunFolder(tmp_path / "run"), list[str]()
    folder.begin(recipe)
    monkeypatch.setattr(Fake, "fails_at", fails_at)
    session(folder, recipe, 0, 5, notes, end=False)
    assert notes == [f"trackio no longer follows this run, metrics.jsonl has all of it: {said}"]
    assert [each["step"] for each in metrics(folder.path, "train")] == [1, 2, 3, 4, 5]
    monkeypatch.setattr(Fake, "fails_at", None)
    session(folder, recipe, 4, 6, notes, end=True)
    assert len(notes) == 1
    steps = [(step, name) for step, values in Fake.told for name in values if name.endswith("/loss")]
    assert sorted(steps) == sorted((step, name) for name, step in expected(folder) if name.endswith("/loss"))


@pytest.mark.usefixtures("fake")
def test_a_new_attempt_is_a_new_run(tmp_path: Path) -> None:
    """What failed before its first checkpoint begins anew; what goes on keeps its name."""
    recipe, folder = recipe_for(tmp_path / "run", "trackio"), RunFolder(tmp_path / "run")
    folder.begin(recipe)
    ids = []
    for after in (0, 2, 0):
        session(folder, recipe, after, 2, [], end=False)
        ids.append(folder.read("trackers.json")["trackio"]["id"])
        if after == 0:
            assert len(Fake.told) == (3 if len(ids) == 1 else 6)
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.usefixtures("fake")
def test_a_full_disk_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from palate.errors import ArtifactError

    recipe, folder, notes = recipe_for(tmp_path / "run", "trackio"), RunFolder(tmp_path / "run"), list[str]()
    folder.begin(recipe)

    def full(name: str, content: Mapping[str, Any]) -> None:
        raise ArtifactError("the disk is full", where=name)

    monkeypatch.setattr(folder, "write", full)
    monkeypatch.setattr(Fake, "fails_at", 3)
    session(folder, recipe, 0, 4, notes, end=True)
    assert len(notes) == 1
    assert [step for step, _ in Fake.told] == [1, 2, 2]


def test_nothing_is_started_where_none_is_named(tmp_path: Path) -> None:
    from accelerate import PartialState

    before = dict(PartialState._shared_state)
    recipe, folder = parse_recipe(f"output: {tmp_path / 'run'}"), RunFolder(tmp_path / "run")
    folder.begin(recipe)
    session(folder, recipe, 0, 2, [], end=True)
    assert not folder.has("trackers.json") and not (folder.path / "trackers").exists()
    assert PartialState._shared_state == before


@pytest.mark.usefixtures("fake")
def test_no_launcher_is_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what a launcher of one process leaves in the environment, accelerate would meet the others."""
    import torch
    from accelerate import PartialState

    kept = dict(PartialState._shared_state)
    PartialState._reset_state()
    try:
        for name, value in {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_PORT": "1"}.items():
            monkeypatch.setenv(name, value)
        recipe, folder = recipe_for(tmp_path / "run", "trackio"), RunFolder(tmp_path / "run")
        folder.begin(recipe)
        trackers = open_trackers(recipe, folder, lambda text: None)
        trackers.start()
        assert PartialState().num_processes == 1
        assert not torch.distributed.is_initialized()
        trackers.finish()
        assert PartialState._shared_state == {}
    finally:
        PartialState._shared_state.update(kept)


def test_one_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its name is not it: wandb leaves one where a run is started."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    importlib.invalidate_caches()
    assert importlib.util.find_spec("wandb") is not None
    with pytest.raises(RecipeError) as caught:
        refuse_missing_trackers(["wandb"])
    assert "not installed: wandb" in str(caught.value)
    assert "pip install 'palate[trackers]'" in str(caught.value)


def test_it_is_said_before_anything_heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from palate.train import session as training

    def missing(names: object) -> None:
        raise RecipeError("not installed: wandb", where="train.trackers")

    def too_late(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(training, "refuse_missing_trackers", missing)
    monkeypatch.setattr(training, "load_policy", too_late)
    with pytest.raises(RecipeError, match="not installed"):
        run(tiny_recipe(tmp_path, tmp_path / "base", "train.trackers=[wandb]"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("trackers=[wandb, wandb]", "names one twice"),
        ("tracker_project=mine", "tracker_project has no effect"),
        ("trackers=[tensorboard] train.tracker_project=mine", "tracker_project has no effect"),
        ("trackers=[tensorbord]", 'Did you mean "tensorboard"'),
        ("trackers=[wandb] train.tracker_project=a/b", "tracker_project"),
    ],
)
def test_what_a_recipe_may_say(options: str, said: str) -> None:
    overrides = [f"train.{options.partition(' train.')[0]}"]
    if rest := options.partition(" train.")[2]:
        overrides.append(f"train.{rest}")
    with pytest.raises(RecipeError) as caught:
        parse_recipe("output: runs/x", overrides)
    assert said in str(caught.value)


def test_the_state_holds_no_more_than_names(tmp_path: Path) -> None:
    """It lies in a folder that is handed on."""
    skip_without("tensorboard")
    recipe, folder = recipe_for(tmp_path / "run", "tensorboard"), RunFolder(tmp_path / "run")
    folder.begin(recipe)
    session(folder, recipe, 0, 1, [], end=True)
    state = json.loads((folder.path / "trackers.json").read_text(encoding="utf-8"))
    assert list(state) == ["tensorboard"] and list(state["tensorboard"]) == ["id"]


def test_the_page() -> None:
    """Its example is a recipe, and its table names every tracker."""
    page = (Path(__file__).parents[2] / "docs" / "trackers.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    assert parse_recipe(example).train.trackers == ("tensorboard", "wandb")
    named = [row.split("`")[1] for row in page.splitlines() if row.startswith("| `")]
    assert tuple(named) == NAMES
