"""SFT's loss, and that the sum of its parts is the loss of the whole however a batch is cut."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from palate.objectives import PairLogps, sft_loss
from palate.recipe import SFT


def chosen_only(chosen: Tensor, lengths: Tensor) -> PairLogps:
    return PairLogps(chosen=chosen, chosen_lengths=lengths)


def test_by_hand() -> None:
    """Two completions of probability 1/8 and 1/2: ln 8 = 2.07944154, ln 2 = 0.69314718."""
    logps = torch.tensor([1 / 8, 1 / 2], dtype=torch.float64).log()
    losses = sft_loss(chosen_only(logps, torch.tensor([3, 1])), SFT())
    assert losses.tolist() == pytest.approx([2.07944154, 0.69314718], abs=1e-8)


def test_gradient_reaches_every_token_alike() -> None:
    per_token = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)

    def loss(per_token: Tensor) -> Tensor:
        return sft_loss(chosen_only(per_token.sum(1), torch.full((4,), 5)), SFT())

    assert torch.autograd.gradcheck(loss, (per_token,))
    loss(per_token).sum().backward()
    assert per_token.grad is not None
    assert torch.equal(per_token.grad, -torch.ones(4, 5, dtype=torch.float64))


def test_tokens_weigh_the_same_in_any_cut() -> None:
    """Token cross-entropy over the whole batch, as torch computes it, from micro-batches of unequal sizes."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([1, 7, 3, 2])
    logits = torch.randn(13, 11, generator=generator, dtype=torch.float64)
    targets = torch.randint(11, (13,), generator=generator)
    expected = torch.nn.functional.cross_entropy(logits, targets)
    per_token = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]
    logps = torch.stack([part.sum() for part in per_token.split(lengths.tolist())])

    total = torch.zeros((), dtype=torch.float64)
    for cut in (slice(0, 1), slice(1, 4)):
        total += sft_loss(chosen_only(logps[cut], lengths[cut]), SFT()).sum()
    assert (total / lengths.sum()).item() == pytest.approx(expected.item(), rel=1e-12)
