"""How far models' answers are from a target corpus, which of them is closer, and whether that is chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from palate.errors import DataError
from palate.evaluate.style.copies import copies_of
from palate.evaluate.style.counting import MIN_PROMPTS, Counted, Texts, aligned, counted
from palate.evaluate.style.features import FAMILIES, words_of
from palate.evaluate.style.log_odds import Telling, telling_features
from palate.evaluate.style.permuting import (
    MEASURES,
    Closer,
    Distance,
    Draws,
    Measure,
    closer_of,
    distance_of,
    telling_noise,
)
from palate.evaluate.style.saying import in_words
from palate.evaluate.style.units import MIN_DOCUMENTS

__all__ = ["ModelStyle", "StyleComparison", "compare_style"]

_MAX_TELLING = 30


@dataclass(frozen=True, slots=True)
class ModelStyle:
    """Where one model stands."""

    distances: Mapping[Measure, Distance]
    """By the names in `MEASURES`; without those that cannot be measured."""
    telling_words: tuple[Telling, ...]
    """What it says more (positive) or less than the target, the most telling first: words with a |z| above
    `telling_noise_95`."""
    telling_noise_95: float
    """Of answers and target dealt at random, one in twenty has any word with a |z| above this."""
    closer: Mapping[Measure, Closer]
    """How much closer to the target it is than the first model; empty for the first itself."""


@dataclass(frozen=True, slots=True)
class StyleComparison:
    """Where models stand with respect to a target, and whether others are closer to it than the first."""

    models: Mapping[str, ModelStyle]
    num_prompts: int
    num_documents: int
    num_pieces: int
    sentence: str
    """Whether others are closer than the first, in words that say no more than the p-values allow."""
    warnings: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as `evaluation/comparison.json` holds it."""
        return asdict(self) | {"closer_p": dict(self.closer_p), "warnings": list(self.warnings)}

    @property
    def closer_p(self) -> Mapping[Measure, float]:
        """The p-values of the second of two models; empty for one model, or for more than two."""
        if len(self.models) != 2:
            return {}
        second = list(self.models.values())[1]
        return {measure: closer.p for measure, closer in second.closer.items()}


def compare_style(
    answers: Mapping[str, Sequence[Sequence[str]]],
    target: Sequence[str],
    *,
    seed: int = 0,
    num_permutations: int = 1000,
) -> StyleComparison:
    """Measure each model's answers against a target corpus.

    The unit of all draws is a prompt, and a document of the target with one piece of an answer's length:
    texts of one prompt or document are not independent. All are cut to the same lengths (see `aligned`).
    Of several answers to a prompt one is drawn for distances, floors and their p-values: their mean would be
    smoother than any piece, and nothing to compare with one (p <= 0.5 came up 32 times in 100 where nothing
    differed). Which model is closer is taken from all answers, telling words from all that they say.

    Args:
        answers: for each model the answers to each prompt; the prompts are the same, in the same order. The
            first model is the one that others are measured by.
        target: documents in the style that is wanted.
        seed: of pieces, draws and permutations. The same seed gives the same figures.
        num_permutations: the smallest p-value is 1 / (num_permutations + 1).

    Raises:
        DataError: fewer than 4 prompts or pieces, models with other numbers of prompts, or no text at all.
    """
    _check(answers, target)
    generator = np.random.default_rng(seed)
    texts = aligned(answers, target, generator)
    num_prompts = len(next(iter(texts.cut.values())))
    picks = np.random.default_rng([seed, 1]).random(num_prompts)
    counts = {family: counted(texts.cut, texts.pieces, family, picks) for family in FAMILIES}
    words = counted(texts.whole, texts.pieces, "words", picks)
    draws = Draws(num_prompts, len(texts.pieces), num_permutations, generator)
    models = {}
    for number, name in enumerate(answers):
        distances = {measure: distance_of(counts, measure, number, draws) for measure in MEASURES}
        closer = {measure: closer_of(counts, measure, number, 0, draws) for measure in MEASURES if number > 0}
        noise = telling_noise(words, number, draws)
        models[name] = ModelStyle(
            {measure: found for measure, found in distances.items() if found is not None},
            _telling(words, number, noise),
            noise,
            {measure: found for measure, found in closer.items() if found is not None},
        )
    num_documents = sum(bool(text.strip()) for text in target)
    warnings = (*_warnings(texts, num_prompts, num_documents, models), *copies_of(texts.whole, target))
    said = in_words(
        {name: (model.distances, model.closer) for name, model in models.items()},
        subjects_differ=texts.are_apart,
    )
    return StyleComparison(models, num_prompts, num_documents, len(texts.pieces), said, warnings)


def _telling(words: Counted, model: int, noise: float) -> tuple[Telling, ...]:
    own = np.asarray(words.models[model].sum(axis=0), dtype=np.float64)
    target = np.asarray(words.target.sum(axis=0), dtype=np.float64)
    found = telling_features(own, target, own + target, words.names)[:_MAX_TELLING]
    return tuple(telling for telling in found if abs(telling.z) > noise)


def _check(answers: Mapping[str, Sequence[Sequence[str]]], target: Sequence[str]) -> None:
    counts = {len(of_model) for of_model in answers.values()}
    if len(counts) != 1:
        raise DataError(
            f"the models answered {sorted(counts)} prompts: the same number is needed"
            if counts
            else "there are no answers",
            where="style",
        )
    if min(counts) < MIN_PROMPTS:
        raise DataError(
            f"answers to {min(counts)} prompts say nothing of a style: {MIN_PROMPTS} or more are needed",
            where="style",
        )
    if not any(any(True for _ in words_of(text)) for text in target):
        raise DataError("the target corpus holds no text", where="style", next="name files with text in them")


def _warnings(
    texts: Texts, num_prompts: int, num_documents: int, models: Mapping[str, ModelStyle]
) -> tuple[str, ...]:
    said = []
    if not texts.are_apart:
        said.append(
            f"The target has {num_documents} documents, fewer than {MIN_DOCUMENTS}: several pieces were cut "
            "from each. They are not independent, so p-values are too small, those of words and of delta by "
            "far: read them as no more than hints."
        )
    if texts.num_left_out:
        said.append(f"Style leaves out {texts.num_left_out} prompts to which a model said nothing.")
    missing = {m: [name for name, own in models.items() if m not in own.distances] for m in MEASURES}
    said += [
        f"{measure} is not measured for {', '.join(names)}: too little of it is in the texts, or it never "
        "varies."
        for measure, names in missing.items()
        if names
    ]
    if min(num_prompts, len(texts.pieces)) < 30:
        said.append(
            f"{num_prompts} prompts and {len(texts.pieces)} pieces are few: a small change of style cannot "
            "be told from noise."
        )
    return tuple(said)
