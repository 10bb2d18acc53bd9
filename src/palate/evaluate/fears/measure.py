"""What a user fears of a tuned model: answers that never end, go round, swell, fall silent or sound alike.

Every figure has an interval, and a change is a finding only where a paired test says so after all of a
model's tests are taken together (Bonferroni): nothing here is claimed from noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from palate.asking.refusals import declining_words
from palate.evaluate.fears.diversity import (
    DIVERSITY_MEASURES,
    Diversity,
    DiversityMeasure,
    compare_diversity,
)
from palate.evaluate.fears.loops import is_repeating
from palate.evaluate.fears.unfinished import unfinished_signs
from palate.evaluate.paired import Estimate, growth, mean, share, sign_test_of_prompts
from palate.records import Answer

__all__ = ["FearFinding", "Fears", "Flags", "flag_answers", "look_for_fears"]

Flag = Literal["unfinished", "cut_off", "repeating", "refusal", "empty"]
Flags = Mapping[Flag, tuple[tuple[bool, ...], ...]]
"""Of one model, for each prompt and each of its answers, whether it is so."""

_CHANCE = 0.05
_MANY_UNFINISHED = 0.2
_GROWN = 1.1
_SHRUNK = 0.9

_SAID_OF: Mapping[Flag, tuple[str, str]] = {
    "unfinished": (
        "runs into the length limit in {share} of its answers",
        "it may have forgotten how to stop, or max_new_tokens is too small for it",
    ),
    "cut_off": (
        "ends inside a phrase, a quote or a bracket in {share} of its answers",
        "it stops before it is done",
    ),
    "repeating": ("goes round in circles in {share} of its answers", "it repeats what it said"),
    "refusal": ("declines in {share} of its answers", "told by the wording, in English and Chinese"),
    "empty": ("says nothing in {share} of its answers", "an empty answer is hardly ever a good one"),
}


@dataclass(frozen=True, slots=True)
class FearFinding:
    """A change for the worse that is more than noise, or something that both models suffer from."""

    name: str
    model: str
    sentence: str
    severity: Literal["warning", "info"]
    evidence: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name,
            "model": self.model,
            "sentence": self.sentence,
            "severity": self.severity,
            "evidence": dict(self.evidence),
        }


@dataclass(frozen=True, slots=True)
class Fears:
    """What was looked at, and what was found."""

    models: Mapping[str, Mapping[str, Any]]
    """Of each model its figures, as `comparison.json` holds them: numbers, or a value with its interval."""
    findings: tuple[FearFinding, ...]


Answers = Sequence[Sequence[Answer]]
"""For each prompt the answers to it."""


def look_for_fears(answers: Mapping[str, Answers], flags: Mapping[str, Flags], *, seed: int = 0) -> Fears:
    """The figures of every model, and what changed for the worse from the first to each of the others.

    Args:
        answers: by the model's name, the baseline first; the prompts are the same, in the same order.
        flags: of the same, as `flag_answers` gives them.
        seed: of the draws behind diversity.
    """
    names = list(answers)
    texts = {
        name: [[answer.text for answer in own] for own in of_model] for name, of_model in answers.items()
    }
    diverse = compare_diversity(texts, seed=seed)
    lengths = {
        name: [[float(len(answer.text)) for answer in own] for own in of_model]
        for name, of_model in answers.items()
    }
    figures = {name: _figures(flags[name], lengths[name], diverse[name]) for name in names}
    findings = [finding for name in names for finding in _of_limit(name, flags[name])]
    base = names[0]
    for name in names[1:]:
        tests = _changes(name, base, flags, lengths, diverse)
        findings += [finding for finding in tests if finding.evidence["p"] <= _CHANCE / _NUM_TESTS]
    return Fears(figures, tuple(findings))


_NUM_TESTS = len(_SAID_OF) + 1 + len(DIVERSITY_MEASURES)
"""Shares, length and diversity: what each model is tested for."""


def flag_answers(answers: Mapping[str, Answers]) -> dict[str, Flags]:
    """What is wrong with each answer by itself.

    That an answer lacks a sentence's end shows only beside others: all models' texts are read together.
    """
    texts = [answer.text for of_model in answers.values() for own in of_model for answer in own]
    signs = iter(unfinished_signs(texts))
    found: dict[str, Flags] = {}
    for name, of_model in answers.items():
        shows = [[bool(next(signs)) for _ in own] for own in of_model]
        found[name] = {
            "unfinished": _each(of_model, lambda answer: not answer.finished),
            # An answer that ran into the limit is counted as that alone.
            "cut_off": tuple(
                tuple(sign and answer.finished for sign, answer in zip(of_prompt, own, strict=True))
                for of_prompt, own in zip(shows, of_model, strict=True)
            ),
            "repeating": _each(of_model, lambda answer: is_repeating(answer.text)),
            "refusal": _each(of_model, lambda answer: declining_words(answer.text) is not None),
            "empty": _each(of_model, lambda answer: not answer.text.strip()),
        }
    return found


def _each(answers: Answers, test: Callable[[Answer], bool]) -> tuple[tuple[bool, ...], ...]:
    return tuple(tuple(test(answer) for answer in own) for own in answers)


def _figures(
    flags: Flags, lengths: Sequence[Sequence[float]], diverse: Mapping[DiversityMeasure, Diversity]
) -> dict[str, Any]:
    shares = {f"{name}_share": share(flagged).as_dict() for name, flagged in flags.items()}
    all_lengths = [length for own in lengths for length in own]
    return {
        "num_answers": len(all_lengths),
        "num_prompts": len(lengths),
        **shares,
        "mean_length": mean(lengths).as_dict(),
        "median_length": median(all_lengths),
        **{name: Estimate(one.value, one.interval_95).as_dict() for name, one in diverse.items()},
    }


def _of_limit(name: str, flags: Flags) -> list[FearFinding]:
    """Where many answers are cut off, beginnings of answers are compared, whoever wrote them."""
    found = share(flags["unfinished"])
    if found.value < _MANY_UNFINISHED:
        return []
    sentence = (
        f"{found.value:.0%} of the answers of {name} were cut off at the length limit: what is compared is "
        "how they begin. A larger max_new_tokens lets them end."
    )
    return [FearFinding("length_limit", name, sentence, "info", {"share": found.value})]


def _changes(
    name: str,
    base: str,
    flags: Mapping[str, Flags],
    lengths: Mapping[str, Sequence[Sequence[float]]],
    diverse: Mapping[str, Mapping[DiversityMeasure, Diversity]],
) -> list[FearFinding]:
    """Everything that is worse than in the baseline, each with its p-value, be it noise or not."""
    found = [_of_share(flag, name, base, flags) for flag in _SAID_OF]
    found.append(_of_length(name, base, lengths))
    found.append(_less_varied(name, base, diverse))
    return [finding for finding in found if finding is not None]


def _of_share(flag: Flag, name: str, base: str, flags: Mapping[str, Flags]) -> FearFinding | None:
    own, other = share(flags[name][flag]), share(flags[base][flag])
    if own.value <= other.value:
        return None
    p = sign_test_of_prompts(flags[name][flag], flags[base][flag])
    does, means = _SAID_OF[flag]
    sentence = (
        f"{name} {does.format(share=f'{own.value:.0%}')}, {base} in {other.value:.0%} "
        f"({_said_p(p)}): {means}."
    )
    evidence = {
        "model": own.as_dict(),
        "base": other.as_dict(),
        "p": p,
        "num_prompts": len(flags[name][flag]),
    }
    return FearFinding(flag, name, sentence, "warning", evidence)


def _of_length(name: str, base: str, lengths: Mapping[str, Sequence[Sequence[float]]]) -> FearFinding | None:
    found = growth(lengths[name], lengths[base])
    if found is None or _SHRUNK < found.ratio < _GROWN:
        return None
    longer = found.ratio > 1
    change = f"{abs(found.ratio - 1):.0%} {'longer' if longer else 'shorter'}"
    low, high = found.interval_95 or (0.0, float("inf"))
    own, other = mean(lengths[name]).value, mean(lengths[base]).value
    sentence = (
        f"The answers of {name} are {change} than those of {base}: {own:,.0f} against {other:,.0f} "
        f"characters on average ({low:.2f} to {high:.2f} times as long, 95%; {_said_p(found.p)})."
    )
    if longer:
        sentence += " Judges often prefer length: look at the win rate at equal lengths."
    evidence = {
        "ratio": found.ratio,
        "interval_95": None if found.interval_95 is None else list(found.interval_95),
        "p": found.p,
        "num_prompts": len(lengths[name]),
    }
    return FearFinding(
        "longer" if longer else "shorter", name, sentence, "warning" if longer else "info", evidence
    )


def _less_varied(
    name: str, base: str, diverse: Mapping[str, Mapping[DiversityMeasure, Diversity]]
) -> FearFinding | None:
    """One finding, of whichever measures are beyond chance."""
    lost = []
    for measure in DIVERSITY_MEASURES:
        own, other = diverse[name][measure], diverse[base][measure]
        is_worse = own.value > other.value if measure == "self_bleu" else own.value < other.value
        if is_worse and own.permutation_p is not None and own.permutation_p <= _CHANCE / _NUM_TESTS:
            lost.append((measure, own, other, own.permutation_p))
    if not lost:
        return None
    figures = "; ".join(
        f"{_called(measure)} {own.value:.3f} against {other.value:.3f}, {_said_p(p)}"
        for measure, own, other, p in lost
    )
    sentence = (
        f"The answers of {name} are less varied than those of {base}, over equally long beginnings "
        f"({figures})."
    )
    evidence: dict[str, Any] = {
        measure: {"model": own.value, "base": other.value, "p": p} for measure, own, other, p in lost
    }
    evidence |= {"p": min(p for *_, p in lost), "num_prompts": lost[0][1].num_prompts}
    return FearFinding("less_varied", name, sentence, "warning", evidence)


def _called(measure: DiversityMeasure) -> str:
    return "self-BLEU" if measure == "self_bleu" else measure.replace("_", "-")


def _said_p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
