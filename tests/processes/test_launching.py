"""As typed in a shell: several processes under each launcher, one voice, exit codes, signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from several import largest_difference, train_in

from palate.recipe import write_recipe
from tiny_run import metrics, rows, tiny_recipe, write_rows

BIN = Path(sys.executable).parent
PALATE = [sys.executable, "-m", "palate"]
TORCHRUN = [str(BIN / "torchrun"), "--nproc-per-node", "2", "-m", "palate"]
ACCELERATE = [str(BIN / "accelerate"), "launch", "--num_processes", "2", "--cpu", "-m", "palate"]
LONG = (
    "train.epochs=100000",
    "train.max_steps=50000",
    "train.evaluate_every=9999",
    "train.checkpoint_every=9999",
)
PATIENCE_SECONDS = 120


def recipe_file(folder: Path, base: Path, *overrides: str) -> Path:
    data = write_rows(folder / "pairs.jsonl", rows(13))
    path = folder / "recipe.yaml"
    write_recipe(tiny_recipe(folder, base, "train.batch_size=5", *overrides, data=data), path)
    return path


def shell(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )


def started(recipe: Path, *words: str) -> subprocess.Popen[str]:
    """A long training of two processes that has made its first steps."""
    launcher = subprocess.Popen(
        [*PALATE, "train", str(recipe), *LONG, "--num-processes", "2", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = recipe.parent / "run" / "metrics.jsonl"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (log.is_file() and log.stat().st_size) and time.monotonic() < deadline:
        assert launcher.poll() is None, launcher.communicate()
        time.sleep(0.1)
    return launcher


def workers_of(launcher: subprocess.Popen[str]) -> list[int]:
    """Process numbers, by rank."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    rank = re.compile(rb"\0RANK=(\d+)\0")

    def rank_of(child: str) -> int:
        found = rank.search(b"\0" + Path(f"/proc/{child}/environ").read_bytes())
        assert found is not None
        return int(found[1])

    return [int(child) for child in sorted(children, key=rank_of)]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([*PALATE, "--num-processes", "2"], id="palate"),
        pytest.param(TORCHRUN, id="torchrun", marks=pytest.mark.thorough),
        pytest.param(ACCELERATE, id="accelerate", marks=pytest.mark.thorough),
    ],
)
def test_every_launcher_runs_all_stages(tmp_path: Path, base: Path, command: list[str]) -> None:
    """One voice, and the numbers of one process."""
    recipe = recipe_file(tmp_path, base)
    options = command[len(PALATE) :] if command[: len(PALATE)] == PALATE else []
    done = shell(*command[: len(command) - len(options)], "run", recipe, *options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").is_file()
    assert (done.stdout + done.stderr).count("rows set aside\n") == 2  # the data's account, and the summary
    assert done.stderr.count("reference: ") == 1
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    alone = tiny_recipe(tmp_path, base, "train.batch_size=5", name="one", data=tmp_path / "pairs.jsonl")
    one = train_in(1, alone, home=tmp_path / "home")
    assert largest_difference(tmp_path / "run", one)[0] < 1e-5


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.thorough)])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(tmp_path: Path, base: Path, number: int) -> None:
    launcher = started(recipe_file(tmp_path, base))
    launcher.send_signal(number)
    out, err = launcher.communicate(timeout=PATIENCE_SECONDS)
    assert launcher.returncode == 128 + number
    assert out == ""
    assert err.count("palate resume") == err.count("its checkpoint is saved") == 1
    assert "Traceback" not in err
    step = metrics(tmp_path / "run")[-1]["step"]
    assert (tmp_path / "run" / "checkpoints" / f"step-{step:06d}").is_dir()


@pytest.mark.parametrize("victim", [1, pytest.param(0, marks=pytest.mark.thorough)])
def test_one_killed_stops_the_other_at_once(tmp_path: Path, base: Path, victim: int) -> None:
    launcher = started(recipe_file(tmp_path, base))
    workers = workers_of(launcher)
    os.kill(workers[victim], signal.SIGKILL)
    killed_at = time.monotonic()
    _, err = launcher.communicate(timeout=PATIENCE_SECONDS)
    assert launcher.returncode == 128 + signal.SIGKILL
    assert time.monotonic() - killed_at < 10
    assert err.count(f"process {victim} of 2 was ended by SIGKILL") == 1
    assert err.count("next:") == 1
    assert "Traceback" not in err
    for worker in workers:
        assert not Path(f"/proc/{worker}").exists()


@pytest.mark.thorough
def test_a_launcher_that_is_killed_leaves_no_one_behind(tmp_path: Path, base: Path) -> None:
    """And the run saves what it has."""
    launcher = started(recipe_file(tmp_path, base))
    workers = workers_of(launcher)
    launcher.kill()
    launcher.communicate(timeout=PATIENCE_SECONDS)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert list((tmp_path / "run" / "checkpoints").glob("step-*"))


def test_an_error_all_have_is_said_once(tmp_path: Path, base: Path) -> None:
    done = shell(
        *PALATE, "train", recipe_file(tmp_path, base, "train.learning_rate=1e30"), "--num-processes", "2"
    )
    assert done.returncode == 1
    assert done.stderr.count("stopped before that step was taken") == 1
    assert done.stderr.count("next:") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.thorough
def test_an_error_of_one_alone_is_said(tmp_path: Path, base: Path) -> None:
    """The second process finds other data than the first, as on another machine."""
    recipe = recipe_file(tmp_path, base)
    other = tmp_path / "palate_other_data.py"
    other.write_text(
        "import os, sys\n"
        "from palate.cli import main\n"
        "if os.environ.get('RANK') == '1':\n"
        "    sys.argv.append('data.train.limit=9')\n"
        "main()\n"
    )
    done = shell(BIN / "torchrun", "--nproc-per-node", "2", other, "train", recipe)
    assert done.returncode == 1  # torchrun's own
    assert done.stderr.count("the processes do not have the same training data") == 1


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (("--num-processes", "0"), {}, "there has to be a process to work"),
        (("--num-processes", "2"), {"WORLD_SIZE": "2"}, "a launcher has started this process"),
    ],
)
def test_calls_that_make_no_sense(
    tmp_path: Path, base: Path, words: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [*PALATE, "train", str(recipe_file(tmp_path, base)), *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 2
    assert said in done.stderr
