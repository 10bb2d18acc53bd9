"""What a reader should know before the verdict is believed, and where on the page it is said in full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, cast

import yaml

from palate.report.folder import Run, RunFinding
from palate.report.phrases import Phrases
from palate.report.wording import number

__all__ = ["Caution", "FindingView", "cautions", "findings_of"]

SEVERITIES = ("error", "warning", "info")
MAX_CAUTIONS = 5


@dataclass(frozen=True, slots=True)
class Caution:
    """`section` is the id of the section that says more. `foreign` says that the text is English anyway."""

    text: str
    section: str
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding of the diagnosis as the page shows it; `suggestion` is a line for the recipe."""

    found: RunFinding
    name: str
    severity: str
    sure: str
    meaning: str
    remedy: str
    suggestion: str
    evidence: tuple[tuple[str, str], ...]


def cautions(run: Run, say: Phrases) -> list[Caution]:
    """The gravest first, at most `MAX_CAUTIONS`: what is wrong with the run, its judge, or its answers."""
    found = [
        Caution(say("labelled", name=view.name, text=view.found.sentence), "findings", True)
        for view in findings_of(run, say)
        if view.severity != "info"
    ]
    compared = run.comparison
    if compared is not None:
        card = compared.judge_card
        if card is not None and not card.withheld_because:
            found += [
                Caution(say("caution_judge", name=one.name.replace("_", " "), what=one.what), "judge", True)
                for one in card.findings
            ]
        found += [
            Caution(one.sentence, "measures", True)
            for one in compared.fear_findings
            if one.severity != "info"
        ]
    return found[:MAX_CAUTIONS]


def findings_of(run: Run, say: Phrases) -> list[FindingView]:
    """What the diagnosis found, errors first."""
    if run.findings is None:
        return []
    views = [_view(found, say) for found in run.findings.findings]
    return sorted(views, key=lambda view: SEVERITIES.index(view.severity))


def _view(found: RunFinding, say: Phrases) -> FindingView:
    severity = found.severity if found.severity in SEVERITIES else "info"
    words = rule_words(say).get(found.rule, {})
    suggestion = ""
    if found.recipe_key and found.recipe_value is not None:
        suggestion = f"{found.recipe_key}: {_typed(found.recipe_value)}"
    return FindingView(
        found,
        words.get("name", found.rule.replace("_", " ").capitalize()),
        severity,
        say.named("sure", found.sure),
        words.get("meaning", found.meaning),
        words.get("remedy", found.remedy),
        suggestion,
        tuple((name.replace("_", " "), _plain(value)) for name, value in found.evidence.items()),
    )


def _typed(value: Any) -> str:
    """A value as it is typed into a recipe."""
    return f"{value:g}" if isinstance(value, float) else _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}" if value >= 10_000 else str(value)
    return number(value) if isinstance(value, float) else "–" if value is None else str(value)


def rule_words(say: Phrases) -> Mapping[str, Mapping[str, str]]:
    """By rule its name, meaning and remedy in another language than English, which rules speak."""
    return {} if say.language == "en" else _translated()


@cache
def _translated() -> Mapping[str, Mapping[str, str]]:
    text = (files("palate.report") / "rules.zh.yaml").read_text(encoding="utf-8")
    return cast("dict[str, dict[str, str]]", yaml.safe_load(text))
