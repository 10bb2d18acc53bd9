"""The figures of metrics.jsonl, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from palate.engine import Branch
from palate.objectives import PairLogps
from palate.records import Labelled, Message, Pair, Provenance
from palate.train import Example
from palate.train.inputs import Computation
from palate.train.metrics import Meter

PROMPT, SAID = (Message("user", "?"),), (Message("assistant", "!"),)


def branch(num_scored: int) -> Branch:
    return Branch(np.arange(num_scored + 1), np.array([False] + [True] * num_scored))


def examples(*lengths: tuple[int, ...]) -> list[Example]:
    pair = Pair(PROMPT, SAID, SAID, Provenance("here"))
    return [Example.of(pair, tuple(branch(n) for n in sides)) for sides in lengths]


def computation(
    logps: list[list[float]],
    lengths: list[tuple[int, ...]],
    reference: list[list[float]] | None,
    *,
    beta: float,
    gaps: tuple[float, ...] = (),
    tokens: tuple[int, int],
) -> Computation:
    """A row with these sums; `gaps` are the differences between policy and reference, token by token."""
    logps_BK = torch.tensor(logps)
    reference_BK = torch.tensor(reference) if reference is not None else torch.zeros_like(logps_BK)
    preferred_BK = torch.zeros_like(logps_BK, dtype=torch.bool)
    preferred_BK[:, 0] = True
    return Computation(
        inputs=PairLogps(chosen=logps_BK[:, 0], chosen_lengths=torch.tensor([n for n, *_ in lengths])),
        rewards_BK=beta * (logps_BK - reference_BK),
        logps_BK=logps_BK,
        lengths_BK=torch.tensor(lengths),
        present_BK=torch.ones_like(preferred_BK),
        preferred_BK=preferred_BK,
        dispreferred_BK=~preferred_BK,
        num_computed=tokens[0],
        num_represented=tokens[1],
        kl_sum=torch.tensor(gaps).square().sum() / 2 if reference is not None else None,
        num_kl_tokens=len(gaps),
    )


TWO = examples((2, 1), (1, 2))


def row(beta: float = 0.5, *, reference: bool = True) -> Computation:
    """Two pairs. Chosen have 2 and 1 tokens, rejected 1 and 2.

    Policy per token, chosen then rejected: (-1, -2), (-3,), (-4,), (-1, -1); sums -3, -3, -4, -2.
    Reference: (-1, -1), (-3,), (-3,), (-2, -1); sums -2, -3, -3, -3.
    """
    against = [[-2.0, -3.0], [-3.0, -3.0]] if reference else None
    return computation(
        [[-3.0, -4.0], [-3.0, -2.0]],
        [(2, 1), (1, 2)],
        against,
        beta=beta,
        gaps=(0, 1, 0, 1, -1, 0),
        tokens=(10, 25),
    )


def test_means_over_pairs_and_tokens() -> None:
    """Rewards at beta 0.5: chosen 0.5 * (-1, 0), rejected 0.5 * (-1, 1): a tie and a miss."""
    meter = Meter()
    meter.add(TWO, row(), torch.tensor([0.2, 0.6]))
    assert meter.figures("examples") == pytest.approx(
        {
            "loss": 0.4,
            "rewards_chosen": -0.25,
            "rewards_rejected": 0.0,
            "rewards_margin": -0.25,
            "rewards_accuracy": 0.25,  # a tie is half right
            "logps_chosen": -3.0,
            "logps_rejected": -3.0,
            "logps_chosen_per_token": -2.0,
            "chosen_length": 1.5,
            "logps_rejected_per_token": -2.0,
            "rejected_length": 1.5,
            "kl": (1 + 1 + 1) / 2 / 6,  # three of six tokens differ, by one nat each
            "tokens_computed": 10,
            "tokens_represented": 25,
            "sharing_factor": 2.5,
        }
    )


def test_the_cut_into_rows_does_not_show() -> None:
    """Two rows are weighed by what they hold, not averaged as rows."""
    meter = Meter()
    meter.add(TWO, row(), torch.tensor([0.2, 0.6]))
    meter.add(TWO, row(), torch.tensor([0.2, 0.6]))
    one = computation([[-9.0, -1.0]], [(3, 1)], [[-9.0, -1.0]], beta=0.5, gaps=(0, 0, 0, 0), tokens=(5, 5))
    meter.add(examples((3, 1)), one, torch.tensor([1.4]))
    figures = meter.figures("examples")
    assert figures["loss"] == pytest.approx((0.8 * 2 + 1.4) / 5)
    assert figures["logps_chosen"] == pytest.approx(-21 / 5)
    assert figures["logps_chosen_per_token"] == pytest.approx(-21 / 9)
    assert figures["kl"] == pytest.approx(3 / 16)
    assert figures["sharing_factor"] == pytest.approx(55 / 25)


def test_the_loss_per_token_is_divided_by_chosen_tokens() -> None:
    meter = Meter()
    meter.add(TWO, row(), torch.tensor([3.0, 3.0]))
    assert meter.figures("tokens")["loss"] == pytest.approx(6 / 3)


def test_what_was_not_computed_is_none() -> None:
    """Without reference the reward is the log-probability; without rejected there is no margin."""
    meter = Meter()
    meter.add(TWO, row(1.0, reference=False), torch.zeros(2))
    assert meter.figures("examples")["kl"] is None
    assert meter.figures("examples")["rewards_chosen"] == -3.0
    assert meter.figures("examples")["rewards_accuracy"] == 0.5

    meter = Meter()
    alone = computation([[-3.0]], [(2,)], None, beta=1.0, tokens=(4, 4))
    meter.add(examples((2,)), alone, torch.tensor([3.0]))
    figures = meter.figures("tokens")
    assert figures["loss"] == 1.5
    for name in (
        "rewards_rejected",
        "rewards_margin",
        "rewards_accuracy",
        "logps_rejected",
        "rejected_length",
    ):
        assert figures[name] is None, name


def test_labels_are_told_apart_by_their_rewards() -> None:
    """Rewards 3 and 0 of desirable ones, 1 and 0 of undesirable: of 4 pairs 2 right, 1 wrong, 1 tied."""
    labels = [True, False, True, False]
    shown = [Example.of(Labelled(PROMPT, SAID, label, Provenance("here")), (branch(1),)) for label in labels]
    up_BK = torch.tensor(labels)[:, None]
    scored = computation([[3.0], [1.0], [0.0], [0.0]], [(1,)] * 4, None, beta=1.0, tokens=(4, 4))
    scored = Computation(
        **{
            **{name: getattr(scored, name) for name in Computation.__slots__},
            "preferred_BK": up_BK,
            "dispreferred_BK": ~up_BK,
        }
    )
    meter = Meter(labelled=True)
    meter.add(shown, scored, torch.zeros(4))
    figures = meter.figures("examples")
    assert figures["rewards_accuracy"] == pytest.approx(2.5 / 4)
    assert (figures["rewards_chosen"], figures["rewards_rejected"]) == (1.5, 0.5)
    assert figures["rewards_margin"] == 1.0


def test_rankings_count_every_ordered_pair() -> None:
    """Rewards 3, 1, 2 of the best, second and third: two of three pairs are in order."""
    ranked = computation([[3.0, 1.0, 2.0]], [(1, 1, 1)], None, beta=1.0, tokens=(4, 4))
    meter = Meter()
    meter.add(examples((1, 1, 1)), ranked, torch.zeros(1))
    assert meter.figures("examples")["rewards_accuracy"] == pytest.approx(2 / 3)


def test_not_a_number_is_seen_in_the_loss_and_none_elsewhere() -> None:
    meter = Meter()
    meter.add(TWO, row(math.inf), torch.tensor([math.nan, 0.0]))
    figures = meter.figures("examples")
    assert math.isnan(figures["loss"])
    assert figures["rewards_chosen"] is None


def test_nothing_holds_on_to_the_graph() -> None:
    meter = Meter()
    computed = row()
    losses = torch.tensor([1.0, 2.0], requires_grad=True)
    meter.add(TWO, computed, losses * 2)
    assert all(not tensor.requires_grad for tensor in meter._tensors.values())
