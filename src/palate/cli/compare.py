"""`palate compare`: models answer the same prompts, and what can be said of who answers better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

from palate.cli.asking_options import ASKING, AskingOptions, account_of_asking, asking, show_asking
from palate.cli.console import ConsoleWatcher, output_console, print_json

__all__ = ["compare"]

Flag = Annotated[bool, cyclopts.Parameter(negative="")]


def compare(
    *models: Annotated[str, cyclopts.Parameter(allow_leading_hyphen=False)],
    prompts: str | None = None,
    num_prompts: int | None = None,
    num_samples: int | None = None,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    judge: str | None = None,
    judge_model: str | None = None,
    judge_base_url: str | None = None,
    rubric: str | None = None,
    reward_model: str | None = None,
    logprob_model: str | None = None,
    judges: str | None = None,
    votes: str | None = None,
    force: Flag = False,
    within: float | None = None,
    pairs: str | None = None,
    num_pairs: int | None = None,
    style: str | None = None,
    drift: bool | None = None,
    neutral_text: str | None = None,
    benchmarks: str | None = None,
    benchmark_tasks: str | None = None,
    benchmark_limit: int | None = None,
    seed: Annotated[
        int | None, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=0, lt=2**32))
    ] = None,
    output: Path | None = None,
    asked: AskingOptions = ASKING,
    as_json: Annotated[bool, cyclopts.Parameter(name="--json", negative="")] = False,
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
    prompts
        A file of prompts.
    num_prompts
        The most prompts to answer; 32 where absent.
    num_samples
        Answers to each prompt from each model; 1 where absent.
    max_new_tokens
        The most tokens of one answer; 128 where absent.
    temperature
        0 answers greedily, above 0 samples; 0 where absent.
    top_p
        Sample from the smallest set of tokens with this much probability.
    judge
        A function as judge: a built-in name or module:function.
    judge_model
        A language model as judge: its name on the server, or a local model.
    judge_base_url
        The judge's server, such as http://localhost:8000/v1; a local model where absent.
    rubric
        What it goes by: preference, helpfulness, faithfulness, writing, or a file.
    reward_model
        A reward model as judge: a Hub name, a folder, or a run.
    logprob_model
        A local language model as judge, by the likelihood of each verdict's word.
    judges
        A YAML file of judges, as palate judge takes it: several are a jury.
    votes
        People's votes on these answers, a file or a store: they judge, or measure the judge that is named.
    force
        Count a judge's verdicts even though it failed a canary.
    within
        How many comparisons it still takes to know a win rate so closely, such as 0.03 either way.
    pairs
        Preference data: how often each model finds its chosen side likelier. Prompts of training go out.
    num_pairs
        The most of those pairs, the first; all where absent.
    style
        A file or folder of documents in the style that is wanted: how far from it each model writes.
    drift
        Measure KL per token from the baseline, which loads every model once more; done where absent.
    neutral_text
        A file or folder of texts that have nothing to do with the tuning: perplexity and KL on them.
    benchmarks
        Tasks of lm-evaluation-harness, with commas between.
    benchmark_tasks
        A folder of such tasks, YAML and data files: no network is needed.
    benchmark_limit
        The most questions of each task.
    seed
        Of sampled answers, orders shown and resampling; the run's own, or 0 of several models, where absent.
    output
        The folder that evaluation/comparison.json goes into, where several models are named.
    as_json
        Print JSON.
    """
    from palate.pipeline.comparing import (
        Asking,
        compare_command,
        compare_options,
        judge_specs,
        shortfall_of_comparison,
    )
    from palate.report import render_comparison

    given = {
        "prompts": prompts, "num_prompts": num_prompts, "samples_per_prompt": num_samples,
        "max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p, "judge": judge,
        "judge_model": judge_model, "judge_base_url": judge_base_url, "rubric": rubric,
        "reward_model": reward_model, "logprob_model": logprob_model, "judges": judges, "votes": votes,
        "force": force or None, "within": within, "pairs": pairs, "num_pairs": num_pairs, "style": style,
        "drift": drift, "neutral_text": neutral_text,
        "benchmarks": benchmarks, "benchmark_tasks": benchmark_tasks, "benchmark_limit": benchmark_limit,
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
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
