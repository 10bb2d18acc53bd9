"""`palate data audit`: what is wrong with preference data, before a model learns it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from palate.cli.console import ConsoleWatcher, output_console, print_json
from palate.cli.options import AsJson
from palate.cli.source_options import DEFAULTS, PreferenceFile, ReadingOptions, source_options
from palate.data import read_documents, stream_records
from palate.data.excerpts import excerpt
from palate.durable import write_text
from palate.errors import DataError

if TYPE_CHECKING:
    from palate.data.audit import Audit, Finding, SourceAccount
    from palate.data.audit.token_checks import Tokens
    from palate.records import Document

__all__ = ["audit"]

MAX_EXAMPLES_SHOWN = 2
_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def audit(
    file: PreferenceFile,
    *,
    against: str | None = None,
    documents: str | None = None,
    text_column: str | None = None,
    model: str | None = None,
    template: str | None = None,
    max_length: int | None = None,
    near_duplicates: bool = True,
    html: Path | None = None,
    reading: ReadingOptions = DEFAULTS,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong with a data set, and what it shares with held-out rows. Exit 1 if there is an error.

    Parameters
    ----------
    against
        The rows that will be evaluated on: read as FILE is, but whole, whatever limit and split say.
    documents
        The documents that chosen completions claim to be excerpts of: a file of rows or of text, or a folder.
    text_column
        With --documents: which column of their rows holds the text, where several could.
    model
        The model to be trained, for what only its tokenizer can tell: a folder or a Hub name.
    template
        With --model: the chat template, as data.template in a recipe.
    max_length
        With --model: the most tokens of a row, as data.max_length in a recipe.
    near_duplicates
        Also search for rows that nearly repeat one another, which takes longer than all other checks.
    html
        Also write what was found as a page, into this file.
    """
    from palate.data.audit import audit_source  # numpy, which no other `palate data` command's help needs

    held_out = None
    if against is not None:
        held_out = stream_records(
            source_options(against, replace(reading, limit=None, split=None, revision=None))
        )
    found = audit_source(
        stream_records(source_options(file, reading)),
        held_out,
        near_duplicates=near_duplicates,
        documents=_documents(documents, text_column),
        tokens=_tokens(model, template, max_length),
        watcher=ConsoleWatcher(),
    )
    if html is not None:
        # What draws pages is not needed to say what was found.
        from palate.report.audit_page import render_audit_page

        write_text(html, render_audit_page(found))
    if as_json:
        print_json(found.as_dict())
    else:
        _show(found)
    if found.has_errors:
        sys.exit(1)


def _documents(path: str | None, text_column: str | None) -> tuple[Document, ...] | None:
    if path is not None:
        return read_documents(path, text_column=text_column)[0]
    if text_column is not None:
        raise DataError(
            "no effect without --documents",
            where="--text-column",
            why="it names a column of the documents",
            next="name the documents, or drop --text-column",
        )
    return None


def _tokens(model: str | None, template: str | None, max_length: int | None) -> Tokens | None:
    if model is not None:
        from palate.pipeline import tokens_of_model  # transformers, which nothing else here needs

        return tokens_of_model(model, template=template, max_length=max_length)
    for option, value in (("--template", template), ("--max-length", max_length)):
        if value is not None:
            raise DataError(
                "no effect without --model",
                where=option,
                why="only a model's tokenizer can tell how rows become tokens",
                next=f"name the model, or drop {option}",
            )
    return None


def _show(found: Audit) -> None:
    console = output_console(soft_wrap=True)
    source, layout = excerpt(found.sources[0], 500), found.layout
    console.print(Text.assemble((source, "bold"), "  layout ", (layout, "bold cyan")))
    console.print(Text(_account(found, found.kind)))
    if found.against is not None:
        held_out = found.against
        console.print(Text(f"against {excerpt(held_out.source, 500)}: {_account(held_out, held_out.kind)}"))
    for finding in found.findings:
        console.print(_told(finding))
    if not found.findings:
        console.print(Text("\nnothing found", style="green"))
    if found.not_checked:
        console.print(Text("\nnot checked", style="dim"))
    for check, needs in found.not_checked.items():
        console.print(Text(f"  {check:<18} needs {needs}", style="dim"))


def _account(counts: Audit | SourceAccount, kind: str) -> str:
    rows = "row" if counts.num_rows == 1 else "rows"
    kept = kind.removesuffix("s") if counts.num_kept == 1 else kind
    return f"{counts.num_rows:,} {rows} = {counts.num_kept:,} {kept} + {counts.num_set_aside:,} set aside"


def _told(finding: Finding) -> Text:
    style = _STYLES[finding.severity]
    text = Text.assemble(
        "\n", (finding.severity, style), "  ", (finding.check, "bold"), f"  {finding.count:,}\n"
    )
    text.append(f"  {excerpt(finding.meaning, 2000)}\n")
    for example in finding.examples[:MAX_EXAMPLES_SHOWN]:
        for line in _example(dict(example)):
            text.append(f"    {line}\n", style="dim")
    text.append(f"  next: {excerpt(finding.remedy, 2000)}")
    return text


def _example(example: dict[str, Any]) -> Iterator[str]:
    """An example in a line for where it is, one for each quotation, and one for what stands with it."""
    yield excerpt(str(example.pop("place", "")), 500)
    others = example.pop("with", [])
    for name, value in example.items():
        said = " | ".join(value) if isinstance(value, list | tuple) else str(value)
        yield f"  {name:>10}  {excerpt(said, 200)}"
    for other in others:
        if isinstance(other, dict):
            yield f"  {'with':>10}  {excerpt(str(other.get('place', '')), 500)}"
