"""`palate judge`: verdicts on comparisons, and the judge card that says how far to rely on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts.validators import Number

from palate.asking import Asker
from palate.cli.asking_options import ASKING, Askers, AskingOptions, asking
from palate.cli.asking_output import account_of_asking
from palate.cli.console import ConsoleWatcher
from palate.cli.judging_options import NO_JUDGES, JudgesOptions
from palate.cli.options import AsJson, Flag, Seed
from palate.cli.typed import given, typed
from palate.errors import CallError

if TYPE_CHECKING:  # statistics take a second to import, and every other command would wait for them
    from palate.judge import JudgeSpec
    from palate.pipeline.judging import Material

__all__ = ["judge"]


@cyclopts.Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class BesideOptions:
    """How much of the comparisons is judged, and what is read beside them."""

    limit: int | None = None
    """Judge only the first comparisons."""
    votes: str | None = None
    """A file of people's votes, to measure the judge by."""
    examples: int | None = None
    """Show so many votes to language models as decided cases; they measure nothing then."""
    references: str | None = None
    """Rows with a prompt and a reference: answers or notes that the judge goes by."""


NOTHING_BESIDE = BesideOptions()
"""All comparisons, and nothing else."""


def judge(
    pairs: str,
    /,
    *,
    output: Annotated[Path, cyclopts.Parameter(name=["--output", "-o"])],
    judges: JudgesOptions = NO_JUDGES,
    beside: BesideOptions = NOTHING_BESIDE,
    num_canaries: Annotated[int, cyclopts.Parameter(validator=Number(lte=1000))] = 4,
    pairs_output: Annotated[Path | None, cyclopts.Parameter(name="--pairs")] = None,
    force: Flag = False,
    seed: Seed = 0,
    dry_run: Flag = False,
    asked: AskingOptions = ASKING,
    as_json: AsJson = False,
) -> None:
    """Have one judge, or a jury of several, say which of two completions is better.

    Exit 1 where no verdict was given, some were never asked for, or a canary failed and --force is not there.

    Parameters
    ----------
    pairs
        Comparisons, as palate generate candidates writes them; preference data, whose choices are votes; or a
        run, for its base and tuned model's answers.
    output
        Where the verdicts go: .jsonl or .parquet. judge_card.json goes beside it.
    num_canaries
        How often each canary is asked.
    pairs_output
        Write training pairs from clear verdicts: .jsonl, .jsonl.gz or .parquet.
    force
        Give the headline, and write pairs, even though a canary failed.
    seed
        Seeds orders, canaries, examples and intervals.
    dry_run
        Say how many requests there would be and what they cost at most, and ask nothing.
    """
    from palate.cli.judge_output import show_judged, show_rehearsal
    from palate.data.references import read_references
    from palate.pipeline.judges import DEFAULT_BATCH_SIZE, build_judge
    from palate.pipeline.judging import check_outputs, judge_material, rehearse

    check_outputs(pairs, output, pairs_output)
    specs = judges.specs()
    material = _material(pairs, specs, beside, seed)
    watcher = ConsoleWatcher()
    build = partial(
        build_judge,
        examples=material.examples,
        references=None if beside.references is None else read_references(beside.references),
        batch_size=DEFAULT_BATCH_SIZE if asked.batch_size is None else asked.batch_size,
        seed=seed,
        watcher=watcher,
    )
    with _asking(asked, specs, watcher) as askers:
        if dry_run:
            models = [build([spec], partial(_rehearsal, askers)) for spec in specs if spec.kind == "model"]
            rehearse(material, models, num_canaries=num_canaries, seed=seed)
            show_rehearsal(material, [] if askers is None else askers.rehearsed, as_json)
            return
        judged = judge_material(
            material, build(specs, partial(_asker, askers), pooling=judges.pooling), output,
            pairs=pairs_output, num_canaries=num_canaries, seed=seed, force=force, watcher=watcher,
        )  # fmt: skip
        rows = [] if askers is None else account_of_asking(askers)
    show_judged(judged, rows, as_json)


def _material(pairs: str, specs: Sequence[JudgeSpec], beside: BesideOptions, seed: int) -> Material:
    from palate.pipeline.judges import takes_ties
    from palate.pipeline.judging import read_material

    return read_material(
        pairs,
        votes=beside.votes,
        num_examples=beside.examples,
        example_ties=beside.examples is None or takes_ties(specs),
        limit=beside.limit,
        seed=seed,
    )


def _asker(askers: Askers | None, spec: JudgeSpec) -> Asker:
    assert askers is not None and spec.model is not None
    return askers.of(spec.model, spec.base_url, spec.api_key_env)


def _rehearsal(askers: Askers | None, spec: JudgeSpec) -> Asker:
    assert askers is not None and spec.model is not None
    return askers.rehearsal_of(spec.model, spec.base_url, spec.api_key_env)


@contextmanager
def _asking(
    options: AskingOptions, specs: Sequence[JudgeSpec], watcher: ConsoleWatcher
) -> Iterator[Askers | None]:
    """Whom to ask; nobody where no judge is a language model that writes.

    Raises:
        CallError: an option has no effect.
    """
    kinds = {spec.kind for spec in specs}
    is_local = bool(kinds & {"reward_model", "logprob_model"})
    if "model" in kinds:
        urls = [spec.base_url for spec in specs if spec.kind == "model"]
        with asking(options, [*urls, None] if is_local else urls, watcher) as askers:
            yield askers
        return
    idle = [name for name in given(options) if name != "batch_size" or not is_local]
    if idle:
        raise CallError(
            f"{', '.join(map(typed, idle))}: no effect",
            why="no language model is asked for an answer",
            next=f"drop {'it' if len(idle) == 1 else 'them'}",
        )
    yield None
