"""`report.html`: a run folder as one page that needs no network, no script and no second file."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from palate.errors import ArtifactError
from palate.report import sections
from palate.report.claim import claim_of
from palate.report.curves import Curve, curves
from palate.report.folder import Run, read_run
from palate.report.plots import draw, smoothing_window
from palate.report.rendering import page_environment, page_policy
from palate.report.svg import StyleSheet

__all__ = ["build_report", "render_page"]

NUM_OPEN_SAMPLES = 12
"""Prompts shown at once; the others unfold."""


def build_report(run_folder: Path) -> Path:
    """Writes the `report.html` of a run folder, whole or not at all, and returns its path.

    The same folder gives the same bytes. Raises ArtifactError where the folder is no run folder, a piece of
    it is damaged, or the page cannot be written.
    """
    run_folder = Path(run_folder)
    page = render_page(read_run(run_folder))
    target = run_folder / "report.html"
    try:
        _write_whole(target, page)
    except OSError as error:
        raise ArtifactError(
            "the report cannot be written", where=str(target), why=error.strerror or str(error)
        ) from error
    return target


def render_page(run: Run) -> str:
    """The page of a run. Everything that the run says is escaped; only our own drawings and style are not."""
    rooms = files("palate.report")
    template = page_environment().from_string((rooms / "report.html").read_text(encoding="utf-8"))
    styles = StyleSheet()
    content = _content(run, styles)
    css = f"{(rooms / 'report.css').read_text(encoding='utf-8')}{styles.css}\n"
    return template.render(css=Markup(css), policy=page_policy(css), **content)


def _content(run: Run, styles: StyleSheet) -> dict[str, Any]:
    found = _curves(run)
    environment, packages = sections.environment(run.environment or {})
    samples = sections.sample_views(run.comparison) if run.comparison is not None else []
    num_steps = len(run.metrics.train) if run.metrics is not None else 0
    return {
        "run": run,
        "claim": claim_of(run),
        "tiles": sections.tiles(run),
        "samples": samples[:NUM_OPEN_SAMPLES],
        "more_samples": samples[NUM_OPEN_SAMPLES:],
        "answer_figures": sections.answer_figures(run.comparison) if run.comparison is not None else [],
        "curves": [(curve, draw(curve, styles) if curve.drawn else None) for curve in found],
        "smoothing": smoothing_window(num_steps),
        "data": sections.data_views(run),
        "speed": sections.speed(run),
        "recipe": sections.recipe_lines(run.recipe) if run.recipe is not None else [],
        "environment": environment,
        "packages": packages,
        "missing": sections.missing_pieces(run),
    }


def _curves(run: Run) -> list[Curve]:
    if run.metrics is None:
        return []
    best_step = run.summary.best_step if run.summary is not None else None
    return curves(run.metrics, best_step=best_step, objective=run.objective)


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
