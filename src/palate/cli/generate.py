"""`palate generate ...`: material for pairs, from prompts or documents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import cyclopts

from palate.cli.asking_options import (
    ASKING,
    PLAYGROUND,
    AskingOptions,
    account_of_asking,
    asking,
)
from palate.cli.console import ConsoleWatcher
from palate.cli.generate_output import aside_row, reasons_of, show_account, show_extracts
from palate.data.comparisons import check_output
from palate.data.documents import read_documents
from palate.data.documents.extracts import make_extracts
from palate.data.prompts import PromptFile, read_prompt_file
from palate.data.writing import refuse_unwritable
from palate.errors import CallError, DataError, WorkError
from palate.generate import (
    Generator,
    TripleFilters,
    generate_candidates,
    generate_contrast,
    generate_triples,
)
from palate.generate.writing import write_candidates, write_pairs

__all__ = ["generate_app"]

generate_app = cyclopts.App(name="generate", help="Make material for pairs, from prompts or documents.")

NUM_PLAYGROUND_PROMPTS = 20

AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="")]
Output = Annotated[Path, cyclopts.Parameter(name=["--output", "-o"])]


@generate_app.command
def candidates(
    prompts: str,
    *,
    output: Output,
    model: Annotated[tuple[str, ...], cyclopts.Parameter(negative="")],
    base_url: str | None = None,
    num_samples: Annotated[int, cyclopts.Parameter(name=["--num-samples", "-n"])] = 5,
    temperature: Annotated[tuple[float, ...], cyclopts.Parameter(negative="")] = (1.0,),
    top_p: float = 1.0,
    max_tokens: int = 1024,
    system: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    server_seeds: bool = True,
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
    top_p
        Sample from the likeliest tokens that make up this share.
    max_tokens
        The most tokens of a completion; a longer one is no candidate.
    system
        A system message for prompts that have none.
    limit
        Take only the first prompts.
    seed
        Seeds each sample, and which completion of a comparison stands first.
    server_seeds
        Send a seed with each request; some servers refuse one.
    as_json
        Print the account as JSON.
    """
    check_output(output)
    found = _prompts(prompts, system, limit)
    watcher = ConsoleWatcher()
    with asking(asked, [base_url], watcher) as askers:
        result = generate_candidates(
            found.prompts[:limit],
            [Generator(askers.of(name, base_url), name) for name in model],
            source=prompts,
            lines=found.lines[:limit],
            num_samples=num_samples,
            temperatures=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            seed=seed,
            send_seed=server_seeds,
            watcher=watcher,
        )
        models = account_of_asking(askers)
    account = {**_of_prompts(found), **result.account, "models": models}
    aside = [aside_row(row, "prompts") for row in found.set_aside]
    account["files"] = write_candidates(result, output, account, aside)
    show_account(account, "comparisons", as_json)


