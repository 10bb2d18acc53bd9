"""What needs no judge, as a comparison's options ask for it: drift, benchmarks, held-out pairs.

Answers that were paid for are not thrown away because one of these falls short: what it finds then says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from palate.errors import ModelError, WorkError
from palate.evaluate.benchmarks import Benchmarks, check_benchmarks, run_benchmarks
from palate.evaluate.contestants import Contestant
from palate.evaluate.drift import DriftReport, measure_drift
from palate.evaluate.pair_accuracy import HeldOutPairs, PairAccuracy, measure_pair_accuracy
from palate.recipe import CompareOptions, ModelOptions
from palate.records import Answer
from palate.watcher import Watcher

__all__ = ["check_comparison_benchmarks", "measured_benchmarks", "measured_drift", "measured_pair_accuracy"]


def check_comparison_benchmarks(options: CompareOptions) -> None:
    """Whatever can be wrong with the benchmarks before a model is loaded.

    Raises:
        CallError: see `check_benchmarks`.
    """
    if options.benchmarks is not None:
        check_benchmarks(options.benchmark_names, _folder(options))


def measured_drift(
    answers: Mapping[str, Sequence[Sequence[Answer]]],
    contestants: Sequence[Contestant],
    neutral_texts: Sequence[str],
    options: CompareOptions,
    model: ModelOptions | None,
    watcher: Watcher,
) -> DriftReport:
    """An empty report where it is not asked for.

    Answers that were kept need no model, and what was made of them is not thrown away because a model is no
    longer there: then a warning says that its drift is not known.
    """
    if not options.drift:
        return DriftReport({}, {}, {}, ())
    try:
        return _measured(answers, contestants, neutral_texts, model, watcher)
    except ModelError as error:
        return DriftReport({}, {}, {}, (f"Drift is not measured: {error.where}: {error.what}.",))


def _measured(
    answers: Mapping[str, Sequence[Sequence[Answer]]],
    contestants: Sequence[Contestant],
    neutral_texts: Sequence[str],
    model: ModelOptions | None,
    watcher: Watcher,
) -> DriftReport:
    return measure_drift(contestants, answers, neutral_texts, model=model or ModelOptions(), watcher=watcher)


def measured_pair_accuracy(
    contestants: Sequence[Contestant],
    pairs: HeldOutPairs | None,
    model: ModelOptions | None,
    watcher: Watcher,
) -> PairAccuracy | None:
    """None where it is not asked for. Where a model falls short there are no figures, and the sentence says
    why."""
    if pairs is None:
        return None
    try:
        return measure_pair_accuracy(contestants, pairs, model=model, watcher=watcher)
    except ModelError as error:
        said = f"Preference accuracy is not measured: {error.where}: {error.what}."
        return PairAccuracy(pairs.source, said, warnings=pairs.notes)


def measured_benchmarks(
    contestants: Sequence[Contestant],
    options: CompareOptions,
    model: ModelOptions | None,
    seed: int,
    watcher: Watcher,
) -> dict[str, Any] | None:
    """As evaluation/comparison.json holds them; None where none are asked for.

    Where the harness falls short there are no tasks, and the sentence says why.
    """
    if options.benchmarks is None:
        return None
    try:
        return _run(contestants, options, model, seed, watcher).as_dict()
    except (ModelError, WorkError) as error:
        why = f": {error.why}" if error.why else ""
        return Benchmarks((), f"The benchmarks are not measured: {error.where}: {error.what}{why}.").as_dict()


def _run(
    contestants: Sequence[Contestant],
    options: CompareOptions,
    model: ModelOptions | None,
    seed: int,
    watcher: Watcher,
) -> Benchmarks:
    return run_benchmarks(
        contestants,
        options.benchmark_names,
        folder=_folder(options),
        limit=options.benchmark_limit,
        chat_template=options.benchmark_chat_template,
        model=model or ModelOptions(),
        seed=seed,
        watcher=watcher,
    )


def _folder(options: CompareOptions) -> Path | None:
    return Path(options.benchmark_tasks) if options.benchmark_tasks is not None else None
