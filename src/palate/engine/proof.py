"""The first-batch proof: the fast way must give the plain way's numbers, or it is not used.

At the start of every run the first batch is also computed by the model's own forward pass, one unpadded
completion at a time. A model that cannot take a tree's mask (state-space and linear-attention layers, exotic
masks) is found out here, before it has trained on anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from palate.engine.logps import Layout, branch_logps, own_forward_logps
from palate.engine.policy import Policy
from palate.engine.scores import own_forward_scores, score_head_norm, scores_and_states
from palate.engine.tree import Branch
from palate.errors import ModelError

__all__ = ["LayoutProof", "prove_layout", "prove_scores", "score_tolerance", "tolerance"]


@dataclass(frozen=True, slots=True)
class LayoutProof:
    """What the proof found.

    layout: the one to use. max_abs_difference: the largest difference of a completion's log-probability, or
    of its score, from the model's own forward pass. note: in words, for a person.
    """

    layout: Layout
    max_abs_difference: float
    note: str


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One layout against the model itself: whether it agrees, by how much completions differ, and the most
    that anything does."""

    agrees: bool
    of_completions: Tensor
    of_anything: Tensor


def tolerance(dtype: torch.dtype) -> tuple[float, float]:
    """How far two ways of computing log-probabilities may differ by rounding alone: worst token, mean token.

    Half precision keeps 8 (bf16) or 11 (fp16) bits of each of dozens of layers' sums: differences of 0.01 to
    0.1 of a nat are rounding there, while a wrong mask is off by whole nats. Rounding falls either way and is
    small on most tokens, so the mean may be held closer than the worst.
    """
    return {torch.float16: (0.05, 0.01), torch.bfloat16: (0.3, 0.05)}.get(dtype, (1e-3, 1e-4))


def score_tolerance(dtype: torch.dtype) -> tuple[float, float]:
    """The same of scores and the hidden states they are read from, relative to their size: the worst
    completion, the mean completion. A wrong mask is off by a tenth to once the size."""
    return {torch.float16: (0.04, 0.01), torch.bfloat16: (0.2, 0.06)}.get(dtype, (1e-3, 1e-4))


def prove_layout(policy: Policy, branches: Sequence[Branch], wanted: Layout = "tree") -> LayoutProof:
    """Compute `branches` each way and settle on the first that gives the model's own numbers.

    Raises:
        ModelError: not even the model's own logits agree once padded, so nothing computed here could be
            trusted.
    """
    layouts: tuple[Layout, ...] = ("tree", "padded", "own_logits")
    with policy.evaluating():
        own = own_forward_logps(policy, branches)

        def compare(layout: Layout) -> _Comparison:
            ours = branch_logps(policy, branches, layout)
            difference_S = ours.per_token_logps_S - own.per_token_logps_S
            return _Comparison(
                _within(difference_S, tolerance(policy.compute_dtype)), ours.sums() - own.sums(), difference_S
            )

        return _settle(policy, layouts[layouts.index(wanted) :], compare, "log-probabilities", "token")


def prove_scores(policy: Policy, branches: Sequence[Branch], wanted: Layout = "tree") -> LayoutProof:
    """The same of a reward model's scores; its layouts are `tree` and `padded`.

    One number per completion says little: a wrong mask may hit it by luck. So the hidden states that the head
    reads are compared too.

    Raises:
        ModelError: neither layout gives the scores of the model's own forward pass.
    """
    layouts: tuple[Layout, ...] = ("tree", "padded")
    with policy.evaluating():
        own_B, own_BD = own_forward_scores(policy, branches)
        state_norm_B = own_BD.float().norm(dim=-1)
        # How large scores are is the head's affair: |w| |h| / sqrt(D) is what a state without meaning gets.
        size_B = score_head_norm(policy) * state_norm_B / own_BD.shape[1] ** 0.5
        unit_B = torch.maximum(own_B.abs(), size_B)

        def compare(layout: Layout) -> _Comparison:
            ours, ours_BD = scores_and_states(policy, branches, layout)
            difference_B = ours.scores_B - own_B
            state_B = (ours_BD.float() - own_BD.float()).norm(dim=-1) / state_norm_B
            off_B = torch.maximum((difference_B / unit_B).abs(), state_B)
            return _Comparison(_within(off_B, score_tolerance(policy.compute_dtype)), difference_B, off_B)

        return _settle(policy, layouts[layouts.index(wanted) :], compare, "scores", "completion")


def _settle(
    policy: Policy,
    layouts: Sequence[Layout],
    compare: Callable[[Layout], _Comparison],
    what: str,
    each: str,
) -> LayoutProof:
    """The first layout that agrees."""
    problems: list[str] = []
    for layout in layouts:
        try:
            found = compare(layout)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a model that does not know such a mask does with one
            problems.append(f"{layout}: {_first_line(error)}")
            continue
        if found.agrees:
            worst = _worst(found.of_completions)
            return LayoutProof(layout, worst, _note(layout, worst, problems))
        problems.append(f"{layout}: off by {_worst(found.of_anything):.2g} on one {each}")
    raise ModelError(
        f"{what} do not agree with the model's own forward pass",
        where=f"model.base = {policy.name}",
        why="; ".join(problems),
        next="try model.attention=eager or model.dtype=float32; if it stays, report the model's architecture",
    )


def _within(difference: Tensor, limits: tuple[float, float]) -> bool:
    worst, mean = limits
    return _worst(difference) <= worst and _worst(difference.abs().mean()) <= mean


def _worst(difference: Tensor) -> float:
    worst = difference.abs().max().item()
    return worst if worst == worst else float("inf")


def _note(layout: Layout, worst: float, problems: Sequence[str]) -> str:
    note = f"{layout} layout agrees with the model's own forward pass within {worst:.2g}"
    if not problems:
        return note
    return f"this model cannot use the {problems[0].replace(':', ' layout:', 1)}; {note}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
