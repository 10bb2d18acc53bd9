"""`palate compare`: models answer the same prompts, and what can be said of who answers better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

from palate.cli.asking_options import ASKING, AskingOptions, asking
from palate.cli.asking_output import account_of_asking, show_asking
from palate.cli.comparing_options import ANSWERS, MEASURED, AnswersOptions, MeasuredOptions
from palate.cli.console import ConsoleWatcher, output_console, print_json
from palate.cli.judging_options import NO_JUDGE, JudgeOptions
from palate.cli.options import AsJson, Seed
from palate.cli.typed import given

__all__ = ["compare"]


def compare(
    *models: Annotated[str, cyclopts.Parameter(allow_leading_hyphen=False)],
    answers: AnswersOptions = ANSWERS,
    judging: JudgeOptions = NO_JUDGE,
    measured: MeasuredOptions = MEASURED,
    seed: Seed | None = None,
    output: Path | None = None,
    asked: AskingOptions = ASKING,
    as_json: AsJson = False,
) -> None:
    """Models answer the same prompts, side by side; who answers better, and what became worse.

    With one name, a trained run: its base against its result, on its held-out prompts. With more, any models:
    Hub names, model folders, adapter folders, run folders, playground; the first is the baseline, and these
    need --prompts or --pairs. What was answered or judged before is not asked again.

    Exit 1 where a judge gave no verdict, some were never asked for, or it failed a canary without --force.

    Parameters
    ----------
    models
        A run folder, or two models or more.
    seed
        Of sampled answers, orders shown and resampling; the run's own, or 0 of several models, where absent.
    output
        The folder that evaluation/comparison.json goes into, where several models are named.
    """
    from palate.pipeline.comparing import (
        Asking,
        compare_command,
        shortfall_of_comparison,
    )
    from palate.pipeline.comparison_options import compare_options, judge_specs
    from palate.report import render_comparison

    changes = {**given(answers), **given(judging), **given(measured)}
    specs = judge_specs(compare_options(models, changes, output))
    urls = [spec.base_url for spec in specs if spec.kind == "model"]
    watcher = ConsoleWatcher()
    with asking(asked, [None, *urls], watcher) as askers:
        how = Asking(
            askers.store,
            lambda spec: askers.of(str(spec.model), spec.base_url, spec.api_key_env),
            asked.batch_size,
        )
        comparison = compare_command(models, changes, output, watcher, how, seed=seed)
        rows = account_of_asking(askers)
    if as_json:
        print_json(comparison)
    else:
        console = output_console()
        render_comparison(comparison, console)
        if rows:
            show_asking(rows, console)
    error = shortfall_of_comparison(comparison)
    if error is not None:
        raise error
