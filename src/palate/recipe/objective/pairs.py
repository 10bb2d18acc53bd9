"""Options of the objectives that learn from pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union

from pydantic import Field, model_validator

from palate.errors import did_you_mean
from palate.recipe.objective.base import Objective
from palate.recipe.section import Section

__all__ = [
    "AOT",
    "CPO",
    "DPO",
    "DPOP",
    "EXO",
    "IPO",
    "MPO",
    "NCA",
    "ORPO",
    "PAIR_OBJECTIVES",
    "RPO",
    "SFT",
    "AOTUnpaired",
    "APODown",
    "APOZero",
    "BCOPair",
    "DiscoPOP",
    "Hinge",
    "MPOTerm",
    "PairObjective",
    "SPPOHard",
    "SimPO",
]

Positive = Annotated[float, Field(gt=0)]
Smoothing = Annotated[float, Field(ge=0, lt=0.5)]


class PairObjective(Objective):
    """What all objectives share that give each pair, by its two sides, a loss of its own."""

    data = "pairs"

    beta: Positive = 0.1
    """How strongly the policy is held to the reference; larger holds it closer."""
    weighting: Literal["none", "wpo"] = "none"
    """`wpo`: each pair weighs as much as the policy itself would write it (arXiv:2406.11827)."""

    @property
    def reward_scale(self) -> float:
        return self.beta

    @property
    def needs_collision(self) -> bool:
        return self.weighting == "wpo"


class DPO(PairObjective):
    """Direct preference optimisation."""

    takes_margin = True
    paper = (
        "Rafailov et al. 2023, arXiv:2305.18290, equation 7; label smoothing: Mitchell 2023, cDPO note; "
        "robust: Chowdhury et al. 2024, arXiv:2403.00409; divergences: Wang et al. 2023, arXiv:2309.16240; "
        "ld_alpha: Liu et al. 2024, arXiv:2409.06411; target margins: Amini et al. 2024, arXiv:2402.10571"
    )
    loss = "palate.objectives.dpo:dpo_loss"

    type: Literal["dpo"] = "dpo"
    label_smoothing: Smoothing = 0.0
    """The assumed share of pairs whose preference is the wrong way round."""
    smoothing: Literal["conservative", "robust"] = "conservative"
    """`conservative` stops at a finite margin; `robust` is on average the loss of the clean pairs."""
    logps: Literal["sum", "mean"] = "sum"
    """`sum`: log-ratios of whole completions. `mean`: per token, so that length does not count."""
    divergence: Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] = "reverse_kl"
    """How the distance to the reference is measured; `reverse_kl` is DPO as published."""
    divergence_alpha: Annotated[float, Field(gt=0, lt=1)] | None = None
    """For `alpha_divergence`, and needed there: near 0 it is like `reverse_kl`, near 1 like `forward_kl`."""
    ld_alpha: Annotated[float, Field(ge=0, lt=1)] | None = None
    """LD-DPO: how much the tokens count that one side has beyond the other's length; 1 where absent."""

    @property
    def needs_public_length(self) -> bool:  # type: ignore[override]
        return self.ld_alpha is not None

    @model_validator(mode="after")
    def _robust_has_effect(self) -> Self:
        if self.smoothing == "robust" and self.label_smoothing == 0:
            raise ValueError(
                'smoothing = "robust" has no effect with label_smoothing = 0: say how many are wrong'
            )
        return self

    @model_validator(mode="after")
    def _alpha_belongs_to_its_divergence(self) -> Self:
        if self.divergence == "alpha_divergence" and self.divergence_alpha is None:
            raise ValueError('divergence = "alpha_divergence" needs divergence_alpha, between 0 and 1')
        if self.divergence != "alpha_divergence" and self.divergence_alpha is not None:
            raise ValueError(
                f'divergence_alpha has no effect with divergence = "{self.divergence}": '
                'it belongs to "alpha_divergence"'
            )
        return self

    @model_validator(mode="after")
    def _length_is_taken_out_once(self) -> Self:
        if self.logps == "mean" and self.ld_alpha is not None:
            raise ValueError('logps = "mean" and ld_alpha are two ways to take length out: choose one')
        if self.logps == "mean" and self.divergence != "reverse_kl":
            raise ValueError(
                f'divergence = "{self.divergence}" is defined on whole completions: '
                'it does not go with logps = "mean"'
            )
        return self


