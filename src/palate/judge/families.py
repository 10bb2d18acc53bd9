"""Families of models, by their names, and whether a judge prefers what its own family wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from palate.judge.bias import Excess, Rate, excess_of, rate_of
from palate.judge.sides import Label, names_of
from palate.records import Comparison, Verdict
from palate.statistics.win_rates import Outcome

__all__ = ["FAMILIES", "FamilyFigures", "families_of", "family_figures", "family_of"]

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "gpt": ("gpt", "chatgpt", "davinci", "o1", "o3", "o4"),
    "claude": ("claude",),
    "gemini": ("gemini", "gemma", "palm", "bard"),
    "llama": ("llama", "codellama", "tinyllama", "vicuna", "alpaca"),
    "qwen": ("qwen", "qwq", "qvq"),
    "mistral": ("mistral", "mixtral", "ministral", "codestral", "magistral", "zephyr"),
    "deepseek": ("deepseek",),
    "phi": ("phi",),
    "command": ("command", "aya"),
    "glm": ("glm", "chatglm"),
    "yi": ("yi",),
    "grok": ("grok",),
    "kimi": ("kimi", "moonlight"),
    "internlm": ("internlm",),
    "baichuan": ("baichuan",),
    "minimax": ("minimax", "abab"),
    "doubao": ("doubao",),
    "hunyuan": ("hunyuan",),
    "ernie": ("ernie",),
    "falcon": ("falcon",),
    "olmo": ("olmo", "tulu"),
    "granite": ("granite",),
    "nemotron": ("nemotron",),
    "smollm": ("smollm",),
    "pythia": ("pythia",),
    "bloom": ("bloom", "bloomz"),
}
"""Words that name a family, and the family. A model made of another's weights belongs to that family where
its name tells (`DeepSeek-R1-Distill-Qwen-7B` is named for both: the first word counts)."""

_BY_WORD = {word: family for family, words in FAMILIES.items() for word in words}
_WORDS = re.compile(r"[^\W\d_]+\d*")


def family_of(model: str) -> str:
    """The family a model's name tells.

    The last part of a path is looked at first, so that `Qwen/Qwen2.5-7B` and `accounts/x/models/qwen2.5`
    are `qwen`; then the rest, so that `my-run/checkpoint` under `meta-llama/` is `llama`. A name that says
    nothing is a family of its own: its first word, without digits.
    """
    name = model.casefold()
    parts = name.split("/")[::-1]
    words = [word for part in parts for word in _WORDS.findall(part)]
    for word in words:
        family = _BY_WORD.get(word) or _BY_WORD.get(word.rstrip("0123456789"))
        if family:
            return family
    return words[0].rstrip("0123456789") if words else name


def families_of(models: Sequence[str]) -> frozenset[str]:
    """The families of a judge: one, or those of a jury."""
    return frozenset(map(family_of, models))


@dataclass(frozen=True, slots=True)
class FamilyFigures:
    """What a judge makes of answers by its own family, against answers by others."""

    own_families: tuple[str, ...]
    preference: Rate
    """The own family's win rate against the others', by this judge: 1/2 is even. Ties are half."""
    excess: Excess | None
    """How much more often it leans to its own family than the votes, or the other jurors, do."""
    why_none: str = ""
    """Why there is nothing to tell a preference by."""


def family_figures(
    verdicts: Sequence[Verdict], models: Sequence[str], others: Mapping[str, Label], against: str
) -> FamilyFigures:
    """Over the comparisons in which one side, and one only, is by the judge's own family.

    Args:
        verdicts: the judge's.
        models: what it asks.
        others: what the votes, or the other jurors, say by the comparison's id.
        against: which of these they are.
    """
    own = families_of(models)

    def a_is_own(comparison: Comparison) -> bool | None:
        a, b = comparison.generators
        if a is None or b is None:
            return None
        a_own, b_own = family_of(a) in own, family_of(b) in own
        return a_own if a_own != b_own else None

    asked = [verdict for verdict in verdicts if a_is_own(verdict.comparison) is not None]
    outcomes: list[Outcome] = [
        verdict.preferred
        if verdict.preferred in (None, "tie")
        else "win"
        if (verdict.preferred == "a") == a_is_own(verdict.comparison)
        else "loss"
        for verdict in asked
    ]
    preference = rate_of(outcomes, [names_of(verdict.comparison).prompt_id for verdict in asked])
    return FamilyFigures(
        own_families=tuple(sorted(own)),
        preference=preference,
        excess=excess_of(asked, a_is_own, others, against),
        why_none="" if preference.num else _why_none(verdicts, models, num_asked=len(asked)),
    )


def _why_none(verdicts: Sequence[Verdict], models: Sequence[str], num_asked: int) -> str:
    if not models:
        return "this judge is no language model"
    if all(None in verdict.comparison.generators for verdict in verdicts):
        return "nobody knows which models wrote the answers"
    if not num_asked:
        return "no comparison is between the judge's own family and another"
    return "none of these comparisons has a verdict"
