"""What a reader should know before the verdict is believed, and where on the page it is said in full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypedDict, cast

import yaml

from palate.evaluate.diagnosis.finding import say as fill
from palate.report.folder import Run, RunFinding
from palate.report.phrases import Phrases
from palate.report.wording import number

__all__ = [
    "MAX_CAUTIONS",
    "MAX_FINDINGS",
    "Caution",
    "FindingView",
    "cautions",
    "findings_of",
    "not_applicable",
]

SEVERITIES = ("error", "warning", "info")
MAX_FINDINGS = 100
MAX_EVIDENCE = 40
MAX_CAUTIONS = 5
"""What a page shows of them at its top; all stand below in full."""


@dataclass(frozen=True, slots=True)
class Caution:
    """`about` is what it is of, in the page's language; `text` may be another command's. `section` is the id
    of the section that says more."""

    text: str
    section: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding of the diagnosis as the page shows it; `suggestion` is a line for the recipe."""

    found: RunFinding
    name: str
    sentence: str
    severity: str
    sure: str
    meaning: str
    remedy: str
    suggestion: str
    evidence: tuple[tuple[str, str], ...]


def cautions(run: Run, say: Phrases) -> list[Caution]:
    """What is wrong with the run, its judge, or its answers, the gravest first."""
    words = rule_words(say)
    found = [
        Caution(_seen(one, words.get(one.rule, {})), "findings", _name(one, words.get(one.rule, {})))
        for one in _gravest_first(run)
        if _severity(one) != "info"
    ]
    compared = run.comparison
    if compared is not None:
        card = compared.judge_card
        if card is not None and not card.withheld_because:
            found += [
                Caution(one.what, "judge", say("caution_judge", name=say.known(one.name.replace("_", " "))))
                for one in card.findings
            ]
        found += [
            Caution(one.sentence, "measures") for one in compared.fear_findings if one.severity != "info"
        ]
    return found


def findings_of(run: Run, say: Phrases) -> list[FindingView]:
    """What the diagnosis found, errors first, and no more than a page shows."""
    return [_view(found, say) for found in _gravest_first(run)[:MAX_FINDINGS]]


def _gravest_first(run: Run) -> list[RunFinding]:
    found = run.findings.findings if run.findings is not None else ()
    return sorted(found, key=lambda one: SEVERITIES.index(_severity(one)))


def not_applicable(run: Run, say: Phrases) -> list[tuple[str, str]]:
    """Rules that could not be checked, by their names, and why in English."""
    if run.findings is None:
        return []
    words = rule_words(say)
    return [
        (words.get(rule, {}).get("name", rule.replace("_", " ")), why)
        for rule, why in run.findings.rules_not_applicable.items()
    ]


def _view(found: RunFinding, say: Phrases) -> FindingView:
    words = rule_words(say).get(found.rule, {})
    shown = list(found.evidence.items())[:MAX_EVIDENCE]
    suggestion = ""
    if found.recipe_key and found.recipe_value is not None:
        suggestion = f"{found.recipe_key}: {_typed(found.recipe_value)}"
    return FindingView(
        found,
        _name(found, words),
        _seen(found, words),
        _severity(found),
        say.named("sure", found.sure),
        words.get("meaning", found.meaning),
        words.get("remedy", found.remedy),
        suggestion,
        tuple((say.known(name.replace("_", " ")), _plain(value)) for name, value in shown),
    )


def _name(found: RunFinding, words: RuleWords) -> str:
    return words.get("name", found.rule.replace("_", " ").capitalize())


def _severity(found: RunFinding) -> str:
    return found.severity if found.severity in SEVERITIES else "info"


def _seen(found: RunFinding, words: RuleWords) -> str:
    """What was seen, its figures in their places; as the rule said it where one is not there."""
    sentence = words.get("sentences", {}).get(found.case)
    if sentence is None:
        return found.sentence
    try:
        return fill(sentence, found.evidence)
    except (KeyError, ValueError, TypeError):  # a file of another version, or edited
        return found.sentence


def _typed(value: Any) -> str:
    """A value as it is typed into a recipe."""
    return f"{value:g}" if isinstance(value, float) else _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}" if value >= 10_000 else str(value)
    return number(value) if isinstance(value, float) else "–" if value is None else str(value)


class RuleWords(TypedDict, total=False):
    """What a rule is called and says in another language than English, which rules speak themselves."""

    name: str
    sentences: Mapping[str, str]
    meaning: str
    remedy: str


def rule_words(say: Phrases) -> Mapping[str, RuleWords]:
    """By rule; nothing for English."""
    return {} if say.language == "en" else _translated()


@cache
def _translated() -> Mapping[str, RuleWords]:
    text = (files("palate.report") / "rules.zh.yaml").read_text(encoding="utf-8")
    return cast("dict[str, RuleWords]", yaml.safe_load(text))
