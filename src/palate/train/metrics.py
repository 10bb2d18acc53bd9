"""What a step or an evaluation amounts to: sums while rows go by, means at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from palate.train.examples import Example
from palate.train.inputs import Computation
from palate.train.processes import Processes

__all__ = ["Meter"]


@dataclass(slots=True)
class Meter:
    """Adds up rows into the figures of metrics.jsonl.

    processes: whom the sums are shared with. labelled: the examples are single completions with labels.
    """

    processes: Processes = field(default_factory=Processes)
    labelled: bool = False
    _tensors: dict[str, Tensor] = field(default_factory=dict)
    _numbers: dict[str, float] = field(default_factory=dict)
    _rewards: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def add(self, examples: list[Example], row: Computation, losses_B: Tensor) -> None:
        """Count one row. `losses_B` carries the examples' weights already."""
        self._sum("examples", len(examples))
        self._sum("target_tokens", sum(example.num_target_tokens for example in examples))
        self._sum("loss", losses_B)
        self._sum("tokens_computed", row.num_computed)
        self._sum("tokens_represented", row.num_represented)
        for side, where_BK in (("chosen", row.preferred_BK), ("rejected", row.dispreferred_BK)):
            self._sum(f"num_{side}", where_BK)
            self._sum(f"rewards_{side}", row.rewards_BK * where_BK)
            if row.logps_BK is not None and row.lengths_BK is not None:
                self._sum(f"logps_{side}", row.logps_BK * where_BK)
                self._sum(f"length_{side}", row.lengths_BK * where_BK)
        if self.labelled:
            self._rewards.append((row.rewards_BK[:, 0], row.preferred_BK[:, 0]))
        elif row.present_BK.shape[1] > 1:
            self._sum("accuracy", _share_in_order(row.rewards_BK, row.present_BK))
        if row.kl_sum is not None:
            self._sum("kl", row.kl_sum)
            self._sum("kl_tokens", row.num_kl_tokens)

    def reward_sum(self) -> tuple[float, float]:
        """All rewards of both sides added up, and how many there were, over all processes."""
        sums = self._all()
        names = ("chosen", "rejected")
        return sum(sums[f"rewards_{n}"] for n in names), sum(sums[f"num_{n}"] for n in names)

    def figures(self, normalise_by: str) -> dict[str, Any]:
        """Means over examples, and over tokens where the name says so; None where nothing was computed.

        The loss is per example or per target token, as the objective normalises it, and may be non-finite.
        """
        sums = self._all()

        def ratio(name: str, count: str) -> float | None:
            value = sums[name] / sums[count] if name in sums and sums.get(count) else math.nan
            return value if math.isfinite(value) else None

        denominator = sums["examples" if normalise_by == "examples" else "target_tokens"]
        figures: dict[str, Any] = {"loss": sums["loss"] / denominator}
        for side in ("chosen", "rejected"):
            figures[f"rewards_{side}"] = ratio(f"rewards_{side}", f"num_{side}")
        chosen, rejected = figures["rewards_chosen"], figures["rewards_rejected"]
        known = chosen is not None and rejected is not None
        figures["rewards_margin"] = chosen - rejected if known else None
        figures["rewards_accuracy"] = self._accuracy(ratio("accuracy", "examples"))
        for side in ("chosen", "rejected"):
            figures[f"logps_{side}"] = ratio(f"logps_{side}", f"num_{side}")
        for side in ("chosen", "rejected"):
            figures[f"logps_{side}_per_token"] = ratio(f"logps_{side}", f"length_{side}")
            figures[f"{side}_length"] = ratio(f"length_{side}", f"num_{side}")
        figures["kl"] = ratio("kl", "kl_tokens")
        figures["tokens_computed"] = int(sums["tokens_computed"])
        figures["tokens_represented"] = int(sums["tokens_represented"])
        figures["sharing_factor"] = sums["tokens_represented"] / max(1, sums["tokens_computed"])
        return figures

    def _accuracy(self, in_order: float | None) -> float | None:
        """For labels: how often a desirable completion has the larger reward than an undesirable one, over
        all such pairs (the area under the ROC curve). For everything else what was added up."""
        if not self.labelled:
            return in_order
        mine = [(r.tolist(), up.tolist()) for r, up in self._rewards]
        everyone = [item for part in self.processes.gather(mine) for item in part]
        rewards = np.concatenate([r for r, _ in everyone])
        up = np.concatenate([u for _, u in everyone]).astype(bool)
        num_up, num_down = int(up.sum()), int((~up).sum())
        if not num_up or not num_down or not np.isfinite(rewards).all():
            return None
        return float((rankdata(rewards)[up].sum() - num_up * (num_up + 1) / 2) / (num_up * num_down))

    def _all(self) -> dict[str, float]:
        """Everything added up, over all processes. Reads the device, so once a step and not once a row."""
        if self._tensors:
            values = torch.stack(list(self._tensors.values())).tolist()
            self._numbers |= dict(zip(self._tensors, values, strict=True))
            self._tensors = {}
        names = sorted(_EVERY_NAME)
        # A process without rows of its own adds nothing; what the others added is there all the same.
        known = [float(name in self._numbers) for name in names]
        totals = self.processes.sum([*(self._numbers.get(name, 0.0) for name in names), *known])
        each = zip(names, totals[: len(names)], totals[len(names) :], strict=True)
        return {name: total for name, total, num_knowing in each if num_knowing}

    def _sum(self, name: str, value: Tensor | float) -> None:
        if isinstance(value, Tensor):
            total = value.detach().sum(dtype=torch.float64 if value.device.type != "mps" else torch.float32)
            self._tensors[name] = self._tensors[name] + total if name in self._tensors else total
        else:
            self._numbers[name] = self._numbers.get(name, 0.0) + value


_EVERY_NAME = {
    "accuracy", "examples", "kl", "kl_tokens", "loss", "target_tokens", "tokens_computed",
    "tokens_represented",
    *(f"{what}_{side}" for what in ("length", "logps", "num", "rewards") for side in ("chosen", "rejected")),
}  # fmt: skip


def _share_in_order(rewards_BK: Tensor, present_BK: Tensor) -> Tensor:
    """[B] the share of each example's ordered pairs that the rewards put in the same order."""
    gap_BKK = rewards_BK[:, :, None] - rewards_BK[:, None, :]
    # An exact tie is half right: counted as wrong, an untrained policy would look worse than chance.
    right_BKK = (gap_BKK > 0).float() + 0.5 * (gap_BKK == 0)
    pair_BKK = (present_BK[:, :, None] & present_BK[:, None, :]).triu(1)
    return (right_BKK * pair_BKK).sum((1, 2)) / pair_BKK.sum((1, 2)).clamp(min=1)
