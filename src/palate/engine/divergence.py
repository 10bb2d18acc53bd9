"""How far one model's next-token distributions are from another's: exact, over the whole vocabulary.

Hidden states are what is kept of a model, and its head; so two models are compared with one of them in
memory at a time, and no [tokens, vocabulary] tensor is larger than a chunk of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from palate.engine.forward import pad_branches
from palate.engine.head import CHUNK_ELEMENTS, LanguageHead, shape_logits
from palate.engine.policy import Policy
from palate.engine.tree import Branch

__all__ = ["context_states", "kl_divergence", "next_token_logps", "target_logps"]


def context_states(policy: Policy, branches: Sequence[Branch]) -> list[Tensor]:
    """Of each branch the hidden states that its scored tokens are predicted from, [scored tokens, D].

    They are on the CPU, where they take a few kilobytes a token. Call it with the policy evaluating.
    """
    rows = pad_branches(branches, policy)
    with policy.autocast():
        states_SD = rows.hidden_states(policy)[:, :-1][rows.scored[:, 1:]]
    return list(states_SD.detach().cpu().split(rows.scored.sum(1).tolist()))


def next_token_logps(head: LanguageHead, states_CD: Tensor, device: torch.device) -> Tensor:
    """Log-probabilities of the whole vocabulary at each context, [C, V], in float64.

    A divergence is a small difference of large sums: fp32 leaves some 1e-6 nats of noise in each term. Where
    a device knows no float64 it is fp32.
    """
    with torch.no_grad():
        logits = head.module(states_CD.to(device)).float()
    precise = torch.float32 if device.type == "mps" else torch.float64
    return shape_logits(logits.to(precise), head.scale, head.softcap).log_softmax(-1)


def kl_divergence(
    head: LanguageHead, states_CD: Tensor, other: LanguageHead, other_CD: Tensor, device: torch.device
) -> Tensor:
    """KL(own || other) of the next-token distributions at each context, in nats: float64 [C], on the CPU.

    Args:
        head: the own model's.
        states_CD: its hidden states at C contexts.
        other: the other model's head.
        other_CD: the other model's hidden states, at the same contexts.
        device: where both heads are.

    Raises:
        ValueError: the vocabularies are not equally large.
    """
    if head.vocabulary != other.vocabulary:
        raise ValueError(f"vocabularies of {head.vocabulary:,} and {other.vocabulary:,} tokens")
    rows = _rows_at_once(head)
    found = []
    for own, theirs in zip(states_CD.split(rows), other_CD.split(rows), strict=True):
        p = next_token_logps(head, own, device)
        q = next_token_logps(other, theirs, device)
        found.append((p.exp() * (p - q)).sum(-1).double().cpu())
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)


def target_logps(head: LanguageHead, states_CD: Tensor, targets_C: Tensor, device: torch.device) -> Tensor:
    """The log-probability of one token at each context, float64 [C], on the CPU."""
    rows = _rows_at_once(head)
    found = [
        next_token_logps(head, own, device).gather(-1, targets.to(device)[:, None])[:, 0].double().cpu()
        for own, targets in zip(states_CD.split(rows), targets_C.split(rows), strict=True)
    ]
    return torch.cat(found)


def _rows_at_once(head: LanguageHead) -> int:
    return max(1, CHUNK_ELEMENTS // (2 * head.vocabulary))  # twice as many bytes a number as elsewhere
