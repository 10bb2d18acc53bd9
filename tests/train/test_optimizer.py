"""Schedules by hand, where weight decay falls, and a state that goes on bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from palate.engine import Policy, load_policy
from palate.errors import ArtifactError, RecipeError
from palate.recipe import TrainOptions
from palate.train.optimizer import (
    build_optimizer,
    learning_rate_at,
    load_optimizer_tensors,
    optimizer_tensors,
)
from tiny_run import tiny_recipe, write_base


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


# --- the state, saved and put back ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide enough that adapters of rank 32 have 4096 numbers, from where on eight bits are used."""
    return write_base(tmp_path_factory.mktemp("wide"), hidden_size=128, intermediate_size=160)


ADAPTERS = {"lora": "model.adapter.rank=32", "full": "model.adapter=null"}


def trained(base: Path, tmp_path: Path, adapter: str, optimizer: str) -> tuple[Policy, torch.optim.Optimizer]:
    recipe = tiny_recipe(
        tmp_path, base, ADAPTERS[adapter], f"train.optimizer={optimizer}", "train.weight_decay=0.1"
    )
    policy = load_policy(recipe.model)
    return policy, build_optimizer(policy, recipe.train)


def step(policy: Policy, optimizer: torch.optim.Optimizer, number: int, skip: int | None = None) -> None:
    """A step on random gradients; the parameter numbered `skip` gets none."""
    generator = torch.Generator().manual_seed(number)
    for i, parameter in enumerate(policy.trainable_parameters()):
        gradient = torch.randn(parameter.shape, generator=generator)
        parameter.grad = gradient if i != skip else None
    for group in optimizer.param_groups:
        group["lr"] = 0.01 / (1 + number)
    optimizer.step()
    optimizer.zero_grad()


def weights(policy: Policy) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in policy.trainable_parameters()]


def assert_same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
def test_training_goes_on_bit_for_bit(wide: Path, tmp_path: Path, adapter: str, optimizer: str) -> None:
    """Seven steps are three steps, a file, and four."""
    straight, its_optimizer = trained(wide, tmp_path, adapter, optimizer)
    for number in range(7):
        step(straight, its_optimizer, number)

    first, its_optimizer = trained(wide, tmp_path, adapter, optimizer)
    for number in range(3):
        step(first, its_optimizer, number)
    save_file(optimizer_tensors(its_optimizer), tmp_path / "optimizer.safetensors")

    second, its_optimizer = trained(wide, tmp_path, adapter, optimizer)
    for new, old in zip(second.trainable_parameters(), weights(first), strict=True):
        new.data.copy_(old)
    load_optimizer_tensors(its_optimizer, load_file(tmp_path / "optimizer.safetensors"))
    for number in range(3, 7):
        step(second, its_optimizer, number)
    assert_same(weights(second), weights(straight))
    assert optimizer_tensors(its_optimizer).keys() == load_file(tmp_path / "optimizer.safetensors").keys()


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
def test_it_is_a_copy(wide: Path, tmp_path: Path, optimizer: str) -> None:
    """Steps after the saving do not reach into what was saved."""
    policy, its_optimizer = trained(wide, tmp_path, "lora", optimizer)
    step(policy, its_optimizer, 0)
    saved = optimizer_tensors(its_optimizer)
    before = {name: tensor.clone() for name, tensor in saved.items()}
    step(policy, its_optimizer, 1)
    assert all(torch.equal(saved[name], before[name]) for name in saved)
    assert not torch.equal(optimizer_tensors(its_optimizer)["0.step"], saved["0.step"])


def test_names_of_the_state(wide: Path, tmp_path: Path) -> None:
    policy, its_optimizer = trained(wide, tmp_path, "lora", "adamw")
    step(policy, its_optimizer, 0)
    number = len(policy.trainable_parameters())
    names = {f"{i}.{name}" for i in range(number) for name in ("step", "exp_avg", "exp_avg_sq")}
    assert optimizer_tensors(its_optimizer).keys() == names


