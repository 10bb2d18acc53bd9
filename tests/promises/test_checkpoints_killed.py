"""A checkpoint is whole or invisible, whenever its writer is killed.

The writer is killed before every single operation on the disk, and halfway through those that move bytes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from dying import Act, dies, hidden, moments, scene
from small_checkpoints import WEIGHTS, assert_holds, save, visible_steps, weights

from palate import durable
from palate.durable import system
from palate.train import RunFolder
from palate.train.checkpoint import checkpoint_folder, newest_whole, prune_checkpoints, publish


@pytest.fixture(params=["exchange", "no exchange"])
def exchanges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> bool:
    """With and without the call that exchanges two names: not every file system has it."""
    if request.param == "no exchange":
        monkeypatch.setattr(system, "exchange", lambda first, second: False)
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    return system.exchange(one, other)


def none_passed_over(text: str) -> None:
    raise AssertionError(text)


def test_saving_the_next_one(tmp_path: Path) -> None:
    before = tmp_path / "before"
    save(before, 1)
    every = moments(lambda: save(scene(before, "counted"), 2))
    assert {moment.name for moment in every} >= {"open_file", "write", "fsync", "mkdir", "replace"}
    new_seen = 0
    for moment in every:
        after = scene(before, "after")
        dies(lambda: save(after, 2), moment)  # noqa: B023
        assert visible_steps(after) in ([1], [1, 2]), moment
        found = newest_whole(after, none_passed_over)
        assert found is not None, moment
        step = 2 if found.name == "step-000002" else 1
        assert_holds(found, step)
        new_seen += step == 2
        assert_holds(save(after, 2), 2)
        assert (visible_steps(after), hidden(after)) == ([1, 2], []), moment
    assert 0 < new_seen < len(every), "it becomes visible somewhere on the way"


def test_saving_the_very_first(tmp_path: Path) -> None:
    after = tmp_path / "run" / "checkpoints"
    for moment in moments(lambda: save(tmp_path / "counted" / "checkpoints", 1)):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        dies(lambda: save(after, 1), moment)
        found = newest_whole(after, none_passed_over)
        if found is not None:
            assert_holds(found, 1)
        assert_holds(save(after, 1), 1)
        assert hidden(tmp_path) == [], moment


def test_saving_a_step_again(tmp_path: Path, exchanges: bool) -> None:
    """Its state has changed, as after an evaluation: the old one stands until the new one does."""
    before = tmp_path / "before"
    save(before, 1)
    for moment in moments(lambda: save(scene(before, "counted"), 1, note="second")):
        after = scene(before, "after")
        dies(lambda: save(after, 1, note="second"), moment)  # noqa: B023
        assert not exchanges or visible_steps(after) == [1], moment
        found = newest_whole(after, none_passed_over)
        assert found is not None, moment
        note = json.loads((found / "state.json").read_text())["note"]
        assert note in ("first", "second")
        assert_holds(found, 1, note=note)
        assert_holds(save(after, 1, note="second"), 1, note="second")
        assert hidden(after) == [], moment


def test_pruning(tmp_path: Path) -> None:
    before = tmp_path / "before"
    for step in (1, 2, 3, 4):
        save(before, step)

    def prune(checkpoints: Path) -> Act:
        return lambda: prune_checkpoints(checkpoints, 1, protected={2})

    every = moments(prune(scene(before, "counted")))
    assert {moment.name for moment in every} >= {"replace", "unlink", "rmdir"}
    for moment in every:
        after = scene(before, "after")
        dies(prune(after), moment)
        assert {2, 4} <= set(visible_steps(after)), moment
        assert newest_whole(after, none_passed_over) == after / "step-000004"
        prune(after)()
        assert (visible_steps(after), hidden(after)) == ([2, 4], []), moment


def published(run: Path) -> int:
    """Which step's weights a reader finds as the run's result: those, and nothing beside them."""
    folder = RunFolder(run).trained
    assert sorted(file.name for file in folder.iterdir()) == ["adapter_config.json", WEIGHTS]
    content = (folder / WEIGHTS).read_bytes()
    return next(step for step in (1, 2) if content == weights(step))


def test_publishing_over_an_earlier_result(tmp_path: Path, exchanges: bool) -> None:
    before = tmp_path / "before"
    for step in (1, 2):
        save(before / "checkpoints", step)
    publish(checkpoint_folder(before / "checkpoints", 1), before / "adapter")

    def publish_second(run: Path) -> Act:
        return lambda: publish(checkpoint_folder(run / "checkpoints", 2), run / "adapter")

    every = moments(publish_second(scene(before, "counted")))
    assert {moment.name for moment in every} >= {"copy", "fsync", "exchange", "unlink"}
    seen = set()
    for moment in every:
        after = scene(before, "after")
        dies(publish_second(after), moment)
        assert not exchanges or (after / "adapter").is_dir(), moment
        seen.add(published(after))
        publish_second(after)()
        assert (published(after), hidden(after)) == (2, []), moment
    assert seen == {1, 2}


def test_publishing_the_first_result(tmp_path: Path) -> None:
    before = tmp_path / "before"
    save(before / "checkpoints", 1)

    def publish_first(run: Path) -> Act:
        return lambda: publish(checkpoint_folder(run / "checkpoints", 1), run / "adapter")

    for moment in moments(publish_first(scene(before, "counted"))):
        after = scene(before, "after")
        dies(publish_first(after), moment)
        assert not (after / "adapter").exists() or published(after) == 1, moment
        publish_first(after)()
        assert (published(after), hidden(after)) == (1, []), moment


def test_writing_and_shortening_files_of_a_run(tmp_path: Path) -> None:
    before = tmp_path / "before"
    old, new = {"status": "training"}, {"status": "done"}
    RunFolder(before).write("summary.json", old)
    for step in (1, 2, 3):
        RunFolder(before).log({"step": step, "split": "train"})

    def work(run: Path) -> Act:
        def act() -> None:
            RunFolder(run).write("summary.json", new)
            RunFolder(run).truncate_metrics(2, 2)

        return act

    for moment in moments(work(scene(before, "counted"))):
        after = scene(before, "after")
        dies(work(after), moment)
        assert RunFolder(after).read("summary.json") in (old, new), moment
        steps = [json.loads(line)["step"] for line in (after / "metrics.jsonl").read_text().splitlines()]
        assert steps in ([1, 2, 3], [1, 2]), moment
        work(after)()
        durable.settle(after)
        assert hidden(after) == [], moment
