"""What is minimised: log-probabilities in, one loss per example out, and nothing else."""

from palate.objectives.aot import aot_loss, aot_unpaired_loss
from palate.objectives.apo import apo_down_loss, apo_zero_loss
from palate.objectives.apo_zero_unpaired import apo_zero_unpaired_loss
from palate.objectives.bco import bco_loss
from palate.objectives.bco_pair import bco_pair_loss
from palate.objectives.bradley_terry import bradley_terry_loss
from palate.objectives.contract import LabelLogps, PairLogps, PairScores, RankingLogps, implicit_rewards
from palate.objectives.cpo import cpo_loss
from palate.objectives.discopop import discopop_loss
from palate.objectives.dpo import dpo_loss
from palate.objectives.dpop import dpop_loss
from palate.objectives.exo import exo_loss
from palate.objectives.hinge import hinge_loss
from palate.objectives.ipo import ipo_loss
from palate.objectives.kto import kto_loss
from palate.objectives.mpo import mpo_loss
from palate.objectives.nca import nca_loss
from palate.objectives.orpo import orpo_loss
from palate.objectives.plackett_luce import plackett_luce_loss
from palate.objectives.registry import objective_for
from palate.objectives.rpo import rpo_loss
from palate.objectives.sft import sft_loss
from palate.objectives.simpo import simpo_loss
from palate.objectives.sppo_hard import sppo_hard_loss
from palate.objectives.wpo import wpo_weights

__all__ = [
    "LabelLogps",
    "PairLogps",
    "PairScores",
    "RankingLogps",
    "aot_loss",
    "aot_unpaired_loss",
    "apo_down_loss",
    "apo_zero_loss",
    "apo_zero_unpaired_loss",
    "bco_loss",
    "bco_pair_loss",
    "bradley_terry_loss",
    "cpo_loss",
    "discopop_loss",
    "dpo_loss",
    "dpop_loss",
    "exo_loss",
    "hinge_loss",
    "implicit_rewards",
    "ipo_loss",
    "kto_loss",
    "mpo_loss",
    "nca_loss",
    "objective_for",
    "orpo_loss",
    "plackett_luce_loss",
    "rpo_loss",
    "sft_loss",
    "simpo_loss",
    "sppo_hard_loss",
    "wpo_weights",
]
