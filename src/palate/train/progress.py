"""How far a training has come: everything that changes on the way, beside weights and generators."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from palate.recipe import TrainOptions

__all__ = ["Progress"]


@dataclass(slots=True)
class Progress:
    """Plain values, all of them in every checkpoint.

    A checkpoint is always of the moment between two optimizer steps: a step that was under way is taken
    again from its beginning, so there is no phase of an accumulation to remember.
    """

    step: int = 0
    """Optimizer steps done; the position in the data follows from it."""
    last_evaluated: int = 0
    """The step of the newest evaluation."""
    best_step: int | None = None
    """The step of the best evaluation, its value (to be minimised) and its figures."""
    best_value: float = math.inf
    best_figures: dict[str, Any] = field(default_factory=dict)
    num_stale_evaluations: int = 0
    """Evaluations since the last that counted as better."""
    reference_value: float = math.inf
    """The value that an evaluation has to be better than to count."""
    stopped_early: bool = False
    reward_total: float = 0.0
    """All rewards so far, and their number: for objectives that compare with the mean."""
    num_rewards: float = 0.0
    loss_scale: float = 1.0
    """What losses are multiplied by before they go backwards; above 1 in float16 only."""
    num_steps_since_scaling: int = 0
    max_row_tokens: int | None = None
    """The row length that memory was found to take, where it was found out."""
    seconds: float = 0.0
    """Time in optimizer steps so far, and below what went through them."""
    num_examples: int = 0
    tokens_computed: int = 0
    tokens_represented: int = 0

    @property
    def reward_shift(self) -> float:
        """The mean of all rewards so far."""
        return self.reward_total / self.num_rewards if self.num_rewards else 0.0

    def after_step(self, rewards: tuple[float, float] | None) -> None:
        """An optimizer step is done; `rewards` is the sum and the number of its rewards, where wanted."""
        self.step += 1
        if rewards is not None:
            self.reward_total += rewards[0]
            self.num_rewards += rewards[1]
        if self.loss_scale > 1.0:
            self.num_steps_since_scaling += 1
            if self.num_steps_since_scaling >= _STEPS_BETWEEN_SCALINGS:
                self.loss_scale, self.num_steps_since_scaling = self.loss_scale * 2, 0

    def after_evaluation(self, figures: Mapping[str, Any], options: TrainOptions) -> bool:
        """Take an evaluation into account; whether it is the best so far."""
        self.last_evaluated = self.step
        value = _to_minimise(options.best_metric, figures)
        early = options.early_stopping
        if early is not None:
            self.num_stale_evaluations += 1
            if value < self.reference_value - early.min_improvement:
                self.reference_value, self.num_stale_evaluations = value, 0
            self.stopped_early = self.num_stale_evaluations >= early.patience
        if value < self.best_value or self.best_step is None:
            self.best_step, self.best_value, self.best_figures = self.step, value, dict(figures)
            return True
        return False

    def forget_best(self) -> None:
        """The best checkpoint is lost: the next evaluation is the best."""
        self.best_step, self.best_value, self.best_figures = None, math.inf, {}

    def count(self, figures: Mapping[str, Any], num_examples: int, seconds: float) -> None:
        """Add a step to the totals."""
        self.seconds += seconds
        self.num_examples += num_examples
        self.tokens_computed += figures["tokens_computed"]
        self.tokens_represented += figures["tokens_represented"]

    def as_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    def take_up(self, saved: Mapping[str, Any]) -> None:
        """Become what `as_dict` gave.

        Raises:
            KeyError: something is missing from it.
        """
        for each in fields(self):
            setattr(self, each.name, saved[each.name])


# As torch's own gradient scaler does.
_STEPS_BETWEEN_SCALINGS = 2000


def _to_minimise(metric: str, figures: Mapping[str, Any]) -> float:
    value = figures[metric]
    if value is None:  # not finite: no step is worse
        return math.inf
    return float(value if metric == "loss" else -value)
