"""`palate generate ...`: material for pairs, from prompts or documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import cyclopts

from palate.cli.asking_options import ASKING, AskingOptions, asking
from palate.cli.asking_output import account_of_asking
from palate.cli.console import ConsoleWatcher
from palate.cli.generate_output import aside_row, reasons_of, show_account, show_extracts
from palate.cli.generating_options import (
    EXTRACTS,
    PROMPTS,
    SAMPLING,
    TRIPLES,
    ExtractsOptions,
    PromptsOptions,
    SamplingOptions,
    TriplesOptions,
)
from palate.cli.options import JSON, Flag, Repeated
from palate.cli.typed import typed_options
from palate.data.comparisons import check_output
from palate.data.documents.extracts import Extracts
from palate.data.prompts import PromptFile
from palate.data.writing import refuse_unwritable
from palate.errors import CallError, WorkError
from palate.generate import Generator, generate_candidates, generate_contrast, generate_triples
from palate.generate.writing import write_candidates, write_pairs

__all__ = ["generate_app"]

generate_app = cyclopts.App(name="generate", help="Make material for pairs, from prompts or documents.")

AsJson = Annotated[bool, JSON]
Output = Annotated[Path, cyclopts.Parameter(name=["--output", "-o"])]


@generate_app.command
def candidates(
    prompts: str,
    *,
    output: Output,
    model: Repeated,
    base_url: str | None = None,
    reading: PromptsOptions = PROMPTS,
    num_samples: Annotated[int, cyclopts.Parameter(name=["--num-samples", "-n"])] = 5,
    temperature: Annotated[tuple[float, ...], cyclopts.Parameter(negative="")] = (1.0,),
    max_tokens: int = 1024,
    sampling: SamplingOptions = SAMPLING,
    asked: AskingOptions = ASKING,
    as_json: AsJson = False,
) -> None:
    """Several completions of each prompt, each once, and every two of them as a comparison to be judged.

    Parameters
    ----------
    prompts
        A file of prompts (one a line in .txt, or rows), or playground.
    output
        Where the comparisons go: .jsonl or .parquet. Candidates, rows set aside and the account go beside it.
    model
        A model's name on the server, or a local model: a Hub name, a folder, playground. May be repeated.
    base_url
        The server, such as http://localhost:8000/v1; a local model where absent.
    num_samples
        Completions of each prompt from each model at each temperature.
    temperature
        May be repeated.
    max_tokens
        The most tokens of a completion; a longer one is no candidate.
    as_json
        Print the account as JSON.
    """
    check_output(output)
    found = reading.read(prompts)
    with asking(asked, [base_url], watcher := ConsoleWatcher()) as askers:
        result = generate_candidates(
            found.prompts[: reading.limit],
            [Generator(askers.of(name, base_url), name) for name in model],
            source=prompts,
            lines=found.lines[: reading.limit],
            num_samples=num_samples,
            temperatures=temperature,
            top_p=sampling.top_p,
            max_tokens=max_tokens,
            seed=sampling.seed,
            send_seed=sampling.server_seeds,
            watcher=watcher,
        )
        account = {**_of_prompts(found), **result.account, "models": account_of_asking(askers)}
    account["files"] = write_candidates(result, output, account, _prompts_aside(found))
    show_account(account, "comparisons", as_json)


@generate_app.command
def triples(
    documents: str,
    *,
    output: Annotated[Path | None, cyclopts.Parameter(name=["--output", "-o"])] = None,
    extracts_only: Flag = False,
    writing: TriplesOptions = TRIPLES,
    sampling: SamplingOptions = SAMPLING,
    reading: ExtractsOptions = EXTRACTS,
    asked: AskingOptions = ASKING,
    as_json: AsJson = False,
) -> None:
    """Documents to extracts to pairs: chosen is the writer's own text, rejected what a model wrote.

    Parameters
    ----------
    documents
        Rows with a text column, a .txt or .md file, or a folder of these.
    output
        Where the pairs go: .jsonl or .parquet. Rows set aside and the account go beside it.
    extracts_only
        Print the extracts as JSONL, or write them to --output, and ask no model.
    as_json
        Print the account as JSON; with --extracts-only and no --output, on standard error.
    """
    if extracts_only:
        _refuse_with_extracts_only(output, writing, sampling, asked)
    else:
        output = _output_of_triples(output, writing.model)
    filters = writing.filters()
    made, account, aside = _extracts(documents, reading)
    if extracts_only:
        show_extracts(made, output, account, as_json)
        return
    assert output is not None and writing.model is not None
    with asking(asked, [writing.base_url], watcher := ConsoleWatcher()) as askers:
        result = generate_triples(
            made.extracts,
            Generator(askers.of(writing.model, writing.base_url), writing.model),
            num_triples=writing.num_triples,
            filters=filters,
            min_similarity=writing.min_similarity,
            system=writing.system,
            temperature=writing.temperature,
            top_p=sampling.top_p,
            max_tokens=writing.max_tokens,
            seed=sampling.seed_to_send(),
            held_to_schema=writing.base_url is None,
            watcher=watcher,
        )
        account |= {**result.account, "models": account_of_asking(askers)}
    account["files"] = write_pairs(result, output, account, aside)
    show_account(account, "pairs", as_json)


@generate_app.command
def contrast(
    prompts: str,
    *,
    output: Output,
    strong: str,
    weak: str,
    strong_base_url: str | None = None,
    weak_base_url: str | None = None,
    reading: PromptsOptions = PROMPTS,
    temperature: float = 1.0,
    max_tokens: int = 1024,
    sampling: SamplingOptions = SAMPLING,
    asked: AskingOptions = ASKING,
    as_json: AsJson = False,
) -> None:
    """The same prompts to a strong and a weak model: chosen from the one, rejected from the other.

    Parameters
    ----------
    prompts
        A file of prompts (one a line in .txt, or rows), or playground.
    output
        Where the pairs go: .jsonl or .parquet. Rows set aside and the account go beside it.
    strong
        The model whose answers are chosen.
    weak
        The model whose answers are rejected.
    strong_base_url
        The strong model's server; a local model where absent.
    weak_base_url
        The weak model's server; a local model where absent.
    temperature
        0 is greedy.
    max_tokens
        The most tokens of an answer; a longer one makes no pair.
    as_json
        Print the account as JSON.
    """
    refuse_unwritable(output)
    found = reading.read(prompts)
    with asking(asked, [strong_base_url, weak_base_url], watcher := ConsoleWatcher()) as askers:
        result = generate_contrast(
            found.prompts[: reading.limit],
            Generator(askers.of(strong, strong_base_url), strong),
            Generator(askers.of(weak, weak_base_url), weak),
            source=prompts,
            lines=found.lines[: reading.limit],
            temperature=temperature,
            top_p=sampling.top_p,
            max_tokens=max_tokens,
            seed=sampling.seed_to_send(),
            watcher=watcher,
        )
        account = {**_of_prompts(found), **result.account, "models": account_of_asking(askers)}
    account["files"] = write_pairs(result, output, account, _prompts_aside(found))
    show_account(account, "pairs", as_json)


def _of_prompts(found: PromptFile) -> dict[str, Any]:
    return {
        "num_prompt_rows_set_aside": len(found.set_aside),
        "num_prompts_repeated": found.num_repeats,
        "set_aside": reasons_of(found.set_aside),
    }


def _prompts_aside(found: PromptFile) -> list[dict[str, Any]]:
    return [aside_row(row, "prompts") for row in found.set_aside]


def _refuse_with_extracts_only(
    output: Path | None, writing: TriplesOptions, sampling: SamplingOptions, asked: AskingOptions
) -> None:
    if output is not None and output.suffix.lower() != ".jsonl":
        raise CallError(
            "extracts are written as JSONL, whatever the name says",
            where=str(output),
            next="end it in .jsonl",
        )
    idle = [*typed_options(writing), *typed_options(sampling), *typed_options(asked)]
    if idle:
        raise CallError(
            f"{', '.join(idle)}: no effect with --extracts-only",
            why="no model is asked",
            next="drop one or the other",
        )


def _output_of_triples(output: Path | None, model: str | None) -> Path:
    missing = [name for name, value in (("--output", output), ("--model", model)) if value is None]
    if output is None or missing:
        raise CallError(f"needed: {' and '.join(missing)}", next="--extracts-only needs neither")
    refuse_unwritable(output)
    return output


def _extracts(
    documents: str, reading: ExtractsOptions
) -> tuple[Extracts, dict[str, Any], list[dict[str, Any]]]:
    """Of documents: their extracts, the account of these, and what was set aside, in rows."""
    made, set_aside = reading.read(documents)
    left_out = (*set_aside, *made.too_short)
    account: dict[str, Any] = {
        "num_documents_set_aside": len(set_aside), **made.account(), "set_aside": reasons_of(left_out),
    }  # fmt: skip
    if not made.extracts:
        reasons = "; ".join(f"{row['count']:,}: {row['reason']}" for row in account["set_aside"][:3])
        raise WorkError(
            "no document makes an extract", where=documents, why=reasons, next="see --min-characters"
        )
    return made, account, [aside_row(row, "documents") for row in left_out]
