"""What `palate generate` shows: extracts, and what became of all that was asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from palate.cli.asking_output import show_asking
from palate.cli.console import error_console, output_console, print_json, writing_output
from palate.data.documents.extracts import Extracts, extract_row
from palate.data.excerpts import excerpt
from palate.errors import WorkError
from palate.generate.writing import write_rows
from palate.records import SetAside

__all__ = ["aside_row", "reasons_of", "show_account", "show_extracts"]

_NOT_HAD = ("failed", "not_asked")


def show_extracts(made: Extracts, output: Path | None, account: Mapping[str, Any], as_json: bool) -> None:
    rows = map(extract_row, made.extracts)
    if output is not None:
        write_rows(rows, output)
        if as_json:
            print_json(dict(account))
            return
    else:
        plain = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") != "utf8"
        with writing_output():
            for row in rows:
                sys.stdout.write(json.dumps(row, ensure_ascii=plain) + "\n")
    console = error_console() if output is None else output_console(soft_wrap=True)
    if as_json:
        console.print(Text(json.dumps(account, ensure_ascii=False)))
        return
    for line in _of_documents(account):
        console.print(Text(line))
    if output is not None:
        console.print(Text(str(output)))


def _of_documents(account: Mapping[str, Any]) -> list[str]:
    num_read = account["num_documents"] + account["num_documents_set_aside"]
    used = account["num_documents"] - account["num_too_short"]
    lines = [
        f"{num_read:,} documents = {used:,} used + {account['num_too_short']:,} too short "
        f"+ {account['num_documents_set_aside']:,} set aside",
        f"{account['num_sentences']:,} sentences in {account['num_extracts']:,} extracts, "
        f"{account['num_oversized']:,} of them too long and {account['num_undersized']:,} too short",
    ]
    return lines + _of_set_aside(account)


def _of_prompts(account: Mapping[str, Any]) -> list[str]:
    num_aside, num_repeated = account["num_prompt_rows_set_aside"], account["num_prompts_repeated"]
    if not num_aside and not num_repeated:
        return []
    told = f"{num_aside:,} rows set aside, {num_repeated:,} prompts left out that stand in the file before"
    return [told, *_of_set_aside(account)]


def _of_set_aside(account: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['count']:>7,}  {row['reason']}: {excerpt(', '.join(row['places']), 200)}"
        for row in account["set_aside"][:5]
    ]


def aside_row(row: SetAside, stage: str) -> dict[str, Any]:
    return {
        "stage": stage,
        "reason": row.reason,
        "source": row.source,
        "line": row.line,
        "text": row.excerpt,
    }


def reasons_of(rows: Sequence[SetAside]) -> list[dict[str, Any]]:
    """Reasons with their counts and first places, the most frequent first."""
    places: dict[str, list[str]] = {}
    for row in rows:
        places.setdefault(row.reason, []).append(row.place)
    ordered = sorted(places.items(), key=lambda item: -len(item[1]))
    return [{"reason": reason, "count": len(found), "places": found[:3]} for reason, found in ordered]


def show_account(account: dict[str, Any], what: str, as_json: bool) -> None:
    """The account, and an error where the work fell short.

    Raises:
        WorkError: nothing came out, or some of what was asked for was not had.
    """
    if as_json:
        print_json(account)
    else:
        console = output_console(soft_wrap=True)
        for line in _lines(account):
            console.print(Text(line))
        show_asking(account["models"], console)
        for name, path in account["files"].items():
            console.print(Text(f"{name:>12}  {excerpt(path, 500)}"))
    _complain(account, what)


def _lines(account: Mapping[str, Any]) -> list[str]:
    statuses = ", ".join(f"{count:,} {name}" for name, count in account["statuses"].items())
    asked = f"{account['num_requests']:,} requests: {statuses or 'none'}"
    if "num_candidates" in account:
        return [
            *_of_prompts(account),
            f"{account['num_prompts']:,} prompts, {asked}",
            f"{account['num_candidates']:,} candidates, {account['num_repeats']:,} repeats left out",
            f"{account['num_comparisons']:,} comparisons; "
            f"{account['num_prompts_without_pair']:,} prompts have none",
        ]
    if "num_identical" in account:
        return [
            *_of_prompts(account),
            f"{account['num_prompts']:,} prompts, {asked}",
            f"{account['num_prompts']:,} prompts = {account['num_pairs']:,} pairs + "
            f"{account['num_identical']:,} answered alike + "
            f"{account['num_without_two_answers']:,} without two answers",
        ]
    num_filtered = sum(account["filtered"].values())
    lines = [
        *_of_documents(account),
        asked,
        f"{account['num_triples']:,} triples = {account['num_pairs']:,} pairs + "
        f"{account['num_not_verbatim']:,} not verbatim + {num_filtered:,} filtered + "
        f"{account['num_repeated']:,} repeated; {account['num_repaired']:,} pairs repaired",
    ]
    lines += [f"{count:>7,}  {name}" for name, count in account["filtered"].items()]
    return lines


def _complain(account: Mapping[str, Any], what: str) -> None:
    missing = sum(account["statuses"].get(status, 0) for status in _NOT_HAD)
    reasons = [row for row in account["reasons"] if not missing or row["status"] in _NOT_HAD]
    why = "; ".join(f"{row['count']:,} {row['status']}: {excerpt(row['reason'], 200)}" for row in reasons[:3])
    if missing:
        raise WorkError(
            f"{missing:,} of {account['num_requests']:,} requests were not answered",
            why=why,
            next="the same command again asks only for what is missing; every response so far is kept",
        )
    if not account[f"num_{what}"]:
        raise WorkError(
            f"no {what} came out",
            where=account["files"]["set_aside"],
            why=why or "the file says of each what became of it",
            next="what is asked again is read from the store: change the options, or the model",
        )
