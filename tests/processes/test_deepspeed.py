"""DeepSpeed's ZeRO in two processes: the numbers of one, and refusals that name both places."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from several import in_processes, largest_difference, moved, said, train_in
from test_equal_to_one import CLOSE, FULL, ONE_PAIR, UNEVEN
from test_killed_and_resumed import kill_one_of_two, recipe_of, resume_in

from palate.errors import RecipeError
from palate.pipeline import train_stage
from palate.recipe import Recipe
from palate.train.zero import read_deepspeed_config, refuse_impossible_zero
from tiny_run import rows, tiny_recipe, write_rows

needs_deepspeed = pytest.mark.skipif(find_spec("deepspeed") is None, reason="needs palate[deepspeed]")


def recipe_with(
    folder: Path, base: Path, config: Mapping[str, Any], *options: str, name: str = "run"
) -> Recipe:
    data = write_rows(folder / "pairs.jsonl", rows(13))
    return tiny_recipe(folder, base, *options, *chosen(folder, config), name=name, data=data)


def chosen(folder: Path, config: Mapping[str, Any]) -> tuple[str, str]:
    file = folder / "ds_config.json"
    file.write_text(json.dumps(config))
    return "parallel=deepspeed", f"deepspeed={file}"


def thorough(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.thorough)


def stage(number: int, **more: Any) -> dict[str, Any]:
    return {"zero_optimization": {"stage": number, **more}}


@needs_deepspeed
@pytest.mark.parametrize(
    ("config", "options"),
    [
        (stage(1), UNEVEN),
        (stage(2), UNEVEN),
        (stage(2), ("objective.type=simpo", *ONE_PAIR)),
        thorough(stage(1), ("objective.type=simpo", *ONE_PAIR)),
        thorough(stage(1), (*UNEVEN, *FULL)),
        thorough(stage(2), (*UNEVEN, *FULL)),
        thorough(stage(2), (*UNEVEN, *FULL, "train.gradient_checkpointing=true")),
        thorough(stage(2), (*UNEVEN, "reference.sync_every=2")),
        thorough(stage(2, reduce_scatter=False), (*UNEVEN, "objective.type=kto")),
        thorough(
            stage(2, reduce_bucket_size=100, round_robin_gradients=True),
            (*UNEVEN, "train.max_grad_norm=0.01"),
        ),
    ],
    ids=str,
)
def test_two_processes_equal_one(
    tmp_path: Path, base: Path, config: Mapping[str, Any], options: tuple[str, ...]
) -> None:
    """Rows uneven, batches of odd size, and batches of one pair, of which one process has nothing."""
    divided = recipe_with(tmp_path, base, config, *options, name="two")
    one = train_in(1, tiny_recipe(tmp_path, base, *options, name="one", data=tmp_path / "pairs.jsonl"))
    two = train_in(2, divided, home=tmp_path / "home")
    assert moved(one, load_file(base / "model.safetensors") if FULL[0] in options else None) > 10 * CLOSE
    difference, where = largest_difference(two, one)
    assert difference < CLOSE, where


@needs_deepspeed
@pytest.mark.parametrize(
    ("first", "then"), [("ddp", 2), thorough(1, "ddp"), thorough(2, 2)], ids=["to ZeRO", "from ZeRO", "ZeRO"]
)
def test_checkpoints_are_those_of_other_ways(
    tmp_path: Path, base: Path, first: int | str, then: int | str
) -> None:
    """Killed in one way, gone on with in another: equal to one process that was never stopped."""

    def way(given: int | str) -> tuple[str, ...]:
        return (
            chosen(tmp_path, stage(given)) if isinstance(given, int) else ("parallel=ddp", "deepspeed=null")
        )

    one = train_in(1, recipe_of(tmp_path, base, "one"))
    killed = recipe_of(tmp_path, base, "killed", *way(first))
    kill_one_of_two(killed, victim=1)
    resume_in(2, Path(killed.output), *way(then))
    difference, where = largest_difference(Path(killed.output), one)
    assert difference < 1e-6, where


def test_alone_it_is_refused(tmp_path: Path, base: Path) -> None:
    recipe = recipe_with(tmp_path, base, stage(1))
    assert in_processes(1, lambda rank: train_stage(recipe)) == [2]
    assert "one process alone has no one to divide the optimizer's state with" in said(0)


@needs_deepspeed
def test_what_deepspeed_itself_refuses_is_said(tmp_path: Path, base: Path) -> None:
    recipe = recipe_with(tmp_path, base, stage(1, no_such_key=True))
    assert in_processes(2, lambda rank: train_stage(recipe)) == [2, 2]
    assert "DeepSpeed refuses its config" in said(0)


def test_where_it_is_not_installed_that_is_said(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palate.train.zero.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match="not installed: deepspeed") as refused:
        refuse_impossible_zero(recipe_with(tmp_path, base, stage(1)), num_processes=2)
    assert "palate[deepspeed]" in refused.value.next


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("parallel=deepspeed",), "needs its config"),
        (("deepspeed=ds.json",), "deepspeed has no effect"),
        (("parallel=deepspeed", "deepspeed=ds.json", "train.optimizer=adamw_8bit"), "train.optimizer=adamw"),
        (("parallel=deepspeed", "deepspeed=ds.json", "model.dtype=float16"), "take bfloat16"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(
    tmp_path: Path, base: Path, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        tiny_recipe(tmp_path, base, *options)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"train_batch_size": 5}, "train.batch_size"),
        ({"gradient_accumulation_steps": 2}, "train.micro_batch_tokens"),
        ({"gradient_clipping": 0.5}, "train.max_grad_norm"),
        ({"optimizer": {"type": "Adam"}}, "train.optimizer"),
        ({"scheduler": {"type": "WarmupLR"}}, "train.schedule"),
        ({"fp16": {"enabled": True}}, "model.dtype"),
        ({"prescale_gradients": True}, "would not use it"),
        (stage(3), "parallel=fsdp2"),
        (stage(0), "parallel=ddp"),
        (stage(1, offload_optimizer={"device": "cpu"}), "zero_optimization.offload_optimizer"),
        ({"zero_optimization": None}, "parallel=ddp"),
    ],
    ids=str,
)
def test_a_config_that_contradicts_is_refused(
    tmp_path: Path, base: Path, config: dict[str, Any], named: str
) -> None:
    recipe = recipe_with(tmp_path, base, stage(1) | config)
    with pytest.raises(RecipeError) as refused:
        read_deepspeed_config(recipe)
    assert named in str(refused.value) and "ds_config.json" in str(refused.value)


@pytest.mark.parametrize("text", ["{", "[]", None])
def test_a_config_that_is_none_is_refused(tmp_path: Path, base: Path, text: str | None) -> None:
    recipe = recipe_with(tmp_path, base, {})
    file = Path(str(recipe.deepspeed))
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(RecipeError, match="the DeepSpeed config"):
        read_deepspeed_config(recipe)


def test_what_repeats_the_recipe_is_taken(tmp_path: Path, base: Path) -> None:
    options = ("train.batch_size=7", "train.max_grad_norm=0.5")
    same = {"train_batch_size": 7, "gradient_clipping": 0.5, "optimizer": "auto", "fp16": {"enabled": False}}
    assert read_deepspeed_config(recipe_with(tmp_path, base, stage(2) | same, *options)) == stage(2)
