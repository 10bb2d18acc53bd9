"""`palate judge`: verdicts on comparisons, and the judge card that says how far to rely on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts

from palate.asking import Asker
from palate.cli.asking_options import ASKING, Askers, AskingOptions, account_of_asking, asking
from palate.cli.console import ConsoleWatcher
from palate.errors import CallError

if TYPE_CHECKING:  # statistics take a second to import, and every other command would wait for them
    from palate.judge import Judge, JudgeSpec
    from palate.judge.jury import Pooling
    from palate.pipeline.judges import AskerOf

__all__ = ["judge"]

Named = Annotated[tuple[str, ...], cyclopts.Parameter(negative="")]
Flag = Annotated[bool, cyclopts.Parameter(negative="")]


def judge(
    pairs: str,
    /,
    *,
    output: Annotated[Path, cyclopts.Parameter(name=["--output", "-o"])],
    model: Named = (),
    scorer: Named = (),
    reward_model: Named = (),
    logprob_model: Named = (),
    judges: Path | None = None,
    base_url: str | None = None,
    rubric: str | None = None,
    mode: Literal["pairwise", "pointwise", "listwise"] | None = None,
    orders: Literal["both", "random"] | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    votes: str | None = None,
    examples: int | None = None,
    references: str | None = None,
    pooling: Literal["majority", "dawid_skene"] | None = None,
    num_canaries: int = 4,
    pairs_output: Annotated[Path | None, cyclopts.Parameter(name="--pairs")] = None,
    limit: int | None = None,
    seed: int = 0,
    force: Flag = False,
    dry_run: Flag = False,
    asked: AskingOptions = ASKING,
    as_json: Annotated[bool, cyclopts.Parameter(name="--json", negative="")] = False,
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
    model
        A language model as judge: its name on the server, or a local model. May be repeated: a jury.
    scorer
        A function as judge: a built-in name or module:function. May be repeated.
    reward_model
        A reward model as judge: a Hub name, a folder, or a run. May be repeated.
    logprob_model
        A local language model as judge, by the likelihood of each verdict's word. May be repeated.
    judges
        A YAML file of judges, for several servers, rubrics or names.
    base_url
        The server, such as http://localhost:8000/v1; a local model where absent.
    rubric
        preference, helpfulness, faithfulness, writing, or a file; preference where absent.
    mode
        Two answers at once, one at a time, or all of a prompt in order; pairwise where absent.
    orders
        Ask in both orders, or once in one that chance decides; both where absent.
    temperature
        0 where absent.
    max_tokens
        The most tokens of reasoning and verdict; 1024 where absent.
    votes
        A file of people's votes, to measure the judge by.
    examples
        Show so many votes to language models as decided cases; they measure nothing then.
    references
        Rows with a prompt and a reference: answers or notes that the judge goes by.
    pooling
        How a jury's verdicts become one; majority where absent.
    num_canaries
        How often each canary is asked.
    pairs_output
        Write training pairs from clear verdicts: .jsonl, .jsonl.gz or .parquet.
    limit
        Judge only the first comparisons.
    seed
        Seeds orders, canaries, examples and intervals.
    force
        Give the headline, and write pairs, even though a canary failed.
    dry_run
        Say how many requests there would be and what they cost at most, and ask nothing.
    as_json
        Print JSON.
    """
    from palate.cli.judge_output import show_judged, show_rehearsal
    from palate.data.references import read_references
    from palate.judge.specs import KINDS, JudgeSpec, load_judges, with_defaults
    from palate.pipeline.judges import DEFAULT_BATCH_SIZE, build_judge, takes_ties
    from palate.pipeline.judging import check_outputs, judge_material, read_material, rehearse

    check_outputs(pairs, output, pairs_output)
    named = {"model": model, "scorer": scorer, "reward_model": reward_model, "logprob_model": logprob_model}
    specs = [JudgeSpec.model_validate({kind: name}) for kind in KINDS for name in named[kind]]
    specs += load_judges(judges) if judges is not None else []
    if not specs:
        raise CallError(
            "no judge is named",
            next="name one: --model, --scorer, --reward-model or --logprob-model, or a file with --judges",
        )
    given = {
        "base_url": base_url, "rubric": rubric, "mode": mode, "orders": orders, "temperature": temperature,
        "max_tokens": max_tokens,
    }  # fmt: skip
    specs = with_defaults(specs, given)
    with_ties = examples is None or takes_ties(specs)
    material = read_material(
        pairs, votes=votes, num_examples=examples, example_ties=with_ties, limit=limit, seed=seed
    )
    known = None if references is None else read_references(references)
    watcher = ConsoleWatcher()
    with _asking(asked, specs, watcher) as askers:
        size = DEFAULT_BATCH_SIZE if asked.batch_size is None else asked.batch_size

        def build(chosen: Sequence[JudgeSpec], asker_of: AskerOf, how: Pooling | None) -> Judge:
            return build_judge(
                chosen, asker_of, pooling=how, examples=material.examples, references=known, batch_size=size,
                seed=seed, watcher=watcher,
            )  # fmt: skip

        if dry_run:
            models = [spec for spec in specs if spec.kind == "model"]
            rehearse(
                material,
                [build([spec], partial(_rehearsal, askers), None) for spec in models],
                num_canaries=num_canaries,
                seed=seed,
            )
            show_rehearsal(material, [] if askers is None else askers.rehearsed, as_json)
            return
        judged = judge_material(
            material, build(specs, partial(_asker, askers), pooling), output, pairs=pairs_output,
            num_canaries=num_canaries, seed=seed, force=force, watcher=watcher,
        )  # fmt: skip
        rows = [] if askers is None else account_of_asking(askers)
    show_judged(judged, rows, as_json)


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
    given = [field.name for field in fields(options) if getattr(options, field.name) is not None]
    idle = [name for name in given if name != "batch_size" or not is_local]
    if idle:
        raise CallError(
            f"{', '.join('--' + name.replace('_', '-') for name in idle)}: no effect",
            why="no language model is asked for an answer",
            next=f"drop {'it' if len(idle) == 1 else 'them'}",
        )
    yield None
