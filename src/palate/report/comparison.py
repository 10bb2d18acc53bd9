"""What `evaluation/comparison.json` says, checked. A key that is absent was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from palate.report.checked import Interval, Measured, MeasuredInterval, Number, Piece

__all__ = [
    "AnswerFigures",
    "Benchmarks",
    "Comparison",
    "Drift",
    "FearFinding",
    "HeldOut",
    "JudgeCard",
    "Juror",
    "Message",
    "ModelAnswer",
    "ModelStyle",
    "PairAccuracy",
    "PairGain",
    "PairedWinRate",
    "Ranked",
    "Sample",
    "Style",
    "WinRate",
    "WorsePrompt",
]

Verdict = Literal["win", "loss", "tie"] | None


class Message(Piece):
    role: str
    content: str


class ModelAnswer(Piece):
    """`finished` is False when the answer ran into the length limit."""

    text: str
    score: Number = None
    finished: bool = True


class Sample(Piece):
    """What the models said to one prompt; `verdict` is the tuned model's, None where the judge gave none.

    Where there are several answers, `verdicts` has one for each. Where there are more than two models,
    `answers` and `verdicts_of` hold every model's by its name.
    """

    prompt: tuple[Message, ...]
    base: tuple[ModelAnswer, ...] = ()
    tuned: tuple[ModelAnswer, ...] = ()
    answers: Mapping[str, tuple[ModelAnswer, ...]] = {}
    verdict: Verdict = None
    verdicts: tuple[Verdict, ...] = ()
    verdicts_of: Mapping[str, tuple[Verdict, ...]] = {}


class WinRate(Piece):
    """As `palate.statistics.win_rates` counted it."""

    num_wins: int
    num_losses: int
    num_ties: int
    num_missing: int
    win_rate: Number
    interval_95: Interval
    sign_test_p: float
    num_more_to_settle: int | None


class Within(Piece):
    """How many more comparisons an interval of twice this half-width takes."""

    half_width: float
    num_more: int


class PairedWinRate(Piece):
    """How one model did against another, with what corrections leave of it."""

    of: str
    against: str
    num_wins: int = 0
    num_losses: int = 0
    num_ties: int = 0
    num_missing: int = 0
    win_rate: Number = None
    interval_95: MeasuredInterval = None
    bootstrap_interval_95: MeasuredInterval = None
    sign_test_p: Number = None
    num_more_to_settle: int | None = None
    within: Within | None = None
    length_controlled_win_rate: Number = None
    length_controlled_interval_95: MeasuredInterval = None
    agreement_corrected_win_rate: Number = None
    agreement_corrected_interval_95: MeasuredInterval = None
    warnings: tuple[str, ...] = ()


class AnswerFigures(Piece):
    mean_score: Number = None
    mean_length_characters: Number = None
    finished_share: Number = None
    distinct_share: Number = None


class HeldOut(Piece):
    """How often the tuned model's own reward prefers the chosen answer of a pair it never trained on."""

    num_pairs: int
    reward_accuracy: Number = None
    interval_95: Interval | None = None


class FearFinding(Piece):
    """One thing that a user fears, seen."""

    name: str
    model: str | None = None
    sentence: str
    severity: str = "info"


class WorsePrompt(Piece):
    """A prompt whose answer became worse."""

    prompt: str
    base: str = ""
    tuned: str = ""
    model: str | None = None
    why: str = ""


class DriftOnText(Piece):
    """KL per token from the baseline."""

    kl_per_token: Number = None
    interval_95: MeasuredInterval = None


class Drift(DriftOnText):
    """On the model's own answers, and on neutral text."""

    neutral_text: DriftOnText | None = None


class Perplexity(Measured):
    """On neutral text; how many times the baseline's it is, paired by text, tells the two apart."""

    ratio_to_base: Number = None
    ratio_interval_95: MeasuredInterval = None


class StyleDistance(Piece):
    value: Number = None
    noise_floor: Number = None
    noise_floor_95: Number = None
    permutation_p: Number = None
    num_units: int | None = None


class TellingWord(Piece):
    """A word that a model says more (positive) or less often than the target."""

    feature: str
    log_odds: Number = None
    z: Number = None
    count_first: Number = None
    count_second: Number = None


class ModelStyle(Piece):
    distances: Mapping[str, StyleDistance] = {}
    telling_words: tuple[TellingWord, ...] = ()


