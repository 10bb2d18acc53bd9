"""What a comparison measures without a judge, as its options ask for it: drift, held-out pairs, benchmarks.

Answers that were paid for are not thrown away because one of these falls short: what it finds then says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from palate.errors import ModelError, WorkError
from palate.evaluate.benchmarks.run import Benchmarks, check_benchmarks, run_benchmarks
from palate.evaluate.contestants import Contestant
from palate.evaluate.drift import measure_drift
from palate.evaluate.kept_measures import KeptMeasures
from palate.evaluate.pair_accuracy import HeldOutPairs, PairAccuracy, measure_pair_accuracy
from palate.recipe import CompareOptions, ModelOptions
from palate.records import Answer
from palate.watcher import Watcher

__all__ = ["Measuring", "check_comparison_benchmarks"]


def check_comparison_benchmarks(options: CompareOptions) -> None:
    """Whatever can be wrong with the benchmarks before a model is loaded.

    Raises:
        CallError: see `check_benchmarks`.
    """
    if options.benchmarks is not None:
        check_benchmarks(options.benchmark_names, _folder(options))


@dataclass(frozen=True, slots=True)
class Measuring:
    """Models to be measured, and how; each figure as evaluation/comparison.json holds it."""

    contestants: Sequence[Contestant]
    """The baseline first."""
    options: CompareOptions
    model: ModelOptions
    watcher: Watcher
    seed: int = 0
    kept: Path | None = None
    """Where figures lie that were measured before, so that another judge does not measure them anew."""

    def drift(
        self, answers: Mapping[str, Sequence[Sequence[Answer]]], neutral_texts: Sequence[str]
    ) -> dict[str, Any]:
        """`drift` and `perplexity`, and `warnings`; all empty where it is not asked for.

        Answers that were kept need no model: where one is no longer there, a warning says that its drift is
        not known.
        """
        if not self.options.drift:
            return {"drift": {}, "perplexity": {}, "warnings": []}

        def measure() -> dict[str, Any]:
            found = measure_drift(
                self.contestants, answers, neutral_texts, model=self.model, watcher=self.watcher
            )
            return found.as_dict() | {"warnings": list(found.warnings)}

        said = {
            name: [[(answer.prompt, answer.text) for answer in own] for own in of]
            for name, of in answers.items()
        }
        try:
            return self._found("drift", [said, list(neutral_texts)], measure)
        except ModelError as error:
            warning = f"Drift is not measured: {error.where}: {error.what}."
            return {"drift": {}, "perplexity": {}, "warnings": [warning]}

    def pair_accuracy(self, pairs: HeldOutPairs | None) -> dict[str, Any] | None:
        """None where it is not asked for. Without figures its sentence says why."""
        if pairs is None:
            return None

        def measure() -> dict[str, Any]:
            found = measure_pair_accuracy(self.contestants, pairs, model=self.model, watcher=self.watcher)
            return found.as_dict()

        try:
            read = [pairs.source, [pair.id for pair in pairs.pairs], pairs.notes]
            return self._found("pair_accuracy", read, measure)
        except ModelError as error:
            said = f"Preference accuracy is not measured: {error.where}: {error.what}."
            return PairAccuracy(pairs.source, said, warnings=pairs.notes).as_dict()

    def benchmarks(self) -> dict[str, Any] | None:
        """None where none are asked for. Where the harness falls short there are no tasks, and the sentence
        says why."""
        if self.options.benchmarks is None:
            return None
        folder = _folder(self.options)
        try:
            asked = self.options.model_dump(
                include={"benchmarks", "benchmark_limit", "benchmark_chat_template"}
            )
            read = [asked, self.seed, _harness_version(), _content_of(folder)]
            return self._found("benchmarks", read, lambda: self._ask_harness(folder).as_dict())
        except (ModelError, WorkError) as error:
            why = f": {error.why}" if error.why else ""
            said = f"The benchmarks are not measured: {error.where}: {error.what}{why}."
            return Benchmarks((), said).as_dict()

    def _ask_harness(self, folder: Path | None) -> Benchmarks:
        return run_benchmarks(
            self.contestants,
            self.options.benchmark_names,
            folder=folder,
            limit=self.options.benchmark_limit,
            chat_template=self.options.benchmark_chat_template,
            model=self.model,
            seed=self.seed,
            watcher=self.watcher,
        )

    def _found(self, kind: str, read: object, measure: Any) -> dict[str, Any]:
        kept = KeptMeasures(self.kept, self.model)
        return kept.found(kind, self.contestants, read, measure, self.watcher)


def _folder(options: CompareOptions) -> Path | None:
    return Path(options.benchmark_tasks) if options.benchmark_tasks is not None else None


def _harness_version() -> str:
    with suppress(PackageNotFoundError):
        return version("lm_eval")
    return ""


def _content_of(folder: Path | None) -> list[tuple[str, str]]:
    """The files of a folder of tasks, by content; of the harness's own tasks its version says enough."""
    if folder is None:
        return []
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [(str(file.relative_to(folder)), sha256(file.read_bytes()).hexdigest()) for file in files]