@generate_app.command
def triples(
    documents: str,
    *,
    output: Annotated[Path | None, cyclopts.Parameter(name=["--output", "-o"])] = None,
    model: str | None = None,
    base_url: str | None = None,
    extracts_only: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    num_triples: Annotated[int, cyclopts.Parameter(name=["--num-triples", "-k"])] = 5,
    min_characters: int = 1000,
    max_characters: int = 2000,
    language: str = "en",
    text_column: str | None = None,
    min_answer: int = 100,
    max_answer: int = 2000,
    check_form: bool = True,
    min_similarity: float = 90.0,
    temperature: float = 0.7,
    top_p: float = 1.0,
    max_tokens: int = 4096,
    system: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    server_seeds: bool = True,
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
    model
        The model's name on the server, or a local model: a Hub name, a folder, playground.
    base_url
        The server, such as http://localhost:8000/v1; a local model where absent.
    extracts_only
        Print the extracts as JSONL, or write them to --output, and ask no model.
    num_triples
        Instructions of each extract, each with two answers.
    min_characters
        The least characters of an extract.
    max_characters
        The most characters of an extract.
    language
        Whose rules divide sentences, such as de.
    text_column
        The column that holds the documents, where it is not content, text, body or document.
    min_answer
        The least characters of an answer.
    max_answer
        The most characters of an answer.
    check_form
        Let only answers pass that begin with a capital and end with punctuation.
    min_similarity
        Percent above which a nearly verbatim answer becomes the exact passage.
    temperature
        0 is greedy.
    top_p
        Sample from the likeliest tokens that make up this share.
    max_tokens
        The most tokens of one response, which holds all triples of an extract.
    system
        A system message for every pair.
    limit
        Read only the first documents.
    seed
        Sent with each request.
    server_seeds
        Send a seed with each request; some servers refuse one.
    as_json
        Print the account as JSON; with --extracts-only and no --output, on standard error.
    """
    if extracts_only:
        _check_extracts_output(output)
        of_asking = {
            "model": (model, None), "base_url": (base_url, None), "system": (system, None),
            "num_triples": (num_triples, 5), "min_answer": (min_answer, 100),
            "max_answer": (max_answer, 2000), "no_check_form": (check_form, True),
            "min_similarity": (min_similarity, 90.0), "temperature": (temperature, 0.7),
            "top_p": (top_p, 1.0), "max_tokens": (max_tokens, 4096),
            "seed": (seed, 0), "no_server_seeds": (server_seeds, True),
        }  # fmt: skip
        _refuse_with_extracts_only(of_asking, asked)
    elif output is None or model is None:
        missing = " and ".join(
            name for name, value in (("--output", output), ("--model", model)) if value is None
        )
        raise CallError(f"needed: {missing}", next="--extracts-only needs neither")
    else:
        refuse_unwritable(output)
    _check_limit(limit, "document")
    filters = TripleFilters(min_answer=min_answer, max_answer=max_answer, form=check_form)
    read, set_aside = read_documents(documents, text_column=text_column, limit=limit)
    made = make_extracts(
        read, min_characters=min_characters, max_characters=max_characters, language=language
    )
    aside = [aside_row(row, "documents") for row in (*set_aside, *made.too_short)]
    account: dict[str, Any] = {
        "num_documents_set_aside": len(set_aside), **made.account(),
        "set_aside": reasons_of((*set_aside, *made.too_short)),
    }  # fmt: skip
    if not made.extracts:
        reasons = "; ".join(f"{row['count']:,}: {row['reason']}" for row in account["set_aside"][:3])
        raise WorkError(
            "no document makes an extract", where=documents, why=reasons, next="see --min-characters"
        )
    if extracts_only:
        show_extracts(made, output, account, as_json)
        return
    assert output is not None and model is not None
    watcher = ConsoleWatcher()
    with asking(asked, [base_url], watcher) as askers:
        result = generate_triples(
            made.extracts,
            Generator(askers.of(model, base_url), model),
            num_triples=num_triples,
            filters=filters,
            min_similarity=min_similarity,
            system=system,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            seed=_seed_to_send(seed, server_seeds),
            held_to_schema=base_url is None,
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
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_tokens: int = 1024,
    system: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    server_seeds: bool = True,
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
    top_p
        Sample from the likeliest tokens that make up this share.
    max_tokens
        The most tokens of an answer; a longer one makes no pair.
    system
        A system message for prompts that have none.
    limit
        Take only the first prompts.
    seed
        Sent with each request.
    server_seeds
        Send a seed with each request; some servers refuse one.
    as_json
        Print the account as JSON.
    """
    refuse_unwritable(output)
    found = _prompts(prompts, system, limit)
    watcher = ConsoleWatcher()
    with asking(asked, [strong_base_url, weak_base_url], watcher) as askers:
        result = generate_contrast(
            found.prompts[:limit],
            Generator(askers.of(strong, strong_base_url), strong),
            Generator(askers.of(weak, weak_base_url), weak),
            source=prompts,
            lines=found.lines[:limit],
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            seed=_seed_to_send(seed, server_seeds),
            watcher=watcher,
        )
        models = account_of_asking(askers)
    account = {**_of_prompts(found), **result.account, "models": models}
    aside = [aside_row(row, "prompts") for row in found.set_aside]
    account["files"] = write_pairs(result, output, account, aside)
    show_account(account, "pairs", as_json)


def _prompts(prompts: str, system: str | None, limit: int | None) -> PromptFile:
    _check_limit(limit, "prompt")
    if prompts == PLAYGROUND:
        if system is not None:
            raise CallError("--system: no effect on the playground's prompts", next="drop it")
        from palate.playground import training_prompts

        own = tuple(training_prompts(limit or NUM_PLAYGROUND_PROMPTS))
        return PromptFile(own, (None,) * len(own), 0, ())
    found = read_prompt_file(prompts, system=system)
    if not found.prompts:
        reasons = "; ".join(row["reason"] for row in reasons_of(found.set_aside)[:3])
        raise DataError(
            "no row holds a prompt", where=prompts, why=reasons, next="name a file that holds some"
        )
    return found


def _seed_to_send(seed: int, server_seeds: bool) -> int | None:
    if not server_seeds and seed != 0:
        raise CallError(f"--seed {seed}: no effect with --no-server-seeds", next="drop one of the two")
    return seed if server_seeds else None


def _check_limit(limit: int | None, what: str) -> None:
    if limit is not None and limit < 1:
        raise DataError(f"--limit {limit}", next=f"take 1 {what} or more")


def _of_prompts(found: PromptFile) -> dict[str, Any]:
    return {
        "num_prompt_rows_set_aside": len(found.set_aside),
        "num_prompts_repeated": found.num_repeats,
        "set_aside": reasons_of(found.set_aside),
    }


def _refuse_with_extracts_only(said: Mapping[str, tuple[object, object]], asked: AskingOptions) -> None:
    """`said`: of each option its value, and the value that says nothing."""
    idle = ["--" + name.replace("_", "-") for name, (value, nothing) in said.items() if value != nothing]
    if idle or asked != ASKING:
        raise CallError(
            f"{', '.join(idle) or 'options of asking'}: no effect with --extracts-only",
            why="no model is asked",
            next="drop one or the other",
        )


def _check_extracts_output(output: Path | None) -> None:
    if output is not None and output.suffix.lower() != ".jsonl":
        raise CallError(
            "extracts are written as JSONL, whatever the name says",
            where=str(output),
            next="end it in .jsonl",
        )
