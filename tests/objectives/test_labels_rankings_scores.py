"""What every objective on labels, rankings or scores owes: numbers by hand, its gradient, true metadata.

A new one without numbers in `BY_HAND` fails here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from palate.objectives import LabelLogps, PairScores, RankingLogps, objective_for
from palate.recipe import OBJECTIVES, Objective

NAMES = [name for name, kind in OBJECTIVES.items() if (kind.data, kind.reads) != ("pairs", "logps")]


def tensor(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


LABELS = LabelLogps(
    logps=tensor(-10, -9),
    lengths=torch.tensor([4, 6]),
    desirable=torch.tensor([True, False]),
    reference=tensor(-12, -6),
)
"""Log-ratios +2 of a desirable completion and -3 of an undesirable one."""
RANKINGS = RankingLogps(
    logps=tensor([-10, -8, -7], [-5, -3, 0]),
    lengths=torch.tensor([[4, 3, 2], [2, 2, 0]]),
    present=torch.tensor([[True, True, True], [True, True, False]]),
    reference=tensor([-12, -8, -6], [-5, -4, 0]),
)
"""Log-ratios 2, 0, -1, and 0, 1 with the third absent."""
SCORES = PairScores(chosen=tensor(1, -1), rejected=tensor(0, 2), target_margin=tensor(2, 0))

BY_HAND: dict[str, tuple[Any, dict[str, Any], list[float]]] = {
    # Gains 2 - 1 and 1 + 3. 1 - s(0.5) = 0.37754067; 2 (1 - s(2)) = 2 * 0.11920292 = 0.23840584.
    "kto": (
        dataclasses.replace(LABELS, kl=tensor(1)[0]),
        {"beta": 0.5, "undesirable_weight": 2},
        [0.37754067, 0.23840584],
    ),
    # Gains 2 and 3. 1 - s(1) = 0.26894142; 2 (1 - s(1.5)) = 2 * 0.18242552 = 0.36485105.
    "apo_zero_unpaired": (LABELS, {"beta": 0.5, "undesirable_weight": 2}, [0.26894142, 0.36485105]),
    # Rewards 1 and -1.5, less 0.5: 0.5 and -2. log(1 + e^-0.5) = 0.47407698, log(1 + e^-2) = 0.12692801.
    "bco": (
        dataclasses.replace(LABELS, reward_shift=tensor(0.5)[0]),
        {"beta": 0.5},
        [0.47407698, 0.12692801],
    ),
    # log(1 + e^-2 + e^-3) + log(1 + e^-1) = 0.16984602 + 0.31326169; log(1 + e) = 1.31326169.
    "plackett_luce": (RANKINGS, {"beta": 1}, [0.48310771, 1.31326169]),
    # Leads 1 - 2 and -3 - 0: log(1 + e) = 1.31326169, log(1 + e^3) = 3.04858735. Sums 1 and 1: 0.5 each.
    "reward": (SCORES, {"center_coefficient": 0.5}, [1.81326169, 3.54858735]),
}


def asked_for(kind: type[Objective], *, size: float = 5, dtype: torch.dtype = torch.float64) -> Any:
    """Random inputs: exactly what the metadata asks for, and nothing else."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return size * torch.randn(shape, generator=generator, dtype=dtype)

    if kind.reads == "scores":
        return PairScores(chosen=random(6), rejected=random(6), target_margin=random(6).abs())
    if kind.data == "labels":
        return LabelLogps(
            logps=random(6),
            lengths=torch.ones(6),
            desirable=torch.arange(6) % 2 == 0,
            reference=random(6) if kind.needs_reference else None,
            kl=random().abs() if kind.needs_kl else None,
            reward_shift=random() if kind.needs_reward_shift else None,
        )
    present = torch.arange(5) < torch.tensor([[5], [4], [3], [2]])
    return RankingLogps(
        logps=random(4, 5) * present,
        lengths=present.long(),
        present=present,
        reference=random(4, 5) * present if kind.needs_reference else None,
    )


def learnt(inputs: Any) -> list[str]:
    """The names of what carries the gradient."""
    return ["chosen", "rejected"] if isinstance(inputs, PairScores) else ["logps"]


def loss_of_learnt(options: Objective, inputs: Any) -> Callable[..., Tensor]:
    names = learnt(inputs)
    return lambda *values: objective_for(options)(
        dataclasses.replace(inputs, **dict(zip(names, values, strict=True)))
    )


@pytest.mark.parametrize("name", NAMES)
def test_by_hand(name: str) -> None:
    inputs, options, expected = BY_HAND[name]
    losses = objective_for(OBJECTIVES[name](**options))(inputs)
    assert losses.tolist() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_gradient(name: str) -> None:
    inputs = asked_for(OBJECTIVES[name])
    values = tuple(getattr(inputs, each).requires_grad_() for each in learnt(inputs))
    assert torch.autograd.gradcheck(loss_of_learnt(OBJECTIVES[name](), inputs), values)


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_a_gradient(name: str) -> None:
    inputs = asked_for(OBJECTIVES[name])
    values = [getattr(inputs, each).requires_grad_() for each in learnt(inputs)]
    losses = loss_of_learnt(OBJECTIVES[name](), inputs)(*values)
    assert losses.dtype == torch.float64
    assert losses.shape == values[0].shape[:1]
    there = getattr(inputs, "present", torch.ones(values[0].shape, dtype=torch.bool))
    for gradient in torch.autograd.grad(losses.sum(), values):
        assert (gradient[there] != 0).all()
        assert (gradient[~there] == 0).all()


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        (name, needed)
        for name in NAMES
        for needed in ("reference", "kl", "reward_shift")
        if getattr(OBJECTIVES[name], f"needs_{needed}")
    ],
)
def test_what_it_needs_it_reads(name: str, needed: str) -> None:
    without = dataclasses.replace(asked_for(OBJECTIVES[name]), **{needed: None})
    with pytest.raises(ValueError, match=f"{needed} is None"):
        objective_for(OBJECTIVES[name]())(without)


@pytest.mark.parametrize("name", [name for name in NAMES if OBJECTIVES[name].takes_margin])
def test_a_margin_costs(name: str) -> None:
    given = asked_for(OBJECTIVES[name])
    loss = objective_for(OBJECTIVES[name]())
    assert (loss(given) > loss(dataclasses.replace(given, target_margin=None))).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1e3, 1e6])
def test_finite_at_extremes(name: str, size: float) -> None:
    """In fp32, where exp(89) is infinite: every loss and gradient stays a number, and stays fp32."""
    inputs = asked_for(OBJECTIVES[name], size=size, dtype=torch.float32)
    values = [getattr(inputs, each).requires_grad_() for each in learnt(inputs)]
    losses = loss_of_learnt(OBJECTIVES[name](), inputs)(*values)
    assert losses.dtype == torch.float32
    assert losses.isfinite().all()
    for gradient in torch.autograd.grad(losses.sum(), values):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", [name for name in NAMES if "beta" in OBJECTIVES[name].model_fields])
def test_the_reward_scale_is_beta(name: str) -> None:
    assert OBJECTIVES[name](beta=0.3).reward_scale == 0.3
