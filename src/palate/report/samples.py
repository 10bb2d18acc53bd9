"""Answers side by side, in the order of the file: how many a page holds, and what is marked in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from palate.report.comparison import Comparison, ModelAnswer, Sample
from palate.report.difference import Effort, Span, mark_differences
from palate.report.phrases import Phrases
from palate.report.wording import visible

__all__ = ["AnswerView", "SampleView", "Samples", "samples_of", "shown"]

MAX_SAMPLES = 200
MAX_ANSWERS = 4
"""Of one model to one prompt."""
MAX_CHARACTERS = 6000
"""Of one answer."""
MAX_CHARACTERS_IN_ALL = 2_000_000
"""Of all answers on one page: a browser opens it at once, and mail takes it."""
MAX_WORK_IN_ALL = 20_000_000
"""To mark what differs in them: seconds. Answers behind that are shown unmarked."""


@dataclass(frozen=True, slots=True)
class AnswerView:
    """One model's answer in spans; `answer` is None where it gave fewer than others."""

    model: int
    answer: ModelAnswer | None
    spans: tuple[Span, ...]
    verdicts: tuple[tuple[str, str], ...] = ()
    """Of its model, where there are more than two: what the judge said of the prompt, at its first answer."""


@dataclass(frozen=True, slots=True)
class SampleView:
    """A prompt with rounds of answers, one of each model a round; `same` of a round says they are equal."""

    number: int
    sample: Sample
    rounds: tuple[tuple[AnswerView, ...], ...]
    num_left_out: int
    verdicts: tuple[tuple[str, str], ...]
    """What the judge said of the second of two models, in words with their kind: win, loss, tie or mixed."""

    def same(self, round_: tuple[AnswerView, ...]) -> bool:
        texts = [view.answer.text if view.answer is not None else None for view in round_]
        return len(set(texts)) == 1 and texts[0] is not None


@dataclass(frozen=True, slots=True)
class Samples:
    """The prompts on the page, and how many are in the file."""

    views: tuple[SampleView, ...]
    num_in_file: int


def samples_of(comparison: Comparison, say: Phrases) -> Samples:
    """The samples in the order of the file, never chosen, until the page is full."""
    views: list[SampleView] = []
    used = 0
    effort = Effort(MAX_WORK_IN_ALL)
    for place, sample in enumerate(comparison.samples[:MAX_SAMPLES], start=1):
        view = _view(comparison, sample, place, effort, say)
        used += sum(len(span.text) for round_ in view.rounds for one in round_ for span in one.spans)
        if views and used > MAX_CHARACTERS_IN_ALL:
            break
        views.append(view)
    return Samples(tuple(views), len(comparison.samples))


def shown(text: str, say: Phrases) -> str:
    """As much of a text as a page wants, and a word about the rest."""
    clean = visible(text)
    if len(clean) <= MAX_CHARACTERS:
        return clean
    return clean[:MAX_CHARACTERS] + say("text_cut", n=len(clean) - MAX_CHARACTERS)


def _view(comparison: Comparison, sample: Sample, number: int, effort: Effort, say: Phrases) -> SampleView:
    by_model = [comparison.answers_of(sample, place) for place in range(len(comparison.names))]
    num_rounds = max((len(own) for own in by_model), default=0)
    rounds = tuple(
        _round([own[index] if index < len(own) else None for own in by_model], effort, say)
        for index in range(min(num_rounds, MAX_ANSWERS) or 1)
    )
    num_left_out = max(0, num_rounds - MAX_ANSWERS)
    if not sample.verdicts_of:
        own = sample.verdicts or ((sample.verdict,) if sample.verdict is not None else ())
        return SampleView(number, sample, rounds, num_left_out, tuple(_in_words(own, "verdict", say)))
    first = tuple(
        replace(view, verdicts=tuple(_in_words(sample.verdicts_of.get(name, ()), "verdict_of", say)))
        for name, view in zip(comparison.names, rounds[0], strict=True)
    )
    return SampleView(number, sample, (first, *rounds[1:]), num_left_out, ())


def _in_words(verdicts: Sequence[str | None], wording: str, say: Phrases) -> list[tuple[str, str]]:
    given = [verdict for verdict in verdicts if verdict is not None]
    if not given:
        return []
    if len(verdicts) == 1:
        return [(say(f"{wording}_{given[0]}"), given[0])]
    wins, losses, ties = (given.count(kind) for kind in ("win", "loss", "tie"))
    kind = "win" if wins > losses else "loss" if losses > wins else "mixed"
    return [(say("verdict_counts", wins=wins, losses=losses, ties=ties), kind)]


def _round(answers: list[ModelAnswer | None], effort: Effort, say: Phrases) -> tuple[AnswerView, ...]:
    """The first is marked against the second where there are two; all others against the first."""
    texts = [shown(answer.text, say) if answer is not None else None for answer in answers]
    first = texts[0]
    spans: list[tuple[Span, ...]] = [() if text is None else (Span(text, False),) for text in texts]
    for model, text in enumerate(texts):
        if model and text is not None and first is not None:
            of_first, spans[model] = mark_differences(first, text, effort)
            spans[0] = of_first if len(texts) == 2 else spans[0]
    return tuple(
        AnswerView(model, answer, own) for model, (answer, own) in enumerate(zip(answers, spans, strict=True))
    )
