"""Direct preference optimisation on rankings."""

from __future__ import annotations

import torch
from torch import Tensor

from palate.objectives.contract import RankingLogps
from palate.recipe.objective import PlackettLuce

__all__ = ["plackett_luce_loss"]


def plackett_luce_loss(logps: RankingLogps, options: PlackettLuce) -> Tensor:
    """-log of the probability of the ranking, drawn best first without replacement in proportion to exp(r).

    Rafailov et al. 2023, "Direct Preference Optimization", arXiv:2305.18290, appendix A.3, equation 20, with
    r_k = beta * log pi(y_k|x)/pi_ref(y_k|x) of the completion at rank k:

        loss = -sum_k (r_k - log sum_{j >= k} exp(r_j))

    A ranking of two is a pair, and its loss is that of `dpo`. A ranking of one says nothing and costs
    nothing: it was the only thing to draw. Nor does one without any entry.

    Departures: none. The sum over ranks is not divided by their number, so a longer ranking weighs more.

    Args:
        logps: of B rankings of up to K completions, best first, policy and reference.
        options: beta in 1/nats.

    Returns:
        [B] losses in nats, ln(n!) where policy and reference agree on a ranking of n.
    """
    rewards_BK = options.beta * logps.log_ratio
    num_ranks = rewards_BK.shape[1]
    still_there_KK = torch.ones(num_ranks, num_ranks, dtype=torch.bool, device=rewards_BK.device).triu()
    # An absent completion competes with itself alone: its term is log exp(0) = 0, and so is its gradient.
    itself_KK = torch.eye(num_ranks, dtype=torch.bool, device=rewards_BK.device)
    competes_BKK = (still_there_KK & logps.present[:, None, :] & logps.present[:, :, None]) | itself_KK
    lead_BKK = rewards_BK[:, None, :] - rewards_BK[:, :, None]
    return lead_BKK.masked_fill(~competes_BKK, -torch.inf).logsumexp(dim=2).sum(dim=1)
