"""`palate data ...`: any preference data in, clean pairs out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cyclopts
from rich.text import Text

from palate.cli.console import output_console, print_json
from palate.cli.data_audit import audit
from palate.cli.data_convert import convert
from palate.cli.data_curate import curate, split
from palate.cli.options import AsJson
from palate.cli.source_options import DEFAULTS, PreferenceFile, ReadingOptions, source_options
from palate.data import inspect_source
from palate.data.excerpts import excerpt

__all__ = ["data_app"]

data_app = cyclopts.App(name="data", help="Any preference data in, clean pairs out.")
data_app.command(convert)
data_app.command(audit)
data_app.command(curate)
data_app.command(split)

MAX_EXAMPLES_SHOWN = 2
MAX_CHARACTERS_SHOWN = 200


@data_app.command
def inspect(
    file: PreferenceFile,
    *,
    reading: ReadingOptions = DEFAULTS,
    as_json: AsJson = False,
) -> None:
    """Name the layout of a data set, count its rows, show a few of them and why rows were set aside."""
    found = inspect_source(source_options(file, reading))
    if as_json:
        print_json(found)
    else:
        _show(file, found)


def _show(file: str, found: dict[str, Any]) -> None:
    console = output_console(soft_wrap=True)
    console.print(Text.assemble((excerpt(file, 500), "bold"), "  layout ", (found["layout"], "bold cyan")))
    for line in (_account(found), *_counts(found["kind"], found["counts"]), *_figures(found)):
        console.print(Text(line))
    for example in found["examples"][:MAX_EXAMPLES_SHOWN]:
        console.print(Text(f"\n{excerpt(example['source'], 500)}:{example['line']}", style="dim"))
        for side, style, messages in _sides(example):
            console.print(Text.assemble((f"{side:>11}  ", style), _shortened(messages)))
    if found["set_aside"]:
        console.print(Text("\nset aside", style="yellow"))
    for reason in found["set_aside"]:
        more = ", ..." if reason["count"] > len(reason["places"]) else ""
        places = excerpt(", ".join(reason["places"]), 500) + more
        console.print(Text(f"{reason['count']:>7,}  {reason['reason']}\n         {places}"))


def _account(found: dict[str, Any]) -> str:
    kept = f"{found['num_kept']:,} {found['kind']}"
    return f"{found['num_rows']:,} rows = {kept} + {found['num_set_aside']:,} set aside"


def _counts(kind: str, counts: dict[str, Any]) -> Iterator[str]:
    yield f"{counts['num_prompts']:,} distinct prompts"
    if kind == "labels":
        yield f"{counts['num_desirable']:,} desirable, {counts['num_undesirable']:,} undesirable"
    if kind == "rankings" and counts["num_completions"]:
        lengths = counts["num_completions"].items()
        yield ", ".join(f"{number:,} rankings of {length} completions" for length, number in lengths)
    if kind == "rankings":
        yield f"as pairs {counts['num_pairs']:,}; comparisons left out: {counts['num_tied']:,} tied, " + (
            f"{counts['num_below_gap']:,} closer than min_gap"
        )
    if kind == "rankings" and counts["num_repeated"]:
        yield f"left out: {counts['num_repeated']:,} repeated completions"


def _figures(found: dict[str, Any]) -> Iterator[str]:
    for name in ("gap", "margin", "weight"):
        if spread := found.get(name):
            yield f"{name} {spread['min']:g} to {spread['max']:g}, median {spread['median']:g}"
    if num_against := found["counts"].get("num_scored_against"):
        yield f"{num_against:,} pairs have scores that say that rejected is the better one"


def _sides(example: dict[str, Any]) -> Iterator[tuple[str, str, list[dict[str, str]]]]:
    """What an example shows: a name, its colour, and messages."""
    yield "prompt", "default", example["prompt"]
    if "label" in example:
        side, style = ("desirable", "green") if example["label"] else ("undesirable", "red")
        yield side, style, example["completion"]
    elif "completions" in example:
        for place, completion in enumerate(example["completions"], 1):
            yield str(place), "green" if place == 1 else "default", completion
    else:
        yield "chosen", "green", example["chosen"]
        yield "rejected", "red", example["rejected"]


def _shortened(messages: list[dict[str, str]]) -> str:
    """The messages on one line; the role is said where there are several."""
    said = [f"[{m['role']}] {m['content']}" if len(messages) > 1 else m["content"] for m in messages]
    return excerpt(" ".join(said), MAX_CHARACTERS_SHOWN)
