"""Judges: which of two answers is preferred, and the pairs that follow from it."""

from palate.judge.builtin import BUILT_IN_SCORERS
from palate.judge.canaries import CanaryResult, run_canaries
from palate.judge.card import JudgeCard, judge_card
from palate.judge.examples import choose_examples
from palate.judge.findings import Finding
from palate.judge.judging import Judge
from palate.judge.jury import Jury
from palate.judge.llm import LLMJudge
from palate.judge.pairing import JudgedPairs, PairCounts, pairs_from_scores
from palate.judge.programmatic import ScorerJudge
from palate.judge.rubric import BUILT_IN_RUBRICS, Rubric, load_rubric
from palate.judge.scoring import Score, Scorer, judge_by_score, load_scorer, preferred_of, score_answer
from palate.judge.specs import JudgeSpec, load_judges
from palate.judge.verdict_pairs import PairsFromVerdicts, pairs_from_verdicts

__all__ = [
    "BUILT_IN_RUBRICS",
    "BUILT_IN_SCORERS",
    "CanaryResult",
    "Finding",
    "Judge",
    "JudgeCard",
    "JudgeSpec",
    "JudgedPairs",
    "Jury",
    "LLMJudge",
    "PairCounts",
    "PairsFromVerdicts",
    "Rubric",
    "Score",
    "Scorer",
    "ScorerJudge",
    "choose_examples",
    "judge_by_score",
    "judge_card",
    "load_judges",
    "load_rubric",
    "load_scorer",
    "pairs_from_scores",
    "pairs_from_verdicts",
    "preferred_of",
    "run_canaries",
    "score_answer",
]
