"""The reward model's loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairScores
from palate.recipe.objective import BradleyTerry

__all__ = ["bradley_terry_loss"]


def bradley_terry_loss(scores: PairScores, options: BradleyTerry) -> Tensor:
    """-log sigmoid(r_c - r_r - m): the chosen score is to lead by more than the pair's margin.

    Bradley and Terry 1952 give the model, and Ouyang et al. 2022, arXiv:2203.02155, equation 1, the loss of a
    reward model under it; Touvron et al. 2023, "Llama 2", arXiv:2307.09288, equation 2, add the margin m,
    which is 0 where the data states none:

        loss = -log sigmoid(r_c - r_r - m)

    With `label_smoothing` e > 0 it is what this loss comes to on average when the label is wrong with
    probability e (without a margin: Wang et al. 2024, arXiv:2401.06080). A pair that is the wrong way round
    has its margin the other way round too:

        loss = -(1 - e) * log sigmoid(r_c - r_r - m) - e * log sigmoid(r_r - r_c - m)

    `center_coefficient` c adds c * (r_c + r_r)^2 (Eisenstein et al. 2023, arXiv:2312.09244): the differences
    are all that the data fixes, and this fixes the rest, so that scores of different prompts compare.

    Departures: each pair of a ranking counts as one example; Ouyang et al. weigh the pairs of a ranking of K
    together as one.

    Args:
        scores: of B pairs, both sides, without unit.
        options: label_smoothing in [0, 0.5); center_coefficient from 0.

    Returns:
        [B] losses in nats, ln 2 each where all scores are 0 and no margin is stated.
    """
    lead = scores.chosen - scores.rejected
    margin = 0.0 if scores.target_margin is None else scores.target_margin
    loss = -logsigmoid(lead - margin)
    if options.label_smoothing > 0:
        wrong = options.label_smoothing
        loss = (1 - wrong) * loss - wrong * logsigmoid(-lead - margin)
    if options.center_coefficient > 0:
        loss = loss + options.center_coefficient * (scores.chosen + scores.rejected) ** 2
    return loss
