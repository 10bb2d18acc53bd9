"""Models answer the same prompts: side by side, judged, and with an interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from statistics import fmean
from typing import Any

from palate.asking import ResponseStore
from palate.errors import CallError, DataError
from palate.evaluate.contestants import Answered, Contestant, ask_contestants, named_apart
from palate.evaluate.fears.measure import Fears, Flags, flag_answers, look_for_fears
from palate.evaluate.fears.worse import worse_prompts
from palate.evaluate.judgements import Contest, Judgements, contests_of, rights_of
from palate.evaluate.pair_accuracy import HeldOutPairs
from palate.evaluate.standings import ranking, standing, verdict_on
from palate.evaluate.style import compare_style
from palate.evaluate.without_judge import Measuring
from palate.recipe import CompareOptions, ModelOptions
from palate.records import Answer, Message, Messages, Vote, content_id
from palate.statistics.sample_size import comparisons_for_interval
from palate.statistics.win_rates import Outcome, WinRate, win_rate
from palate.watcher import Watcher

__all__ = ["Contestant", "Judging", "compare_models", "held_out_accuracy"]

Judging = Callable[[Sequence[Contest]], Judgements]
"""Whoever says which of two answers is better. It is called when all models have answered and are let go."""

_MIN_PROMPTS_FOR_STYLE = 4


def compare_models(
    contestants: Sequence[Contestant],
    prompts: Sequence[Messages],
    options: CompareOptions,
    *,
    store: ResponseStore,
    model: ModelOptions | None = None,
    judging: Judging | None = None,
    votes: Sequence[Vote] = (),
    style_target: Sequence[str] | None = None,
    neutral_texts: Sequence[str] = (),
    pairs: HeldOutPairs | None = None,
    kept: Path | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    watcher: Watcher | None = None,
) -> dict[str, Any]:
    """Ask all, judge every two answers to a prompt, and count; as `evaluation/comparison.json` holds it.

    Args:
        contestants: two or more, the baseline first.
        prompts: of these the first `options.num_prompts`.
        options: how answers are drawn. Who judges, votes and style come as the arguments below.
        store: where answers are kept, and found again.
        model: its device, dtype, attention and quantization are used.
        judging: gives the verdicts; None leaves answers side by side.
        votes: people's, by which the judge is measured. Where people are the judge, none.
        style_target: documents in the style that is wanted.
        neutral_texts: texts that have nothing to do with the tuning, for perplexity; read where drift is.
        pairs: held-out pairs, whose own choices judge besides.
        kept: a file of what needs no judge, read where it was measured before; nothing is kept where absent.
        batch_size: answers written at once.
        seed: of sampling and of everything that is drawn at random.

    Raises:
        CallError: fewer than two models. DataError: there are no prompts, or too few to tell a style.
        ModelError: a model cannot be loaded, or answers nothing.
    """
    _check(contestants, prompts, options, style_target)
    watcher = watcher or Watcher()
    named = named_apart(contestants)
    model = model or ModelOptions()
    answered = ask_contestants(
        named,
        prompts,
        options,
        store=store,
        model=model,
        batch_size=batch_size,
        seed=seed,
        watcher=watcher,
    )
    contests = contests_of(answered)
    judgements = judging(contests) if judging is not None else None
    flags = flag_answers(answered.answers)
    fears = look_for_fears(answered.answers, flags, seed=seed)
    comparison = _described(answered, options, contests, judgements)
    comparison |= _counted(answered, contests, judgements, votes, options, seed)
    comparison |= _feared(answered, contests, judgements, fears, flags)
    comparison["warnings"] = _warnings(answered, judgements)
    comparison["style"] = None
    if style_target is not None:
        comparison["style"] = _style(answered, style_target, options, seed)
    measuring = Measuring(named, options, model, watcher, seed, kept)
    drifted = measuring.drift(answered.answers, neutral_texts)
    comparison["warnings"] += drifted.pop("warnings")
    comparison |= drifted
    comparison["pair_accuracy"] = accuracy = measuring.pair_accuracy(pairs)
    if judgements is None and accuracy is not None:
        nobody = "The answers stand side by side; nobody judged them."
        comparison["verdict"] = f"{accuracy['sentence']} {nobody}"
    comparison["benchmarks"] = measuring.benchmarks()
    return comparison


def _check(
    contestants: Sequence[Contestant],
    prompts: Sequence[Messages],
    options: CompareOptions,
    style_target: Sequence[str] | None,
) -> None:
    if len(contestants) < 2:
        raise CallError("one model cannot be compared", where="compare", next="name two or more")
    if not prompts:
        raise DataError(
            "there are no prompts to compare on", where="compare", next="name a file: compare.prompts=FILE"
        )
    num_prompts = min(len(prompts), options.num_prompts)
    if style_target is not None and num_prompts < _MIN_PROMPTS_FOR_STYLE:
        raise DataError(
            f"answers to {num_prompts} prompts say nothing of a style",
            where="compare.style",
            next=f"compare on {_MIN_PROMPTS_FOR_STYLE} prompts or more; on dozens to tell a small change",
        )


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


def _described(
    answered: Answered, options: CompareOptions, contests: Sequence[Contest], judgements: Judgements | None
) -> dict[str, Any]:
    """Who said what, and who judged."""
    names = answered.models
    scores = judgements.scores() if judgements is not None else {}
    shown = {
        name: [[_as_json(answer, scores) for answer in own] for own in of_model]
        for name, of_model in answered.answers.items()
    }
    return {
        "models": list(names),
        "base": names[0],
        "tuned": names[1],
        "judge": judgements.judge if judgements is not None else None,
        "judge_kind": judgements.kind if judgements is not None else None,
        "judge_card": judgements.card if judgements is not None else None,
        "temperature": options.temperature,
        "options": options.model_dump(),
        "num_prompts": len(answered.prompts),
        "samples": _samples(answered, shown, contests, judgements),
        "figures": {
            side: _figures(of_model, shown[name])
            for side, (name, of_model) in zip(("base", "tuned"), answered.answers.items(), strict=False)
        },
        "held_out": None,
        "set_aside": [
            {"prompt": one.prompt[-1].content, "model": one.model, "reason": one.reason}
            for one in answered.set_aside
        ],
    }


def _counted(
    answered: Answered,
    contests: Sequence[Contest],
    judgements: Judgements | None,
    votes: Sequence[Vote],
    options: CompareOptions,
    seed: int,
) -> dict[str, Any]:
    """Wins; none where nobody judged, or the judge is not to be believed."""
    base, tuned = answered.models[:2]
    if judgements is None or judgements.withheld_because:
        unjudged = "The answers stand side by side; nobody judged them."
        said = judgements.withheld_because if judgements is not None else unjudged
        return {"win_rates": [], "win_rate": None, "ranking": None, "ranking_notes": [], "verdict": said}
    rights = rights_of(judgements, votes) if votes else None
    by_pair: dict[tuple[str, str], list[Contest]] = {}
    for contest in contests:
        by_pair.setdefault((contest.of, contest.against), []).append(contest)
    rows = {pair: standing(own, answered, judgements, rights, seed=seed) for pair, own in by_pair.items()}
    figures = []
    for counted, row in rows.values():
        row["within"] = _within(counted.counts, options.within)
        figures.append(row)
    return {
        "win_rates": figures,
        "win_rate": asdict(rows[tuned, base][0].counts),
        **ranking(contests, judgements, seed=seed),
        "verdict": verdict_on(figures, base),
    }


def _within(counts: WinRate, half_width: float | None) -> dict[str, Any] | None:
    if half_width is None:
        return None
    return {"half_width": half_width, "num_more": comparisons_for_interval(counts, half_width)}


def _feared(
    answered: Answered,
    contests: Sequence[Contest],
    judgements: Judgements | None,
    fears: Fears,
    flags: Mapping[str, Flags],
) -> dict[str, Any]:
    base = answered.models[0]
    believed = judgements if judgements is not None and not judgements.withheld_because else None
    worse_of = []
    for name in answered.models[1:]:
        verdicts = None
        if believed is not None:
            own = [contest for contest in contests if (contest.of, contest.against) == (name, base)]
            size = len(answered.answers[name][0])
            told = [believed.of(contest.comparison) for contest in own]
            verdicts = [told[start : start + size] for start in range(0, len(told), size)]
        worse = worse_prompts(
            answered.prompts,
            answered.answers[base],
            answered.answers[name],
            flags[base],
            flags[name],
            verdicts,
        )
        worse_of.append(worse)
    return {
        "fears": dict(fears.models),
        "fear_findings": [finding.as_dict() for finding in fears.findings],
        # Each model's worst, then each one's second: whoever reads a few sees all models.
        "worse_prompts": [row for of_rank in zip_longest(*worse_of) for row in of_rank if row is not None],
    }


def _warnings(answered: Answered, judgements: Judgements | None) -> list[str]:
    said = []
    if answered.set_aside:
        first = answered.set_aside[0]
        num = len({one.prompt for one in answered.set_aside})
        prompts, them = ("prompt is", "it") if num == 1 else ("prompts are", "them")
        said.append(
            f"{num} {prompts} left out because a model could not answer {them}; the first: {first.model}: "
            f"{first.reason}"
        )
    if judgements is not None:
        missing = [verdict for verdict in judgements.verdicts if verdict.preferred is None]
        if missing:
            why = missing[0].reason
            said.append(
                f"{len(missing)} of {len(judgements.verdicts)} verdicts are missing"
                + (f"; the first: {why}" if why else "")
            )
        said += judgements.notes
        if judgements.card is not None:
            said += judgements.card["warnings"]
    return said


def _samples(
    answered: Answered,
    shown: Mapping[str, list[list[dict[str, Any]]]],
    contests: Sequence[Contest],
    judgements: Judgements | None,
) -> list[dict[str, Any]]:
    """One entry a prompt; its verdict is there where each model answered once."""
    base, tuned, *others = answered.models
    told: dict[tuple[str, int], list[Outcome]] = {}
    for contest in contests:
        if contest.against == base:
            outcome = _outcome(judgements, contest)
            told.setdefault((contest.of, contest.place), []).append(outcome)
    samples = []
    for place, prompt in enumerate(answered.prompts):
        outcomes = told[tuned, place]
        sample: dict[str, Any] = {
            "prompt": [message.as_dict() for message in prompt],
            "base": shown[base][place],
            "tuned": shown[tuned][place],
            "verdict": outcomes[0] if len(outcomes) == 1 else None,
        }
        if len(outcomes) > 1:
            sample["verdicts"] = outcomes
        if others:
            sample["answers"] = {name: of_model[place] for name, of_model in shown.items()}
            sample["verdicts_of"] = {name: told[name, place] for name in (tuned, *others)}
        samples.append(sample)
    return samples


def _outcome(judgements: Judgements | None, contest: Contest) -> Outcome:
    """For the model that is compared with the baseline."""
    verdict = judgements.of(contest.comparison) if judgements is not None else None
    outcomes: dict[str | None, Outcome] = {"a": "loss", "b": "win", "tie": "tie", None: None}
    return outcomes[verdict.preferred if verdict is not None else None]


def _as_json(answer: Answer, scores: Mapping[Any, float]) -> dict[str, Any]:
    key = (content_id(answer.prompt), (Message("assistant", answer.text),))
    return {"text": answer.text, "score": scores.get(key), "finished": answer.finished}


def _figures(
    answers: Sequence[Sequence[Answer]], shown: Sequence[Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    scores = [item["score"] for own in shown for item in own if item["score"] is not None]
    texts = [answer.text for own in answers for answer in own]
    return {
        "mean_score": fmean(scores) if scores else None,
        "mean_length_characters": fmean(len(text) for text in texts),
        "finished_share": fmean(answer.finished for own in answers for answer in own),
        "distinct_share": len(set(texts)) / len(texts),
    }


def _style(answered: Answered, target: Sequence[str], options: CompareOptions, seed: int) -> dict[str, Any]:
    texts = {name: [[a.text for a in own] for own in of] for name, of in answered.answers.items()}
    return {"target": options.style} | compare_style(texts, target, seed=seed).as_dict()
