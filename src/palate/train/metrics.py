"""What a step or an evaluation amounts to: sums while rows go by, means at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from palate.engine import BranchLogps
from palate.objectives import PairLogps, implicit_rewards

__all__ = ["Meter", "PairComputation"]


@dataclass(frozen=True, slots=True, eq=False)
class PairComputation:
    """One row of pairs, computed: what the objective reads, and what it was made from."""

    pairs: PairLogps
    policy: BranchLogps
    reference: BranchLogps | None


@dataclass(slots=True)
class Meter:
    """Adds up rows into the figures of metrics.jsonl."""

    reward_scale: float
    _tensors: dict[str, Tensor] = field(default_factory=dict)
    _numbers: dict[str, float] = field(default_factory=dict)

    def add(self, row: PairComputation, losses_B: Tensor) -> None:
        """Count one row."""
        pairs = row.pairs
        self._sum("pairs", len(losses_B))
        self._sum("loss", losses_B)
        self._sum("tokens_computed", row.policy.num_computed)
        self._sum("tokens_represented", row.policy.num_represented)
        self._side("chosen", pairs.chosen, pairs.chosen_lengths)
        rewards_chosen, rewards_rejected = implicit_rewards(pairs, self.reward_scale)
        self._sum("rewards_chosen", rewards_chosen)
        if pairs.rejected is not None and pairs.rejected_lengths is not None and rewards_rejected is not None:
            self._side("rejected", pairs.rejected, pairs.rejected_lengths)
            self._sum("rewards_rejected", rewards_rejected)
            self._sum("rewards_margin", rewards_chosen - rewards_rejected)
            # An exact tie is half right: counted as wrong, an untrained policy would look worse than chance.
            right = (rewards_chosen > rewards_rejected).float() + 0.5 * (rewards_chosen == rewards_rejected)
            self._sum("rewards_accuracy", right)
        if row.reference is not None:
            # Schulman's k2, (log ratio)^2 / 2 per token, on the data's own completions: never negative, zero
            # where policy and reference agree. It measures drift on this text; his k3 is less biased for
            # small drifts and blows up on the rejected side, whose probability falls by whole nats.
            gap = (row.reference.per_token_logps_S - row.policy.per_token_logps_S).detach()
            self._sum("kl", gap.square() / 2)
            self._sum("kl_tokens", gap.numel())

    @property
    def sums(self) -> dict[str, float]:
        """Everything added up so far. Reads the device, so once a step and not once a row."""
        if self._tensors:
            values = torch.stack(list(self._tensors.values())).tolist()
            self._numbers |= dict(zip(self._tensors, values, strict=True))
        return self._numbers

    def figures(self, normalise_by: str) -> dict[str, Any]:
        """Means over pairs, and over tokens where the name says so; None where nothing was computed.

        The loss is per example or per chosen token, as the objective normalises it, and may be non-finite.
        """
        sums = self.sums
        num_pairs = sums["pairs"]
        denominator = sums["pairs" if normalise_by == "examples" else "length_chosen"]

        def ratio(name: str, count: float | None) -> float | None:
            value = sums[name] / count if count and name in sums else math.nan
            return value if math.isfinite(value) else None

        figures: dict[str, Any] = {"loss": sums["loss"] / denominator}
        for name in ("rewards_chosen", "rewards_rejected", "rewards_margin", "rewards_accuracy"):
            figures[name] = ratio(name, num_pairs)
        for side in ("chosen", "rejected"):
            figures[f"logps_{side}"] = ratio(f"logps_{side}", num_pairs)
        for side in ("chosen", "rejected"):
            figures[f"logps_{side}_per_token"] = ratio(f"logps_{side}", sums.get(f"length_{side}"))
            figures[f"{side}_length"] = ratio(f"length_{side}", num_pairs)
        figures["kl"] = ratio("kl", sums.get("kl_tokens"))
        figures["tokens_computed"] = int(sums["tokens_computed"])
        figures["tokens_represented"] = int(sums["tokens_represented"])
        figures["sharing_factor"] = sums["tokens_represented"] / sums["tokens_computed"]
        return figures

    def _side(self, side: str, logps: Tensor, lengths: Tensor) -> None:
        self._sum(f"logps_{side}", logps)
        self._sum(f"length_{side}", lengths)

    def _sum(self, name: str, value: Tensor | float) -> None:
        if isinstance(value, Tensor):
            total = value.detach().sum(dtype=torch.float64 if value.device.type != "mps" else torch.float32)
            self._tensors[name] = self._tensors[name] + total if name in self._tensors else total
        else:
            self._numbers[name] = self._numbers.get(name, 0.0) + value
