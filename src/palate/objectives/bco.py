"""Binary classifier optimisation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import LabelLogps, present
from palate.recipe.objective import BCO

__all__ = ["bco_loss"]


def bco_loss(logps: LabelLogps, options: BCO) -> Tensor:
    """The cross-entropy of a classifier of labels whose logit is the implicit reward less a shift.

    Jung et al. 2024, "Binary Classifier Optimization for Large Language Model Alignment", arXiv:2404.04656,
    with r = beta * log pi(y|x)/pi_ref(y|x) and the reward shift delta:

        loss = -log sigmoid(r - delta)      where y is desirable
        loss = -log sigmoid(-(r - delta))   where it is not

    A desirable and an undesirable completion of one prompt together bound the DPO loss of that pair from
    above, and the shift makes the bound tight.

    Departures: delta is the mean reward over the steps before this one, 0 at the first. The paper's is half
    the sum of both sides' expected rewards, estimated as training goes; an estimate that takes in the current
    batch first makes a loss depend on the other examples of its batch. The paper's density-ratio weights,
    for desirable and undesirable completions from different prompts, are not here.

    Args:
        logps: of B labelled completions, policy and reference, with `reward_shift` in nats times beta.
        options: beta in 1/nats.

    Returns:
        [B] losses in nats, ln 2 each where policy and reference agree and the shift is 0.
    """
    logits = options.beta * logps.log_ratio - present(logps.reward_shift, "reward_shift")
    return -logsigmoid(torch.where(logps.desirable, logits, -logits))
