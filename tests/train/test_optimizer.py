"""Schedules by hand, and where weight decay falls."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from palate.engine import load_policy
from palate.recipe import TrainOptions
from palate.train.optimizer import build_optimizer, learning_rate_at
from tiny_run import tiny_recipe


def rates(num_steps: int, **options: object) -> list[float]:
    made = TrainOptions.model_validate({"learning_rate": 1.0, **options})
    return [learning_rate_at(step, num_steps, made) for step in range(num_steps)]


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0.0, [1, 1, 1, 1]),
        ("linear", 0.0, [1, 0.75, 0.5, 0.25]),
        # two steps of warm-up: a third, two thirds, then the whole; then down to 0 at step 6
        ("linear", 0.3, [1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25]),
        ("constant", 0.3, [1 / 3, 2 / 3, 1, 1, 1, 1]),
        # cos(0), cos(pi/4), cos(pi/2), cos(3 pi/4)
        ("cosine", 0.0, [1, 0.5 + 0.5 * 0.5**0.5, 0.5, 0.5 - 0.5 * 0.5**0.5]),
    ],
)
def test_schedules(schedule: str, warmup: float, expected: list[float]) -> None:
    found = rates(len(expected), schedule=schedule, warmup_fraction=warmup)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("num_steps", [1, 2, 3, 7])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.9])
def test_every_step_moves(schedule: str, num_steps: int, warmup: float) -> None:
    found = rates(num_steps, schedule=schedule, warmup_fraction=warmup)
    assert all(0 < rate <= 1 for rate in found)


def test_the_peak_is_the_learning_rate() -> None:
    assert max(rates(20, learning_rate=3e-4, warmup_fraction=0.1)) == 3e-4


def test_decay_falls_on_matrices_alone(tmp_path: Path, base: Path) -> None:
    recipe = tiny_recipe(
        tmp_path, base, "model.adapter=null", "train.weight_decay=0.1", "train.adam_beta1=0.8"
    )
    policy = load_policy(recipe.model)
    optimizer = build_optimizer(policy, recipe.train)
    decayed, spared = optimizer.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert decayed["betas"] == (0.8, 0.999)
    assert {p.ndim for p in decayed["params"]} == {2}
    assert {p.ndim for p in spared["params"]} == {1}
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in policy.model.parameters()}


def test_adapter_and_state_are_fp32_over_a_half_precision_base(tmp_path: Path, base: Path) -> None:
    recipe = tiny_recipe(tmp_path, base, "model.dtype=bfloat16")
    policy = load_policy(recipe.model)
    optimizer = build_optimizer(policy, recipe.train)
    (group,) = optimizer.param_groups
    for parameter in group["params"]:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert {p.dtype for p in group["params"]} == {torch.float32}
    assert {state["exp_avg"].dtype for state in optimizer.state.values()} == {torch.float32}
    assert policy.decoder.embed_tokens.weight.dtype == torch.bfloat16
