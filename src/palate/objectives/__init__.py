"""What is minimised: log-probabilities in, one loss per example out, and nothing else."""

from palate.objectives.contract import LabelLogps, PairLogps, PairScores, RankingLogps, implicit_rewards
from palate.objectives.dpo import dpo_loss
from palate.objectives.ipo import ipo_loss
from palate.objectives.registry import objective_for
from palate.objectives.sft import sft_loss

__all__ = [
    "LabelLogps",
    "PairLogps",
    "PairScores",
    "RankingLogps",
    "dpo_loss",
    "implicit_rewards",
    "ipo_loss",
    "objective_for",
    "sft_loss",
]
