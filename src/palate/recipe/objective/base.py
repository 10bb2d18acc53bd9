"""What every objective tells the training loop about itself.

The options carry the metadata, so that the loop can ask an objective what it needs and never has to know one
by name. The mathematics stands in `palate.objectives`, one small file each; this package imports no torch, so
that a recipe can be checked in an instant.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from palate.recipe.section import Section

__all__ = ["Objective"]


class Objective(Section):
    """Metadata every objective states; see `palate.objectives.contract` for how the loop uses it."""

    data: ClassVar[Literal["pairs", "labels", "rankings", "groups"]]
    """The kind of record it learns from."""
    reads: ClassVar[Literal["logps", "scores"]] = "logps"
    """What the model is asked for: log-probabilities of completions, or a scalar score of each."""
    needs_reference: ClassVar[bool] = True
    """Whether it compares the policy with a reference."""
    needs_rejected: ClassVar[bool] = True
    """Whether it reads the rejected side at all; where not, that side costs nothing in training."""
    normalise_by: ClassVar[Literal["examples", "tokens"]] = "examples"
    """What the sum of the per-example losses of a whole batch is divided by."""
    takes_margin: ClassVar[bool] = False
    """Whether it honours a target margin of each pair (`target_margin`)."""
    couples_batch: ClassVar[bool] = False
    """Whether an example's loss depends on the other examples of its batch."""
    needs_kl: ClassVar[bool] = False
    """Whether it compares rewards with an estimate of KL(policy || reference) from mismatched pairs."""
    needs_reward_shift: ClassVar[bool] = False
    """Whether it compares rewards with the mean reward of the steps before (`reward_shift`)."""
    needs_public_length: ClassVar[bool] = False
    """Whether it tells the first min(|y_w|, |y_l|) tokens of a completion from those after them."""
    loss: ClassVar[str]
    """Its function, as `module:name`; imported only where something is computed."""
    paper: ClassVar[str]
    """Where it comes from."""

    type: Any
    """The name recipes use."""

    @property
    def needs_collision(self) -> bool:
        """Whether it needs log sum_v pi(v)^2 at every scored token, which only the head can tell."""
        return False

    @property
    def reward_scale(self) -> float:
        """What a log-ratio is multiplied by to be a reward in the metrics: beta where there is one."""
        return 1.0
