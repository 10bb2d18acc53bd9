"""Prompts whose answers became worse, by name: where to look first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palate.evaluate.fears.measure import Flag, Flags
from palate.records import Answer, Messages, Verdict

__all__ = ["MAX_WORSE_PROMPTS", "worse_prompts"]

MAX_WORSE_PROMPTS = 20
"""Of each model."""

_BECAME: Mapping[Flag, str] = {
    "empty": "says nothing",
    "repeating": "goes round in circles",
    "unfinished": "runs into the length limit",
    "refusal": "declines",
    "cut_off": "ends inside a phrase",
}


def worse_prompts(
    prompts: Sequence[Messages],
    base: Sequence[Sequence[Answer]],
    tuned: Sequence[Sequence[Answer]],
    base_flags: Flags,
    tuned_flags: Flags,
    verdicts: Sequence[Sequence[Verdict | None]] | None = None,
) -> list[dict[str, Any]]:
    """The first `MAX_WORSE_PROMPTS`, the worst first: a fault the base's answer has not, then lost verdicts.

    One prompt is no evidence that a model became worse: the counts and their tests are. A pair of answers is
    shown of each prompt, the first that shows what is said of it.

    Args:
        prompts: what was asked.
        base: for each prompt the baseline's answers.
        tuned: the other model's.
        base_flags: what is wrong with the baseline's answers.
        tuned_flags: what is wrong with the other's.
        verdicts: for each prompt and answer the judge's, the baseline being `a`; None where nobody judged.
    """
    found: list[tuple[float, dict[str, Any]]] = []
    for place, prompt in enumerate(prompts):
        of_prompt = None if verdicts is None else verdicts[place]
        seen = _worst(len(base[place]), place, base_flags, tuned_flags, of_prompt)
        if seen is None:
            continue
        badness, sample, why = seen
        found.append(
            (
                -badness,
                {
                    "prompt": prompt[-1].content if prompt else "",
                    "base": base[place][sample].text,
                    "tuned": tuned[place][sample].text,
                    "model": tuned[place][sample].model,
                    "why": why,
                },
            )
        )
    found.sort(key=lambda item: item[0])  # stable: equally bad ones stay in the order of the prompts
    return [row for _, row in found[:MAX_WORSE_PROMPTS]]


def _worst(
    num_samples: int,
    place: int,
    base_flags: Flags,
    tuned_flags: Flags,
    verdicts: Sequence[Verdict | None] | None,
) -> tuple[float, int, str] | None:
    """How bad, in which of its answers, and why; None where nothing is worse."""
    reasons: list[str] = []
    first = num_samples
    for flag, said in _BECAME.items():
        new = [
            sample
            for sample, is_so in enumerate(tuned_flags[flag][place])
            if is_so and not any(base_flags[flag][place])
        ]
        if new:
            reasons.append(f"{said}{_times(len(new), num_samples)}, where the base does not")
            first = min(first, new[0])
    num_faults = len(reasons)
    lost, num_judged = _lost(verdicts)
    if lost:
        told = verdicts[lost[0]] if verdicts is not None else None
        because = f" ({told.reason})" if told is not None and told.reason else ""
        reasons.append(f"the judge prefers the base's answer{_times(len(lost), num_judged)}{because}")
        first = lost[0] if not num_faults else first
    if not reasons:
        return None
    return num_faults + len(lost) / (num_samples + 1), first, "; ".join(reasons)


def _lost(verdicts: Sequence[Verdict | None] | None) -> tuple[list[int], int]:
    """The answers that lost, where more were lost than won; and how many were judged at all."""
    if verdicts is None:
        return [], 0
    preferred = [verdict.preferred if verdict is not None else None for verdict in verdicts]
    num_judged = len(preferred) - preferred.count(None)
    lost = [sample for sample, side in enumerate(preferred) if side == "a"]
    return (lost, num_judged) if len(lost) > preferred.count("b") else ([], num_judged)


def _times(num: int, of: int) -> str:
    return "" if of == 1 else f" {num} of {of} times"