def test_eight_bits_are_a_quarter(wide: Path, tmp_path: Path) -> None:
    """Two bytes a number where fp32 takes eight, and two scales a block of 256 numbers."""
    policy, its_optimizer = trained(wide, tmp_path, "full", "adamw_8bit")
    step(policy, its_optimizer, 0)
    number = max(policy.trainable_parameters(), key=Tensor.numel).numel()
    large = [state for p, state in its_optimizer.state.items() if p.numel() == number]
    assert large
    for state in large:
        assert state["state1"].dtype == state["state2"].dtype == torch.uint8
        held = sum(state[name].nbytes for name in ("state1", "state2", "absmax1", "absmax2"))
        assert held == 2 * number + 2 * 4 * -(-number // 256)
    small = [state for p, state in its_optimizer.state.items() if p.numel() < 4096]
    assert {state["state1"].dtype for state in small} == {torch.float32}


def test_eight_bits_move_nearly_as_fp32_does(wide: Path, tmp_path: Path) -> None:
    moved = {}
    for optimizer in ("adamw", "adamw_8bit"):
        policy, its_optimizer = trained(wide, tmp_path, "full", optimizer)
        before = torch.cat([w.flatten() for w in weights(policy)])
        for number in range(5):
            step(policy, its_optimizer, number)
        moved[optimizer] = torch.cat([w.flatten() for w in weights(policy)]) - before
    difference = (moved["adamw_8bit"] - moved["adamw"]).norm() / moved["adamw"].norm()
    assert 0 < difference < 0.1


def test_a_parameter_without_gradient_has_no_state(wide: Path, tmp_path: Path) -> None:
    for optimizer in ("adamw", "adamw_8bit"):
        policy, its_optimizer = trained(wide, tmp_path, "lora", optimizer)
        step(policy, its_optimizer, 0, skip=2)
        saved = optimizer_tensors(its_optimizer)
        assert saved["stateless"].tolist() == [2]
        again, another = trained(wide, tmp_path, "lora", optimizer)
        for new, old in zip(again.trainable_parameters(), weights(policy), strict=True):
            new.data.copy_(old)
        load_optimizer_tensors(another, saved)
        assert optimizer_tensors(another).keys() == saved.keys()
        for one in ((policy, its_optimizer), (again, another)):
            step(*one, 1)
        assert_same(weights(again), weights(policy))


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
def test_what_does_not_fit_is_refused(wide: Path, tmp_path: Path, optimizer: str) -> None:
    policy, its_optimizer = trained(wide, tmp_path, "lora", optimizer)
    step(policy, its_optimizer, 0)
    saved = optimizer_tensors(its_optimizer)
    name = next(name for name in saved if name.endswith(("exp_avg", "state1")))
    for wrong, why in (
        ({n: t for n, t in saved.items() if n != name}, f"{name} is missing"),
        (saved | {"0.momentum": saved[name]}, "0.momentum has no place"),
        (saved | {"999.step": saved["0.step"]}, "999.step has no place"),
        (saved | {name: saved[name][:-1]}, f"{name} is .* and should be"),
        (saved | {name: saved[name].double()}, "float64 .* and should be"),
    ):
        _, another = trained(wide, tmp_path, "lora", optimizer)
        with pytest.raises(ArtifactError, match=why):
            load_optimizer_tensors(another, wrong)


def test_another_optimizers_state_is_refused(wide: Path, tmp_path: Path) -> None:
    policy, its_optimizer = trained(wide, tmp_path, "lora", "adamw")
    step(policy, its_optimizer, 0)
    _, another = trained(wide, tmp_path, "lora", "adamw_8bit")
    with pytest.raises(ArtifactError, match="state1 is missing"):
        load_optimizer_tensors(another, optimizer_tensors(its_optimizer))


@pytest.mark.parametrize("optimizer", ["paged_adamw", "paged_adamw_8bit"])
def test_pages_need_cuda(base: Path, tmp_path: Path, optimizer: str) -> None:
    recipe = tiny_recipe(tmp_path, base, f"train.optimizer={optimizer}")
    with pytest.raises(RecipeError) as caught:
        build_optimizer(load_policy(recipe.model), recipe.train)
    assert f"train.optimizer={optimizer.removeprefix('paged_')}" in str(caught.value)


@pytest.mark.parametrize(
    ("optimizer", "kind"), [("paged_adamw", "PagedAdamW"), ("paged_adamw_8bit", "PagedAdamW8bit")]
)
def test_on_cuda_they_are_bitsandbytes_own(base: Path, tmp_path: Path, optimizer: str, kind: str) -> None:
    """Only built: there is no such device here, so the parameters stay where they are."""
    recipe = tiny_recipe(tmp_path, base, f"train.optimizer={optimizer}", "train.adam_beta1=0.8")
    policy: Any = replace(load_policy(recipe.model), device=torch.device("cuda"))
    made = build_optimizer(policy, recipe.train)
    assert type(made).__name__ == kind
    assert made.param_groups[0]["betas"] == (0.8, 0.999)
