"""`report.html`: a run folder as one page that needs no network, no script and no second file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from palate.errors import ArtifactError, CallError
from palate.report import evidence, sections
from palate.report.cautions import MAX_CAUTIONS, SEVERITIES, cautions, findings_of, not_applicable
from palate.report.claim import claim_of
from palate.report.comparison import Comparison, JudgeCard
from palate.report.curves import Curve, curves
from palate.report.drawing import colour_of
from palate.report.evidence import Grid, Plotted
from palate.report.folder import Run, read_run
from palate.report.pair_accuracy import pair_accuracy
from palate.report.phrases import LANGUAGES, Language, Phrases, wording_of
from palate.report.plots import draw, smoothing_window
from palate.report.rendering import page_environment, page_policy, told
from palate.report.row_plots import draw_rows
from palate.report.samples import samples_of, shown
from palate.report.style_section import style_of
from palate.report.svg import StyleSheet

__all__ = ["build_report", "render_page"]

NUM_OPEN_SAMPLES = 12
"""Prompts shown at once; the others unfold."""
MAX_WORSE = 10
MAX_CANARIES = 60
MAX_MODELS = 40
"""Whose answers and figures are shown beside each other: the baseline and the first of the others."""


def build_report(run_folder: Path, *, language: Language | None = None) -> Path:
    """Writes the `report.html` of a run folder, whole or not at all, and returns its path.

    `language` is that of the report there is where absent, and English where there is none yet. The same
    folder gives the same bytes. Raises ArtifactError where the folder is no run folder, a piece of
    it is damaged, or the page cannot be written; CallError for a language that the report does not speak.
    """
    run_folder = Path(run_folder)
    target = run_folder / "report.html"
    language = language or _language_of(target)
    if language not in LANGUAGES:
        raise CallError(
            f'no report speaks "{language}"', where="language", next=f"one of: {', '.join(LANGUAGES)}"
        )
    page = render_page(read_run(run_folder), language=language)
    try:
        _write_whole(target, page)
    except OSError as error:
        raise ArtifactError(
            "the report cannot be written", where=str(target), why=error.strerror or str(error)
        ) from error
    return target


def _language_of(page: Path) -> Language:
    """What the report that is there is written in, so that a later stage does not change it."""
    try:
        with page.open(encoding="utf-8", errors="replace") as file:
            start = file.read(200)
    except OSError:
        return "en"
    tags = {wording_of(language)["language_tag"]: language for language in LANGUAGES}
    found = re.search(r'<html lang="([\w-]+)">', start)
    return tags.get(found.group(1), "en") if found else "en"


def render_page(run: Run, *, language: Language = "en") -> str:
    """The page of a run. Everything that the run says is escaped; only our own drawings and style are not."""
    say = Phrases(language)
    styles = StyleSheet()
    content = _content(run, styles, say)
    css = f"{(files('palate.report') / 'report.css').read_text(encoding='utf-8')}{styles.css}\n"
    template = page_environment().get_template("report.html")
    return template.render(css=Markup(css), policy=page_policy(css), **content)


def _content(run: Run, styles: StyleSheet, say: Phrases) -> dict[str, Any]:
    environment, packages = sections.environment(run.environment or {})
    num_steps = len(run.metrics.train) if run.metrics is not None else 0
    content = {
        "run": run,
        "say": say,
        "shown": lambda text: shown(text, say),
        "told": lambda text: told(text, say),
        "colour_of": colour_of,
        "severity_class": lambda name: name if name in SEVERITIES else "info",
        "claim": claim_of(run, say),
        "cautions": cautions(run, say),
        "num_cautions": MAX_CAUTIONS,
        "tiles": sections.tiles(run, say),
        "findings": findings_of(run, say),
        "not_applicable": not_applicable(run, say),
        "curves": [(curve, draw(curve, styles) if curve.drawn else None) for curve in _curves(run, say)],
        "smoothing": smoothing_window(num_steps),
        "data": sections.data_views(run, say),
        "speed": sections.speed(run, say),
        "recipe": sections.recipe_lines(run.recipe) if run.recipe is not None else [],
        "environment": environment,
        "packages": packages,
        "missing": sections.missing_pieces(run),
        "card": None,
    }
    if run.comparison is not None:
        content |= _compared(run.comparison, styles, say)
    return content | {"contents": _contents(content, say)}


def _compared(comparison: Comparison, styles: StyleSheet, say: Phrases) -> dict[str, Any]:
    if len(comparison.names) > MAX_MODELS:
        comparison = comparison.model_copy(update={"models": comparison.names[:MAX_MODELS]})
    rates = evidence.win_rates(comparison, say)
    style = style_of(comparison, say)
    figures = sections.answer_figures(comparison, say)
    return {
        "names": comparison.names,
        "rates": _drawn(rates, styles),
        "ranking": evidence.ranking(comparison, say),
        "samples": samples_of(comparison, say),
        "num_open": NUM_OPEN_SAMPLES,
        "answer_figures": Grid(("", comparison.base, comparison.tuned), tuple(figures)) if figures else None,
        "worse": comparison.worse_prompts[:MAX_WORSE],
        "lengths": _drawn(evidence.lengths(comparison, say), styles),
        "style": style
        and _with_drawing(style, draw_rows(style.distances.plot, styles) if style.distances else ""),
        "measures": evidence.measures(comparison, say),
        "pair_accuracy": _drawn(pair_accuracy(comparison, say), styles),
        "benchmarks": _drawn(evidence.benchmarks(comparison, say), styles),
        "card": comparison.judge_card,
        "canaries": _canaries(comparison.judge_card, say),
    }


def _drawn(plotted: Plotted | None, styles: StyleSheet) -> Mapping[str, Any] | None:
    return None if plotted is None else _with_drawing(plotted, draw_rows(plotted.plot, styles))


def _with_drawing(view: Any, drawing: Markup | str) -> Mapping[str, Any]:
    return {field.name: getattr(view, field.name) for field in fields(view)} | {"drawing": drawing}


def _canaries(card: JudgeCard | None, say: Phrases) -> Grid | None:
    if card is None or not card.canaries:
        return None
    said = {True: say("canary_passed"), False: say("canary_failed"), None: say("canary_unknown")}
    rows = []
    for canary in list(card.canaries.values())[:MAX_CANARIES]:
        not_asked = say.known(canary.why_not_asked or said[None])
        result = said[canary.passed] if canary.num_asked else not_asked
        wrong = f"{canary.num_failed} / {canary.num_asked}"
        rows.append((say.known(canary.name.replace("_", " ")), result, wrong))
    return Grid((say("canary"), say("canary_result"), say("canary_wrong")), tuple(rows))


def _contents(content: Mapping[str, Any], say: Phrases) -> list[tuple[str, str]]:
    """Id and title of each section that the page has, in their order."""
    run: Run = content["run"]
    comparison = run.comparison
    there = {
        "findings": run.findings is not None,
        "curves": run.is_training,
        "win-rates": content.get("rates") or (comparison is not None and comparison.warnings),
        "pairs": content.get("pair_accuracy"),
        "samples": comparison is not None,
        "worse": content.get("worse"),
        "lengths": content.get("lengths"),
        "style": content.get("style"),
        "measures": content.get("measures") or (comparison is not None and comparison.fear_findings),
        "benchmarks": content.get("benchmarks"),
        "data": content["data"],
        "audit": run.audit is not None,
        "judge": content["card"],
        "speed": content["speed"],
        "recipe": content["recipe"],
        "lineage": run.lineage is not None,
        "environment": run.environment is not None,
    }
    titles = {"win-rates": "rates_title", "samples": "samples_title" if run.is_training else "compared_title"}
    return [(name, say(titles.get(name, f"{name}_title"))) for name, is_there in there.items() if is_there]


def _curves(run: Run, say: Phrases) -> list[Curve]:
    if run.metrics is None:
        return []
    return curves(run.metrics, best_step=run.best_step, objective=run.objective, say=say)


def _write_whole(target: Path, text: str) -> None:
    temporary = target.with_name(f".report-{os.getpid()}.html")
    try:
        with temporary.open("wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
