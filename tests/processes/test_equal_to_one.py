"""Two processes do what one does: every logged figure and every trained weight, to 1e-5 in fp32.

Rows are kept very short on purpose, so that the processes need different numbers of them; batches are of odd
size, and the last of an epoch is too small for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from safetensors.torch import load_file
from several import largest_difference, moved, train_in

from palate.train.batches import share_of
from tiny_run import WORDS, metrics, rows, tiny_recipe, write_rows

CLOSE = 1e-5
# 10 of 13 prompts are trained on, in batches of 5, 3 and so on: 7 leaves one of 3.
UNEVEN = ("train.batch_size=7", "train.max_steps=5", "train.micro_batch_tokens=40", "train.evaluate_every=2")
ONE_PAIR = ("train.batch_size=1", "data.eval_fraction=0")
FULL = ("model.adapter=null", "train.learning_rate=1e-4")

OBJECTIVES = {
    "dpo": (),
    "full": FULL,
    "sft": ("objective.type=sft",),
    "kto": ("objective.type=kto",),
    "bco": ("objective.type=bco",),
    "aot": ("objective.type=aot",),
    "reward": ("objective.type=reward",),
    "plackett_luce": ("objective.type=plackett_luce",),
    "tr_dpo": ("reference.sync_every=2",),
}
# Those that say most for their time; the rest goes with the thorough tests.
ALWAYS = {("dpo", "ddp"), ("full", "ddp"), ("kto", "ddp"), ("dpo", "fsdp2"), ("full", "fsdp2")}


def cases() -> list[object]:
    return [
        pytest.param(name, parallel, marks=() if (name, parallel) in ALWAYS else pytest.mark.thorough)
        for name in OBJECTIVES
        for parallel in ("ddp", "fsdp2")
    ]


def data_for(folder: Path, name: str) -> Path:
    if name != "plackett_luce":
        return write_rows(folder / "pairs.jsonl", rows(13))
    ranked = [
        {"prompt": f"Say {word} {i}", "completions": [f"{word} a", f"{other} {other} b", "c " * i + word]}
        for i, (word, other) in enumerate(zip(WORDS, WORDS[3:] + WORDS[:3], strict=True))
    ]
    return write_rows(folder / "rankings.jsonl", ranked)


def compare_runs(folder: Path, base: Path, data: Path, ours: Sequence[str], *both: str) -> None:
    common = [*both, *(["compare=null"] if "objective.type=reward" in both else [])]
    one = train_in(1, tiny_recipe(folder, base, *common, name="one", data=data))
    # What a reference was computed with by others can differ in its last bits, and ties at step 1 with it.
    two = train_in(2, tiny_recipe(folder, base, *common, *ours, name="two", data=data), home=folder / "home")
    start = load_file(base / "model.safetensors") if FULL[0] in both else None
    assert moved(one, start) > 10 * CLOSE
    difference, where = largest_difference(two, one)
    assert difference < CLOSE, where


@pytest.mark.parametrize(("name", "parallel"), cases())
def test_two_processes_equal_one(tmp_path: Path, base: Path, name: str, parallel: str) -> None:
    data = data_for(tmp_path, name)
    compare_runs(tmp_path, base, data, [f"parallel={parallel}"], *UNEVEN, *OBJECTIVES[name])


@pytest.mark.parametrize("parallel", ["ddp", "fsdp2"])
def test_a_process_may_have_nothing_to_do(tmp_path: Path, base: Path, parallel: str) -> None:
    """Batches of one pair: at every step one of the two has no row."""
    data, options = data_for(tmp_path, "dpo"), ("objective.type=simpo", *ONE_PAIR)
    compare_runs(tmp_path, base, data, [f"parallel={parallel}"], *options)


def test_a_main_process_without_rows_logs_a_reward_of_zero(tmp_path: Path, base: Path) -> None:
    """DPO's rewards at step 1."""
    data = data_for(tmp_path, "dpo")
    two = train_in(2, tiny_recipe(tmp_path, base, *ONE_PAIR, data=data))
    assert metrics(two, "train")[0]["rewards_chosen"] == 0.0


@pytest.mark.thorough
@pytest.mark.parametrize(
    "options",
    [
        FULL,
        ("train.gradient_checkpointing=true",),
        (*FULL, "train.gradient_checkpointing=true"),
        ("train.layout=padded",),
        ("model.adapter.target_modules=[q_proj, lm_head]",),
        ("model.adapter.modules_to_save=[lm_head]",),
    ],
)
def test_nothing_to_do_in_a_divided_model(tmp_path: Path, base: Path, options: tuple[str, ...]) -> None:
    data = data_for(tmp_path, "dpo")
    compare_runs(tmp_path, base, data, ["parallel=fsdp2"], "objective.type=simpo", *ONE_PAIR, *options)


@pytest.mark.thorough
@pytest.mark.parametrize("options", [(), FULL])
def test_a_divided_model_with_a_tied_head(tmp_path: Path, options: tuple[str, ...]) -> None:
    from tiny_run import write_base

    base = write_base(tmp_path / "tied", tie_word_embeddings=True)
    compare_runs(tmp_path, base, data_for(tmp_path, "dpo"), ["parallel=fsdp2"], *UNEVEN, *options)


def test_a_share_is_every_example_once() -> None:
    """Sizes from nothing to many more than there are examples; each example has one owner."""

    class Example:
        def __init__(self, i: int) -> None:
            self.branches = [_Branch(i)]

    class _Branch:
        def __init__(self, i: int) -> None:
            self.key, self.length = bytes([i]), 1 + 7 * (i % 3)

        def __len__(self) -> int:
            return self.length

    batch = [Example(i) for i in range(5)]
    for size in (1, 2, 3, 9):
        owned = [example for rank in range(size) for example in share_of(batch, rank, size)]  # type: ignore[type-var]
        assert sorted(owned, key=id) == sorted(batch, key=id)


@pytest.mark.parametrize("options", [(), pytest.param(FULL, marks=pytest.mark.thorough)])
def test_divided_or_whole_is_the_same_in_bf16(tmp_path: Path, base: Path, options: tuple[str, ...]) -> None:
    """A bf16 base under an fp32 adapter, or fp32 weights computed with in bf16: of as many processes."""
    data = data_for(tmp_path, "dpo")
    ddp, fsdp2 = (
        tiny_recipe(tmp_path, base, *UNEVEN, "model.dtype=bfloat16", *options, parallel, name=name, data=data)
        for name, parallel in (("ddp", "parallel=ddp"), ("fsdp2", "parallel=fsdp2"))
    )
    difference, where = largest_difference(train_in(2, fsdp2), train_in(2, ddp))
    assert difference < CLOSE, where
