"""Two models answer the same prompts: side by side, judged, and with an interval."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from palate.engine import Renderer, Sampling, generate, load_trained
from palate.evaluate.statistics import outcomes_of, wilson_interval, win_rate
from palate.judge import Scorer, judge_answers, load_scorer, score_answer
from palate.recipe import CompareOptions, ModelOptions
from palate.records import Answer, Messages, Verdict, content_id
from palate.watcher import Watcher

__all__ = ["Contestant", "compare_models", "held_out_accuracy"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model to be asked.

    `name` is what people read; `source` a Hub name, a model folder or an adapter's folder; `folder` where the
    base lies, for a name that neither the Hub nor the file system knows.
    """

    name: str
    source: str
    folder: Path | None = None


def compare_models(
    base: Contestant,
    tuned: Contestant,
    prompts: Sequence[Messages],
    options: CompareOptions,
    *,
    model: ModelOptions,
    template: str = "tokenizer",
    seed: int = 0,
    watcher: Watcher | None = None,
) -> dict[str, Any]:
    """Ask both, judge every pair of answers, and count.

    Of `model` the device, dtype and attention are used. Returns what `evaluation/comparison.json` holds.
    """
    watcher = watcher or Watcher()
    scorer = load_scorer(options.judge) if options.judge is not None else None
    asked = [prompt for prompt in prompts[: options.num_prompts] for _ in range(options.samples_per_prompt)]
    answers_base = _ask(base, asked, options, model, template, seed, watcher)
    answers_tuned = _ask(tuned, asked, options, model, template, seed, watcher)
    verdicts = (
        [
            judge_answers(scorer, options.judge or "", a.prompt, a.text, b.text)
            for a, b in zip(answers_base, answers_tuned, strict=True)
        ]
        if scorer is not None
        else None
    )
    counted = (
        win_rate(outcomes_of(verdicts, "b"), [content_id(a.prompt) for a in answers_base])
        if verdicts
        else None
    )
    return {
        "base": base.name,
        "tuned": tuned.name,
        "judge": options.judge,
        "temperature": options.temperature,
        "num_prompts": len(asked) // options.samples_per_prompt,
        "samples": _samples(answers_base, answers_tuned, scorer, verdicts, options.samples_per_prompt),
        "win_rate": asdict(counted) if counted is not None else None,
        "figures": {
            "base": _figures(answers_base, scorer),
            "tuned": _figures(answers_tuned, scorer),
        },
        "held_out": None,
    }


def held_out_accuracy(accuracy: float | None, num_pairs: int) -> dict[str, Any] | None:
    """How often the tuned model ranks held-out pairs as the data does, with its interval."""
    if accuracy is None or num_pairs == 0:
        return None
    # An exact tie counts as half right; the interval takes the nearest whole number of pairs.
    num_right = round(accuracy * num_pairs)
    interval = wilson_interval(num_right, num_pairs - num_right)
    return {"num_pairs": num_pairs, "reward_accuracy": accuracy, "interval_95": list(interval)}


def _ask(
    contestant: Contestant,
    prompts: Sequence[Messages],
    options: CompareOptions,
    model: ModelOptions,
    template: str,
    seed: int,
    watcher: Watcher,
) -> list[Answer]:
    """Load, ask, let go: only one of the two is in memory at a time."""
    policy = load_trained(contestant.source, model, folder=contestant.folder)
    renderer = Renderer(policy.tokenizer, template, policy.stop_ids())
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


def _samples(
    base: Sequence[Answer],
    tuned: Sequence[Answer],
    scorer: Scorer | None,
    verdicts: Sequence[Verdict] | None,
    per_prompt: int,
) -> list[dict[str, Any]]:
    """One entry a prompt; its verdict is there where each model answered once."""
    words = {"b": "win", "a": "loss", "tie": "tie", None: None}
    samples = []
    for start in range(0, len(base), per_prompt):
        group = slice(start, start + per_prompt)
        samples.append(
            {
                "prompt": [message.as_dict() for message in base[start].prompt],
                "base": [_answer(answer, scorer) for answer in base[group]],
                "tuned": [_answer(answer, scorer) for answer in tuned[group]],
                "verdict": words[verdicts[start].preferred] if verdicts and per_prompt == 1 else None,
            }
        )
    return samples


def _answer(answer: Answer, scorer: Scorer | None) -> dict[str, Any]:
    score = score_answer(scorer, answer.prompt, answer.text).value if scorer is not None else None
    return {"text": answer.text, "score": score, "finished": answer.finished}


def _figures(answers: Sequence[Answer], scorer: Scorer | None) -> dict[str, Any]:
    if not answers:
        return {}
    scores = [
        score.value
        for answer in answers
        if scorer is not None
        and (score := score_answer(scorer, answer.prompt, answer.text)).value is not None
    ]
    return {
        "mean_score": fmean(scores) if scores else None,
        "mean_length_characters": fmean(len(answer.text) for answer in answers),
        "finished_share": fmean(answer.finished for answer in answers),
        "distinct_share": len({answer.text for answer in answers}) / len(answers),
    }
