"""The first-batch proof: the fast way must give the plain way's numbers, or it is not used.

At the start of every run the first batch is also computed by the model's own forward pass, one unpadded
completion at a time. A model that cannot take a tree's mask (state-space and linear-attention layers, exotic
masks) is found out here, before it has trained on anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from palate.engine.logps import Layout, branch_logps, own_forward_logps
from palate.engine.policy import Policy
from palate.engine.tree import Branch
from palate.errors import ModelError

__all__ = ["LayoutProof", "prove_layout", "tolerance"]


@dataclass(frozen=True, slots=True)
class LayoutProof:
    """What the proof found.

    layout: the one to use. max_abs_difference: the largest difference of a completion's log-probability from
    the model's own forward pass. note: in words, for a person.
    """

    layout: Layout
    max_abs_difference: float
    note: str


def tolerance(dtype: torch.dtype) -> float:
    """How far two ways of computing one token's log-probability may differ by rounding alone.

    Half precision keeps 8 (bf16) or 11 (fp16) bits of each of dozens of layers' sums: differences of 0.01 to
    0.1 per token are rounding, a wrong mask is off by whole nats.
    """
    return {torch.float32: 1e-4, torch.float16: 0.05, torch.bfloat16: 0.3}.get(dtype, 1e-4)


def prove_layout(policy: Policy, branches: Sequence[Branch], wanted: Layout = "tree") -> LayoutProof:
    """Compute `branches` each way and settle on a layout that gives the model's own numbers.

    Raises:
        ModelError: not even the padded layout agrees, so nothing computed here could be trusted.
    """
    with policy.evaluating():
        own = own_forward_logps(policy, branches)
        problems: list[str] = []
        for layout in dict.fromkeys((wanted, "padded")):
            try:
                ours = branch_logps(policy, branches, layout)  # type: ignore[arg-type]
            except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
                # Whatever a model that does not know such a mask does with one.
                problems.append(f"{layout}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
                continue
            worst_token = _worst(ours.per_token_logps_S - own.per_token_logps_S)
            worst_completion = _worst(ours.sums() - own.sums())
            if worst_token <= tolerance(policy.compute_dtype):
                note = f"{layout} layout agrees with the model's own forward pass within {worst_completion:.2g}"
                if problems:
                    note = f"this model cannot use the tree ({problems[0]}); {note}"
                return LayoutProof(layout, worst_completion, note)  # type: ignore[arg-type]
            problems.append(f"{layout}: off by {worst_token:.2g} on one token")
    raise ModelError(
        "log-probabilities do not agree with the model's own forward pass",
        where=f"model.base = {policy.name}",
        why="; ".join(problems),
        next="try model.attention=eager or model.dtype=float32; if it stays, report the model's architecture",
    )


def _worst(difference: torch.Tensor) -> float:
    worst = difference.abs().max().item()
    return worst if worst == worst else float("inf")