class IPO(PairObjective):
    """Identity preference optimisation."""

    takes_margin = True
    paper = "Azar et al. 2023, arXiv:2310.12036, equation 17"
    loss = "palate.objectives.ipo:ipo_loss"

    type: Literal["ipo"] = "ipo"
    beta: Positive = 0.1
    """The paper's tau: the margin of log-ratios is pulled towards 1 / (2 beta)."""
    logps: Literal["sum", "mean"] = "sum"
    """`sum`: log-ratios of whole completions, as the paper writes them. `mean`: per token, as trl does."""


class Hinge(PairObjective):
    """Sequence likelihood calibration: push until the margin is reached, then stop."""

    takes_margin = True
    paper = (
        "Zhao et al. 2023 (SLiC-HF), arXiv:2305.10425; with a reference: Liu et al. 2023, arXiv:2309.06657"
    )
    loss = "palate.objectives.hinge:hinge_loss"

    type: Literal["hinge"] = "hinge"
    beta: Positive = 0.1
    """A pair is left alone once its margin of log-ratios reaches 1 / beta."""


class DPOP(PairObjective):
    """DPO-Positive: DPO that does not let the chosen side fall below the reference."""

    takes_margin = True
    paper = "Pal et al. 2024 (Smaug), arXiv:2402.13228"
    loss = "palate.objectives.dpop:dpop_loss"

    type: Literal["dpop"] = "dpop"
    penalty: Positive = 50.0
    """The paper's lambda: what each nat costs by which the chosen side falls below the reference."""


class RPO(PairObjective):
    """DPO together with the likelihood of the chosen side."""

    takes_margin = True
    paper = "Pang et al. 2024 (iterative reasoning preference optimisation), arXiv:2404.19733"
    loss = "palate.objectives.rpo:rpo_loss"

    type: Literal["rpo"] = "rpo"
    nll_weight: Positive = 1.0
    """What the chosen side's negative log-likelihood per token counts beside the DPO loss."""


class EXO(PairObjective):
    """Efficient exact optimisation, for pairs."""

    paper = "Ji et al. 2024, arXiv:2402.00856, equation 16"
    loss = "palate.objectives.exo:exo_loss"

    type: Literal["exo"] = "exo"
    label_smoothing: Annotated[float, Field(gt=0, lt=0.5)] = 1e-3
    """The target: chosen is better with probability 1 - label_smoothing."""


class NCA(PairObjective):
    """Noise contrastive alignment, for pairs."""

    paper = "Chen et al. 2024, arXiv:2402.05369"
    loss = "palate.objectives.nca:nca_loss"

    type: Literal["nca"] = "nca"


class BCOPair(PairObjective):
    """Binary classifier optimisation on both sides of a pair."""

    needs_reward_shift = True
    paper = "Jung et al. 2024, arXiv:2404.04656"
    loss = "palate.objectives.bco_pair:bco_pair_loss"

    type: Literal["bco_pair"] = "bco_pair"


class SPPOHard(PairObjective):
    """Self-play preference optimisation where the chosen side wins for certain."""

    paper = "Wu et al. 2024, arXiv:2405.00675, equation 4.7"
    loss = "palate.objectives.sppo_hard:sppo_hard_loss"

    type: Literal["sppo_hard"] = "sppo_hard"
    beta: Positive = 0.1
    """1 / eta: the log-ratios are pulled towards 1 / (2 beta) and -1 / (2 beta)."""


