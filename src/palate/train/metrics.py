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
    sums: dict[str, float] = field(default_factory=dict)

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
            # An exact tie is half right: counting it as wrong would make an untrained policy look worse than chance.
            right = (rewards_chosen > rewards_rejected).float() + 0.5 * (rewards_chosen == rewards_rejected)
            self._sum("rewards_accuracy", right)
        if row.reference is not None:
            # Schulman's k3 on the data's own completions: never negative, zero where policy and reference agree.
            # It measures drift on this text; the KL divergence proper would be taken on the policy's own samples.
            gap = (row.reference.per_token_logps_S - row.policy.per_token_logps_S).detach()
            self._sum("kl", torch.expm1(gap) - gap)
            self._sum("kl_tokens", gap.numel())

    def loss(self, normalise_by: str) -> float:
        """The mean loss per example or per chosen token."""
        return self.sums["loss"] / self.sums["pairs" if normalise_by == "examples" else "length_chosen"]

    def figures(self, normalise_by: str) -> dict[str, Any]:
        """Means over pairs, and over tokens where the name says so; None where nothing was computed."""
        num_pairs = self.sums["pairs"]
        figures: dict[str, Any] = {"loss": self.loss(normalise_by)}
        for name in ("rewards_chosen", "rewards_rejected", "rewards_margin", "rewards_accuracy"):
            figures[name] = self._ratio(name, num_pairs)
        for side in ("chosen", "rejected"):
            figures[f"logps_{side}"] = self._ratio(f"logps_{side}", num_pairs)
        for side in ("chosen", "rejected"):
            figures[f"logps_{side}_per_token"] = self._ratio(f"logps_{side}", self.sums.get(f"length_{side}"))
            figures[f"{side}_length"] = self._ratio(f"length_{side}", num_pairs)
        figures["kl"] = self._ratio("kl", self.sums.get("kl_tokens"))
        figures["tokens_computed"] = int(self.sums["tokens_computed"])
        figures["tokens_represented"] = int(self.sums["tokens_represented"])
        figures["sharing_factor"] = self.sums["tokens_represented"] / self.sums["tokens_computed"]
        return figures

    def _side(self, side: str, logps: Tensor, lengths: Tensor) -> None:
        self._sum(f"logps_{side}", logps)
        self._sum(f"length_{side}", lengths)

    def _sum(self, name: str, value: Tensor | float) -> None:
        number = float(value.detach().double().sum()) if isinstance(value, Tensor) else float(value)
        self.sums[name] = self.sums.get(name, 0.0) + number

    def _ratio(self, name: str, count: float | None) -> float | None:
        if name not in self.sums or not count:
            return None
        ratio = self.sums[name] / count
        return ratio if math.isfinite(ratio) else None
