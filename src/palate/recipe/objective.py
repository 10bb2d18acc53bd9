"""What each objective can be told, and what it asks of the loop.

The options carry the metadata, so that the training loop can ask an objective what it needs and never has
to know one by name. The mathematics stands in `palate.objectives`, one small file each; this module imports
no torch, so that a recipe can be checked in an instant.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from palate.recipe.section import Section

__all__ = ["DPO", "IPO", "OBJECTIVES", "SFT", "Objective", "ObjectiveOptions"]


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
    paper: ClassVar[str]
    """Where it comes from."""

    @property
    def needs_collision(self) -> bool:
        """Whether it needs log sum_v pi(v)^2 at every scored token, which only the head can tell."""
        return False

    @property
    def reward_scale(self) -> float:
        """What a log-ratio is multiplied by to be a reward in the metrics: beta where there is one."""
        return 1.0


class DPO(Objective):
    """Direct preference optimisation."""

    data = "pairs"
    needs_reference = True
    needs_rejected = True
    normalise_by = "examples"
    paper = "Rafailov et al. 2023, arXiv:2305.18290, equation 7; label smoothing: Mitchell 2023, cDPO note"

    type: Literal["dpo"] = "dpo"
    beta: Annotated[float, Field(gt=0)] = 0.1
    """How strongly the policy is held to the reference; larger holds it closer."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The assumed share of pairs whose preference is the wrong way round (conservative DPO)."""

    @property
    def reward_scale(self) -> float:
        return self.beta


class IPO(Objective):
    """Identity preference optimisation."""

    data = "pairs"
    needs_reference = True
    needs_rejected = True
    normalise_by = "examples"
    paper = "Azar et al. 2023, arXiv:2310.12036, equation 17"

    type: Literal["ipo"] = "ipo"
    beta: Annotated[float, Field(gt=0)] = 0.1
    """The paper's tau: the margin of log-ratios is pulled towards 1 / (2 beta)."""
    logps: Literal["sum", "mean"] = "sum"
    """`sum`: log-ratios of whole completions, as the paper writes them. `mean`: per token, as trl does."""

    @property
    def reward_scale(self) -> float:
        return self.beta


class SFT(Objective):
    """Supervised fine-tuning on the chosen completion alone."""

    data = "pairs"
    needs_reference = False
    needs_rejected = False
    normalise_by = "tokens"
    paper = "maximum likelihood on completion tokens"

    type: Literal["sft"] = "sft"


ObjectiveOptions = Annotated[DPO | IPO | SFT, Field(discriminator="type")]
"""Any objective's options, told apart by `type`."""

OBJECTIVES: dict[str, type[DPO] | type[IPO] | type[SFT]] = {"dpo": DPO, "ipo": IPO, "sft": SFT}
"""Every objective by the name recipes use."""
