"""Judges: which of two answers is preferred, and the pairs that follow from it."""

from palate.judge.builtin import BUILT_IN_SCORERS
from palate.judge.pairing import JudgedPairs, PairCounts, pairs_from_scores
from palate.judge.scoring import Score, Scorer, judge_by_score, load_scorer, preferred_of, score_answer

__all__ = [
    "BUILT_IN_SCORERS",
    "JudgedPairs",
    "PairCounts",
    "Score",
    "Scorer",
    "judge_by_score",
    "load_scorer",
    "pairs_from_scores",
    "preferred_of",
    "score_answer",
]