class AOT(Objective):
    """Alignment by optimal transport of the margins: their distribution counts, not each pair."""

    data = "pairs"
    couples_batch = True
    paper = "Melnyk et al. 2024, arXiv:2406.05882"
    loss = "palate.objectives.aot:aot_loss"

    type: Literal["aot"] = "aot"
    beta: Positive = 0.1
    """How strongly the policy is held to the reference; larger holds it closer."""
    label_smoothing: Smoothing = 0.0
    """As in conservative DPO, on the sorted margins."""

    @property
    def reward_scale(self) -> float:
        return self.beta


class AOTUnpaired(Objective):
    """Alignment by optimal transport of chosen against rejected rewards, whichever pair they are of."""

    data = "pairs"
    couples_batch = True
    paper = "Melnyk et al. 2024, arXiv:2406.05882"
    loss = "palate.objectives.aot:aot_unpaired_loss"

    type: Literal["aot_unpaired"] = "aot_unpaired"
    beta: Positive = 0.1
    """How strongly the policy is held to the reference; larger holds it closer."""
    label_smoothing: Smoothing = 0.0
    """As in conservative DPO, on the sorted rewards."""

    @property
    def reward_scale(self) -> float:
        return self.beta


class APOZero(PairObjective):
    """Anchored preference optimisation where chosen is better than what the model writes: raise it."""

    paper = "D'Oosterlinck et al. 2024, arXiv:2408.06266, equation 7"
    loss = "palate.objectives.apo:apo_zero_loss"

    type: Literal["apo_zero"] = "apo_zero"


class APODown(PairObjective):
    """Anchored preference optimisation where chosen is worse than what the model writes: lower both."""

    paper = "D'Oosterlinck et al. 2024, arXiv:2408.06266, equation 8"
    loss = "palate.objectives.apo:apo_down_loss"

    type: Literal["apo_down"] = "apo_down"


class DiscoPOP(PairObjective):
    """Discovered preference optimisation: a mixture of logistic and exponential loss, found by search."""

    paper = "Lu et al. 2024, arXiv:2406.08414, equation 5"
    loss = "palate.objectives.discopop:discopop_loss"

    type: Literal["discopop"] = "discopop"
    tau: Annotated[float, Field(gt=0, le=1)] = 0.05
    """How sharply the one loss gives way to the other around a margin of nothing."""


class SimPO(PairObjective):
    """Simple preference optimisation: log-probabilities per token, no reference, a margin to reach."""

    needs_reference = False
    takes_margin = True
    paper = "Meng et al. 2024, arXiv:2405.14734, equation 6"
    loss = "palate.objectives.simpo:simpo_loss"

    type: Literal["simpo"] = "simpo"
    beta: Positive = 2.0
    """What a log-probability per token is multiplied by."""
    gamma: Annotated[float, Field(ge=0)] = 1.0
    """By how much the chosen side's reward should exceed the rejected side's."""


class CPO(PairObjective):
    """Contrastive preference optimisation: no reference, but the likelihood of the chosen side."""

    needs_reference = False
    takes_margin = True
    paper = "Xu et al. 2024, arXiv:2401.08417"
    loss = "palate.objectives.cpo:cpo_loss"

    type: Literal["cpo"] = "cpo"
    beta: Positive = 0.1
    """What a log-probability is multiplied by."""
    nll_weight: Annotated[float, Field(ge=0)] = 1.0
    """What the chosen side's negative log-likelihood per token counts."""


class ORPO(PairObjective):
    """Odds-ratio preference optimisation: supervised fine-tuning that also tells the sides apart."""

    needs_reference = False
    paper = "Hong et al. 2024, arXiv:2403.07691, equations 6 and 7"
    loss = "palate.objectives.orpo:orpo_loss"

    type: Literal["orpo"] = "orpo"
    beta: Positive = 0.1
    """The paper's lambda: what the odds ratio counts beside the likelihood of the chosen side."""


class SFT(Objective):
    """Supervised fine-tuning on the chosen completion alone."""

    data = "pairs"
    needs_reference = False
    needs_rejected = False
    normalise_by = "tokens"
    paper = "maximum likelihood on completion tokens"
    loss = "palate.objectives.sft:sft_loss"

    type: Literal["sft"] = "sft"


