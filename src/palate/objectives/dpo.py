"""Direct preference optimisation, also in its conservative form."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairLogps
from palate.recipe.objective import DPO

__all__ = ["dpo_loss"]


def dpo_loss(logps: PairLogps, options: DPO) -> Tensor:
    """-log sigmoid(beta * margin), the margin being that of the log-ratios of whole completions.

    Rafailov et al. 2023, "Direct Preference Optimization", arXiv:2305.18290, equation 7:

        loss = -log sigmoid(beta * (log pi(y_w|x)/pi_ref(y_w|x) - log pi(y_l|x)/pi_ref(y_l|x)))

    With `label_smoothing` e > 0 it is conservative DPO (Mitchell 2023, "A note on DPO with noisy preferences
    & relationship to IPO"), the cross-entropy with a label that is right with probability 1 - e:

        loss = -(1 - e) * log sigmoid(beta * margin) - e * log sigmoid(-beta * margin)

    Its minimum lies at the finite margin log((1 - e) / e) / beta, so the policy is not pushed for ever.

    Departures: none from either text. trl takes the same option and ignores it for this loss.

    Args:
        logps: of B pairs, both sides, policy and reference.
        options: beta in 1/nats; label_smoothing in [0, 0.5).

    Returns:
        [B] losses in nats, ln 2 each where policy and reference agree.
    """
    logits = options.beta * logps.margin
    if options.label_smoothing == 0:
        return -logsigmoid(logits)
    right = 1 - options.label_smoothing
    return -right * logsigmoid(logits) - options.label_smoothing * logsigmoid(-logits)
