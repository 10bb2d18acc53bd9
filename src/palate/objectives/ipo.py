"""Identity preference optimisation."""

from __future__ import annotations

from torch import Tensor

from palate.objectives.contract import PairLogps
from palate.objectives.pair_terms import below_target
from palate.recipe.objective import IPO

__all__ = ["ipo_loss"]


def ipo_loss(logps: PairLogps, options: IPO) -> Tensor:
    """The squared distance of the margin from 1 / (2 beta): a target to reach, not a direction to run in.

    Azar et al. 2023, "A General Theoretical Paradigm to Understand Learning from Human Preferences",
    arXiv:2310.12036, equation 17, whose tau is `beta` here:

        loss = (log pi(y_w)/pi_ref(y_w) - log pi(y_l)/pi_ref(y_l) - 1 / (2 tau)) ** 2

    A pair's target margin moves its target to (1/2 + target_margin) / beta: no paper's, but what shifting the
    reward margin by it, as for DPO, comes to.

    Departures: with `logps: sum` none. With `logps: mean` each log-ratio is first divided by the tokens of
    its completion, which the paper does not write; trl computes so, and reports that the authors did in
    their experiments. The two are different losses: a beta chosen for one is not a beta for the other.

    Args:
        logps: of B pairs, both sides, policy and reference.
        options: beta in 1/nats; `logps` for whole completions or per token.

    Returns:
        [B] losses, 1 / (2 beta) ** 2 each where policy and reference agree and no target margin is given.
    """
    margin = logps.margin if options.logps == "sum" else logps.mean_margin
    return ((below_target(options.beta * margin, logps) - 0.5) / options.beta) ** 2