_TERMS: tuple[type[Objective], ...] = (
    DPO,
    IPO,
    Hinge,
    DPOP,
    RPO,
    EXO,
    NCA,
    BCOPair,
    SPPOHard,
    AOT,
    AOTUnpaired,
    APOZero,
    APODown,
    DiscoPOP,
    SimPO,
    CPO,
    ORPO,
    SFT,
)

_TERM_NAMES: tuple[str, ...] = tuple(kind.model_fields["type"].default for kind in _TERMS)

if TYPE_CHECKING:
    _TermOptions = Objective
else:
    _TermOptions = Annotated[Union[_TERMS], Field(discriminator="type")]  # noqa: UP007


class MPOTerm(Section):
    """One objective of a mixture, and what it counts."""

    weight: Positive = 1.0
    """What its loss is multiplied by."""
    objective: _TermOptions
    """Any objective on pairs but `mpo`, with its options."""

    @model_validator(mode="before")
    @classmethod
    def _can_be_a_term(cls, values: Any) -> Any:
        # Said here, because the names that are right here are fewer than those a recipe knows.
        objective = values.get("objective") if isinstance(values, dict) else None
        name = objective.get("type") if isinstance(objective, dict) else None
        if name is not None and name not in _TERM_NAMES:
            raise ValueError(
                f'objective.type = "{name}": not an objective a mixture can have.'
                f"{did_you_mean(str(name), _TERM_NAMES)} All of them: {', '.join(_TERM_NAMES)}"
            )
        return values


# Data, not sections: so the default is shown and read as a recipe would write it.
_PUBLISHED_MIXTURE: Any = [
    {"weight": 0.8, "objective": {"type": "dpo"}},
    {"weight": 0.2, "objective": {"type": "bco_pair"}},
    {"weight": 1.0, "objective": {"type": "sft"}},
]


class MPO(Objective):
    """Mixed preference optimisation: a weighted sum of other objectives on the same pairs."""

    data = "pairs"
    paper = "Wang et al. 2024, arXiv:2411.10442"
    loss = "palate.objectives.mpo:mpo_loss"

    type: Literal["mpo"] = "mpo"
    terms: Annotated[tuple[MPOTerm, ...], Field(min_length=2)] = _PUBLISHED_MIXTURE
    """Two objectives or more, each a mapping of `weight` (1 where absent) and `objective`."""

    @property
    def needs_reference(self) -> bool:  # type: ignore[override]
        return any(term.objective.needs_reference for term in self.terms)

    @property
    def needs_rejected(self) -> bool:  # type: ignore[override]
        return any(term.objective.needs_rejected for term in self.terms)

    @property
    def takes_margin(self) -> bool:  # type: ignore[override]
        return any(term.objective.takes_margin for term in self.terms)

    @property
    def couples_batch(self) -> bool:  # type: ignore[override]
        return any(term.objective.couples_batch for term in self.terms)

    @property
    def needs_reward_shift(self) -> bool:  # type: ignore[override]
        return any(term.objective.needs_reward_shift for term in self.terms)

    @property
    def needs_public_length(self) -> bool:  # type: ignore[override]
        return any(term.objective.needs_public_length for term in self.terms)

    @property
    def needs_collision(self) -> bool:
        return any(term.objective.needs_collision for term in self.terms)

    @property
    def reward_scale(self) -> float:
        """That of the first term with two sides; other terms' betas do not show in the metrics."""
        return next((t.objective.reward_scale for t in self.terms if t.objective.needs_rejected), 1.0)

    @model_validator(mode="after")
    def _terms_differ(self) -> Self:
        options = [term.objective for term in self.terms]
        if any(one in options[:i] for i, one in enumerate(options)):
            raise ValueError("two terms are the same objective with the same options: add up their weights")
        return self


PAIR_OBJECTIVES: tuple[type[Objective], ...] = (*_TERMS[:-1], MPO, SFT)
"""In the order in which they are listed."""
