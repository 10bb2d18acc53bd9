"""What is minimised: log-probabilities in, one loss per example out, and nothing else."""

from palate.objectives.apo_zero_unpaired import apo_zero_unpaired_loss
from palate.objectives.bco import bco_loss
from palate.objectives.bradley_terry import bradley_terry_loss
from palate.objectives.contract import LabelLogps, PairLogps, PairScores, RankingLogps, implicit_rewards
from palate.objectives.dpo import dpo_loss
from palate.objectives.ipo import ipo_loss
from palate.objectives.kto import kto_loss
from palate.objectives.plackett_luce import plackett_luce_loss
from palate.objectives.registry import objective_for
from palate.objectives.sft import sft_loss

__all__ = [
    "LabelLogps",
    "PairLogps",
    "PairScores",
    "RankingLogps",
    "apo_zero_unpaired_loss",
    "bco_loss",
    "bradley_terry_loss",
    "dpo_loss",
    "implicit_rewards",
    "ipo_loss",
    "kto_loss",
    "objective_for",
    "plackett_luce_loss",
    "sft_loss",
]
