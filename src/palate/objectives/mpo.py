"""Mixed preference optimisation."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from palate.objectives.contract import PairLogps
from palate.objectives.registry import objective_for
from palate.recipe.objective import MPO, MPOTerm

__all__ = ["mpo_loss"]


def mpo_loss(logps: PairLogps, options: MPO) -> Tensor:
    """The weighted sum of the losses of other objectives on the same pairs.

    Wang et al. 2024, "Enhancing the Reasoning Ability of Multimodal Large Language Models via Mixed
    Preference Optimization", arXiv:2411.10442, with any terms. Theirs are preference, quality and generation:
    0.8 of `dpo`, 0.2 of `bco_pair` and 1 of `sft`, which are the default.

    A pair's target margin reaches every term that honours one, in each term's own reward unit.

    Departures: an `sft` term is averaged over each completion's own tokens, where trl averages over all
    tokens of a batch: the same where completions are of one length.

    Args:
        logps: of B pairs, with whatever any term needs; `reward_shift` in units of `options.reward_scale`.
        options: two terms or more.

    Returns:
        [B] losses.
    """
    losses = [term.weight * _term_loss(logps, term, options) for term in options.terms]
    return torch.stack(losses).sum(dim=0)


def _term_loss(logps: PairLogps, term: MPOTerm, options: MPO) -> Tensor:
    if logps.reward_shift is not None:
        # The loop knows one reward, the mixture's; a term's own differs from it by the ratio of the betas.
        ratio = term.objective.reward_scale / options.reward_scale
        logps = replace(logps, reward_shift=logps.reward_shift * ratio)
    losses = objective_for(term.objective)(logps)
    if term.objective.normalise_by == "tokens":
        return losses / logps.chosen_lengths.clamp(min=1)
    return losses
