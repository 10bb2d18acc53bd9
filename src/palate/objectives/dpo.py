"""Direct preference optimisation, and the forms of it that differ in one term."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairLogps, present
from palate.objectives.pair_terms import below_target
from palate.recipe.objective import DPO

__all__ = ["dpo_loss"]

_LARGEST_EXPONENT = 30.0


def dpo_loss(logps: PairLogps, options: DPO) -> Tensor:
    """-log sigmoid(logit), where the logit is beta times the margin of the log-ratios.

    Rafailov et al. 2023, "Direct Preference Optimization", arXiv:2305.18290, equation 7:

        logit = beta * (log pi(y_w|x)/pi_ref(y_w|x) - log pi(y_l|x)/pi_ref(y_l|x))
        loss = -log sigmoid(logit)

    Every other form changes one of these two lines.

    *Labels that are wrong with probability* `label_smoothing` = e. `conservative` (Mitchell 2023, "A note on
    DPO with noisy preferences & relationship to IPO") is the cross-entropy with a label that is right with
    probability 1 - e; its minimum lies at the finite logit log((1 - e) / e). `robust` (Chowdhury et al. 2024,
    arXiv:2403.00409) has the clean pairs' loss as its expectation, and no minimum:

        conservative   (1 - e) * loss(logit) + e * loss(-logit)
        robust         ((1 - e) * loss(logit) - e * loss(-logit)) / (1 - 2e)

    *Another distance to the reference* (`divergence`; Wang et al. 2023, arXiv:2309.16240). With
    u = pi/pi_ref, f'(u) takes the place of each log-ratio, constants having cancelled:

        reverse_kl     log u
        forward_kl     -1 / u
        js_divergence  log(2u / (1 + u))
        alpha          (1 - u ** -alpha) / alpha

    *Length.* `logps: mean` divides each log-ratio by the tokens of its completion. `ld_alpha` (Liu et al.
    2024, arXiv:2409.06411) raises to that power the probability of the tokens by which one side is longer
    than the other: log-ratio = public + ld_alpha * (all - public).

    *Target margins* of the data are subtracted from the logit (Amini et al. 2024, arXiv:2402.10571, ODPO), in
    the unit of the logit, under every form.

    Departures. The exponentials of `forward_kl` and `alpha_divergence` go on along their tangent beyond
    e ** 30, so that no gradient overflows. Elsewhere: trl takes `label_smoothing` with its standard loss and
    ignores it; its alpha is 1 minus this one, which is the paper's; LLaMA-Factory applies `ld_alpha` to the
    policy alone, trl as here to both, so that policy and reference agree at the first step.

    Args:
        logps: of B pairs, both sides, policy and reference; with `ld_alpha` also their public parts.
        options: beta in 1/nats; label_smoothing in [0, 0.5).

    Returns:
        [B] losses in nats, ln 2 each where policy and reference agree and no target margin is given.
    """
    logits = below_target(options.beta * _margins(logps, options), logps)
    wrong = options.label_smoothing
    if wrong == 0:
        return -logsigmoid(logits)
    if options.smoothing == "conservative":
        return -(1 - wrong) * logsigmoid(logits) - wrong * logsigmoid(-logits)
    return (-(1 - wrong) * logsigmoid(logits) + wrong * logsigmoid(-logits)) / (1 - 2 * wrong)


def _margins(logps: PairLogps, options: DPO) -> Tensor:
    if options.logps == "mean":
        return logps.mean_margin
    chosen, rejected = _log_ratios(logps, options)
    return _score(chosen, options) - _score(rejected, options)


def _log_ratios(logps: PairLogps, options: DPO) -> tuple[Tensor, Tensor]:
    chosen, rejected = logps.log_ratio_chosen, logps.log_ratio_rejected
    if options.ld_alpha is None:
        return chosen, rejected
    public_chosen = present(logps.chosen_public, "chosen_public") - present(
        logps.reference_chosen_public, "reference_chosen_public"
    )
    public_rejected = present(logps.rejected_public, "rejected_public") - present(
        logps.reference_rejected_public, "reference_rejected_public"
    )
    return (
        torch.lerp(public_chosen, chosen, options.ld_alpha),
        torch.lerp(public_rejected, rejected, options.ld_alpha),
    )


def _score(log_ratio: Tensor, options: DPO) -> Tensor:
    """f'(pi / pi_ref), less its value where they agree."""
    if options.divergence == "reverse_kl":
        return log_ratio
    if options.divergence == "js_divergence":
        return math.log(2) + logsigmoid(log_ratio)
    alpha = 1.0 if options.divergence_alpha is None else options.divergence_alpha
    return -_expm1(-alpha * log_ratio) / alpha


def _expm1(exponent: Tensor) -> Tensor:
    """e ** x - 1, along its tangent beyond the largest exponent: the gradient stays, and stays finite."""
    beyond = (exponent - _LARGEST_EXPONENT).clamp(min=0)
    inside = exponent.clamp(max=_LARGEST_EXPONENT)
    return torch.expm1(inside) + math.exp(_LARGEST_EXPONENT) * beyond
