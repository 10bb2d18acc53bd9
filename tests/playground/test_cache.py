"""Made once per machine, whole or not at all, by one process while the others wait."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from palate.errors import ArtifactError
from palate.playground import model_folder, write_pairs
from palate.playground.cache import folder_made_once, model_key
from palate.playground.training import Settings, train_into

# Each process says on which side of the wait it stood: only one may train.
MAKE = """
import sys, time
from pathlib import Path
from palate.playground.cache import folder_made_once
def make(folder):
    with Path(sys.argv[2]).open("a") as log:
        log.write("made\\n")
    time.sleep(float(sys.argv[3]))
    (folder / "model").write_text("whole")
print((folder_made_once(Path(sys.argv[1]), make) / "model").read_text())
"""


def start(folder: Path, log: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAKE, str(folder), str(log), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    pytest.fail(f"{path} never came")


def test_of_several_processes_one_makes_it_and_all_get_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start(tmp_path / "it", log, 1.0) for _ in range(3)]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["whole"] * 3
    assert log.read_text() == "made\n"


def test_a_process_killed_halfway_leaves_neither_a_half_nor_a_lock(tmp_path: Path) -> None:
    folder, log = tmp_path / "it", tmp_path / "log"
    doomed = start(folder, log, 600)
    wait_for(log)
    doomed.send_signal(signal.SIGKILL)
    doomed.communicate(timeout=60)
    assert not folder.exists()
    assert start(folder, log, 0).communicate(timeout=60)[0].strip() == "whole"
    assert log.read_text() == "made\nmade\n"


def test_what_fails_halfway_is_made_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "model").write_text("half")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        folder_made_once(tmp_path / "it", fail)
    assert not (tmp_path / "it").exists()
    made = folder_made_once(tmp_path / "it", lambda folder: (folder / "model").write_text("whole") and None)
    assert (made / "model").read_text() == "whole"


@pytest.mark.parametrize("harm", ["lost", "cut"])
def test_a_damaged_folder_is_made_again(tmp_path: Path, harm: str) -> None:
    folder = folder_made_once(tmp_path / "it", lambda new: (new / "model").write_text("whole") and None)
    if harm == "lost":
        (folder / "model").unlink()
    else:
        (folder / "model").write_text("who")
    folder_made_once(folder, lambda new: (new / "model").write_text("again") and None)
    assert (folder / "model").read_text() == "again"


@pytest.mark.skipif(os.name == "nt", reason="file modes")
def test_a_home_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PALATE_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(ArtifactError, match="PALATE_HOME"):
        write_pairs()


def test_training_reports_its_steps_once_and_the_cache_reports_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_training: Settings
) -> None:
    monkeypatch.setenv("PALATE_HOME", str(tmp_path))
    steps: list[tuple[int, int]] = []

    def note(step: int, num_steps: int, loss: float) -> None:
        assert loss > 0
        steps.append((step, num_steps))

    first = model_folder(note, settings=no_training)
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert model_folder(note, settings=no_training) == first
    assert len(steps) == 3


def test_training_prints_nothing(
    tmp_path: Path, no_training: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    train_into(tmp_path, no_training)
    assert capfd.readouterr() == ("", "")


def test_training_leaves_the_callers_torch_as_it_was(tmp_path: Path, no_training: Settings) -> None:
    import torch

    torch.manual_seed(11)
    expected = torch.rand(1)
    threads = torch.get_num_threads()
    torch.manual_seed(11)
    with torch.no_grad():
        train_into(tmp_path, no_training)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads


def test_the_same_settings_make_the_same_bytes(tmp_path: Path, no_training: Settings) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, seed in zip(folders, (0, 0, 1), strict=True):
        folder.mkdir()
        train_into(folder, replace(no_training, seed=seed))
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1] != weights[2]
    tokenizers = [(folder / "tokenizer.json").read_bytes() for folder in folders]
    assert tokenizers[0] == tokenizers[1]


def test_the_key_follows_the_settings() -> None:
    assert model_key(Settings()) == model_key(Settings())
    assert model_key(Settings()) != model_key(Settings(seed=1))


def test_pairs_are_several_to_a_prompt_and_say_what_is_preferred(tmp_path: Path) -> None:
    from palate.playground import style_of

    path = write_pairs(tmp_path / "deep" / "pairs.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    prompts = {row["prompt"][0]["content"] for row in rows}
    assert 400 <= len(prompts) <= 600
    assert len(rows) == 4 * len(prompts)
    assert len({json.dumps(row) for row in rows}) == len(rows)
    assert all(style_of(row["chosen"][0]["content"]) == "preferred" for row in rows)
    assert all(style_of(row["rejected"][0]["content"]) == "other" for row in rows)
    assert path.read_bytes() == write_pairs().read_bytes()


def test_the_room_opens_without_torch() -> None:
    code = "import sys, palate.playground as p; p.held_out_prompts(3); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
