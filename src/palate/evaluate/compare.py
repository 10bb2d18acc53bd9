"""Two models answer the same prompts: side by side, judged, and with an interval."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from palate.engine import Renderer, Sampling, generate, load_trained
from palate.errors import DataError
from palate.judge import Score, Scorer, load_scorer, preferred_of, score_answer
from palate.recipe import CompareOptions, ModelOptions
from palate.records import Answer, Messages, content_id
from palate.statistics.win_rates import Outcome, win_rate
from palate.watcher import Watcher

__all__ = ["Contestant", "compare_models", "held_out_accuracy"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model to be asked.

    `name` is what people read; `source` a Hub name, a model folder or an adapter's folder; `folder` where the
    base lies, for a name that neither the Hub nor the file system knows; `template` what it is asked in.
    """

    name: str
    source: str
    folder: Path | None = None
    template: str = "tokenizer"


@dataclass(frozen=True, slots=True)
class _Judged:
    answer: Answer
    score: Score


def compare_models(
    base: Contestant,
    tuned: Contestant,
    prompts: Sequence[Messages],
    options: CompareOptions,
    *,
    model: ModelOptions,
    seed: int = 0,
    watcher: Watcher | None = None,
) -> dict[str, Any]:
    """Ask both, judge every pair of answers, and count.

    Of `model` the device, dtype and attention are used. Returns what `evaluation/comparison.json` holds.

    Raises:
        CallError: there are no prompts, or no such judge; said before any model is loaded.
    """
    if not prompts:
        raise DataError(
            "there are no prompts to compare on", where="compare", next="name a file: compare.prompts=FILE"
        )
    watcher = watcher or Watcher()
    scorer = load_scorer(options.judge) if options.judge is not None else None
    asked = [prompt for prompt in prompts[: options.num_prompts] for _ in range(options.samples_per_prompt)]
    answers_base = _judged(_ask(base, asked, options, model, seed, watcher), scorer)
    answers_tuned = _judged(_ask(tuned, asked, options, model, seed, watcher), scorer)
    outcomes = [_outcome(a, b) for a, b in zip(answers_base, answers_tuned, strict=True)]
    if scorer is not None:
        _say_what_is_missing([*answers_base, *answers_tuned], watcher)
    prompt_ids = [content_id(prompt) for prompt in asked]
    return {
        "base": base.name,
        "tuned": tuned.name,
        "judge": options.judge,
        "temperature": options.temperature,
        "options": options.model_dump(),
        "num_prompts": len(asked) // options.samples_per_prompt,
        "samples": _samples(answers_base, answers_tuned, outcomes, options.samples_per_prompt),
        "win_rate": asdict(win_rate(outcomes, prompt_ids)) if scorer is not None else None,
        "figures": {"base": _figures(answers_base), "tuned": _figures(answers_tuned)},
        "held_out": None,
    }


def held_out_accuracy(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """How often the tuned model ranks held-out pairs as the data does; None where there are none.

    `pairs` hold a `prompt` and a `reward_margin`. Pairs of one prompt are not independent witnesses: the
    interval is as wide as the number of prompts makes it. An exact tie counts as half right.
    """
    if not pairs:
        return None
    margins = [pair["reward_margin"] for pair in pairs]
    outcomes: list[Outcome] = ["win" if m > 0 else "loss" if m < 0 else "tie" for m in margins]
    counted = win_rate(outcomes, [pair["prompt"] for pair in pairs])
    return {
        "num_pairs": len(pairs),
        "num_prompts": len({pair["prompt"] for pair in pairs}),
        "reward_accuracy": counted.win_rate,
        "interval_95": list(counted.interval_95),
    }


def _ask(
    contestant: Contestant,
    prompts: Sequence[Messages],
    options: CompareOptions,
    model: ModelOptions,
    seed: int,
    watcher: Watcher,
) -> list[Answer]:
    """Load, ask, let go: only one of the two is in memory at a time."""
    policy = load_trained(contestant.source, model, folder=contestant.folder)
    renderer = Renderer(policy.tokenizer, contestant.template, policy.stop_ids())
    sampling = Sampling(options.max_new_tokens, options.temperature, options.top_p, seed)
    watcher.begin(f"answers of {contestant.name}", len(prompts))
    try:
        return generate(
            policy,
            renderer,
            prompts,
            sampling,
            name=contestant.name,
            on_batch=lambda done, total: watcher.advance(done),
        )
    finally:
        watcher.end()
        del policy, renderer
        gc.collect()


def _judged(answers: Sequence[Answer], scorer: Scorer | None) -> list[_Judged]:
    """Every answer scored once; without a scorer each score is missing."""
    unjudged = Score(None, "no judge")
    return [
        _Judged(answer, score_answer(scorer, answer.prompt, answer.text) if scorer is not None else unjudged)
        for answer in answers
    ]


def _say_what_is_missing(judged: Sequence[_Judged], watcher: Watcher) -> None:
    problems = [item.score.problem for item in judged if item.score.value is None]
    if problems:
        watcher.note(f"{len(problems)} of {len(judged)} answers have no score; the first: {problems[0]}")


def _outcome(base: _Judged, tuned: _Judged) -> Outcome:
    """For the tuned model."""
    outcomes: dict[str | None, Outcome] = {"a": "loss", "b": "win", "tie": "tie", None: None}
    return outcomes[preferred_of(base.score, tuned.score)[0]]


def _samples(
    base: Sequence[_Judged], tuned: Sequence[_Judged], outcomes: Sequence[Outcome], per_prompt: int
) -> list[dict[str, Any]]:
    """One entry a prompt; its verdict is there where each model answered once."""
    samples = []
    for start in range(0, len(base), per_prompt):
        group = slice(start, start + per_prompt)
        samples.append(
            {
                "prompt": [message.as_dict() for message in base[start].answer.prompt],
                "base": [_as_json(judged) for judged in base[group]],
                "tuned": [_as_json(judged) for judged in tuned[group]],
                "verdict": outcomes[start] if per_prompt == 1 else None,
            }
        )
    return samples


def _as_json(judged: _Judged) -> dict[str, Any]:
    return {"text": judged.answer.text, "score": judged.score.value, "finished": judged.answer.finished}


def _figures(judged: Sequence[_Judged]) -> dict[str, Any]:
    if not judged:
        return {}
    scores = [item.score.value for item in judged if item.score.value is not None]
    texts = [item.answer.text for item in judged]
    return {
        "mean_score": fmean(scores) if scores else None,
        "mean_length_characters": fmean(len(text) for text in texts),
        "finished_share": fmean(item.answer.finished for item in judged),
        "distinct_share": len(set(texts)) / len(texts),
    }