class Style(Piece):
    target: str | None = None
    models: Mapping[str, ModelStyle] = {}
    closer_p: Mapping[str, Number] | Number = None
    sentence: str = ""
    warnings: tuple[str, ...] = ()


class ModelAccuracy(Piece):
    """How often a model finds the chosen side likelier: per token, and as a whole."""

    accuracy: Measured = Measured()
    accuracy_of_sums: Measured = Measured()


class PairGain(Piece):
    """A model beside the base, on the same pairs."""

    num_gained: int = 0
    num_lost: int = 0
    difference: Number = None
    difference_interval_95: MeasuredInterval = None
    sign_test_p: Number = None
    reward_accuracy: Measured = Measured()

    @property
    def side(self) -> Literal["better", "worse", "open"]:
        """On which side of no difference the whole interval lies."""
        if self.difference_interval_95 is None:
            return "open"
        low, high = self.difference_interval_95
        return "better" if low > 0 else "worse" if high < 0 else "open"


class PairAccuracy(Piece):
    sentence: str = ""
    num_pairs: int = 0
    num_prompts: int = 0
    models: Mapping[str, ModelAccuracy] = {}
    against_base: Mapping[str, PairGain] = {}
    warnings: tuple[str, ...] = ()


class BenchmarkTask(Piece):
    task: str
    metric: str = ""
    base: Number = None
    tuned: Number = None
    difference: Number = None
    interval_95: MeasuredInterval = None
    num_samples: int | None = None


class Benchmarks(Piece):
    tasks: tuple[BenchmarkTask, ...] = ()
    sentence: str | None = None


class Canary(Piece):
    """`passed` is None where the judge gave no verdict, or was not asked."""

    name: str
    what: str = ""
    num_asked: int = 0
    num_failed: int = 0
    passed: bool | None = None
    why_not_asked: str | None = None


class JudgeFinding(Piece):
    name: str
    what: str = ""
    evidence: str = ""


class Juror(Piece):
    judge: str
    trusted: bool | None = None
    sentences: tuple[str, ...] = ()


class JudgeCard(Juror):
    """As far as a report tells of it."""

    withheld_because: str | None = None
    forced: bool = False
    canaries: Mapping[str, Canary] = {}
    findings: tuple[JudgeFinding, ...] = ()
    warnings: tuple[str, ...] = ()
    judges: tuple[Juror, ...] = ()


class Ranked(Piece):
    """A model's place among several: Bradley-Terry strength, in log-odds."""

    model: str
    strength: Number = None
    interval_95: MeasuredInterval = None


def _measured(value: Any) -> Any:
    """A figure alone counts as one without an interval; what is no figure was not measured."""
    if isinstance(value, Mapping):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"value": value if is_number else None}


FearFigures = Mapping[str, Annotated[Measured, BeforeValidator(_measured)]]


class Comparison(Piece):
    """`models` names all of them, the baseline first; absent in files that compare two."""

    base: str
    tuned: str
    models: tuple[str, ...] = ()
    judge: str | None = None
    judge_kind: str | None = None
    judge_card: JudgeCard | None = None
    temperature: Number = None
    num_prompts: int | None = None
    samples: tuple[Sample, ...] = ()
    win_rate: WinRate | None = None
    win_rates: tuple[PairedWinRate, ...] = ()
    ranking: tuple[Ranked, ...] | None = None
    ranking_notes: tuple[str, ...] = ()
    figures: Mapping[str, AnswerFigures] = {}
    held_out: HeldOut | None = None
    fears: Mapping[str, FearFigures] = {}
    fear_findings: tuple[FearFinding, ...] = ()
    worse_prompts: tuple[WorsePrompt, ...] = ()
    drift: Mapping[str, Drift] | None = None
    perplexity: Mapping[str, Perplexity] | None = None
    style: Style | None = None
    benchmarks: Benchmarks | None = None
    pair_accuracy: PairAccuracy | None = None
    warnings: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every model, the baseline first."""
        return self.models or (self.base, self.tuned)

    def answers_of(self, sample: Sample, place: int) -> tuple[ModelAnswer, ...]:
        """What the model at `place` of `names` said to the sample's prompt."""
        name = self.names[place]
        if name in sample.answers:
            return sample.answers[name]
        return (sample.base, sample.tuned)[place] if place < 2 else ()
