"""`palate objectives`: what a recipe's `objective.type` can be."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from palate.cli.console import error_console, output_console, print_json
from palate.cli.options import AsJson
from palate.recipe.objective.listing import describe_objective, list_objectives
from palate.recipe.objective.registry import refused_objectives

__all__ = ["objectives"]


def objectives(
    name: str | None = None,
    *,
    as_json: AsJson = False,
) -> None:
    """What training can minimise: every objective, or one with its options explained.

    Parameters
    ----------
    name
        One of them.
    """
    found = list_objectives() if name is None else describe_objective(name)
    console = output_console()
    if as_json:
        print_json(found)
    elif not isinstance(found, list):
        _show_one(found, console)
    elif console.is_terminal:
        console.print(_table(found, console.width))
    else:
        for each in found:
            console.print(Text(_line(each)), soft_wrap=True)
    if name is None:
        for refused, reason in refused_objectives().items():
            error_console().print(f'"{refused}" cannot be used: {reason}', markup=False)


def _table(found: list[dict[str, Any]], width: int) -> Table:
    """Options and paper stand in one column, so that 80 columns are enough for both."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    used = 0
    for title in ("type", "data", "reference"):
        widest = max(len(cell) for cell in (title, *(_cells(each)[title] for each in found)))
        table.add_column(title, no_wrap=True, min_width=widest)
        used += widest + 2
    table.add_column("options, with their defaults; paper")
    for each in found:
        about = Text(_folded_options(_defaults(each), max(width - used, 20)))
        about.append("\n" + each["paper"].partition(";")[0], "dim")
        name, *others = _cells(each).values()
        table.add_row(Text(name, "bold cyan"), *others, about)
    return table


def _folded_options(options: list[str], width: int) -> str:
    """One after the other in so many columns. What fits on a line is not torn from its name."""
    glued = [o.replace(" ", "\N{NO-BREAK SPACE}") if len(o) < width else o for o in options]
    lines = textwrap.wrap(", ".join(glued) or "no options", width, break_on_hyphens=False)
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")


def _cells(found: Mapping[str, Any]) -> dict[str, str]:
    return {"type": found["name"], "data": found["data"], "reference": _reference(found)}


def _line(found: Mapping[str, Any]) -> str:
    options = ", ".join(_defaults(found)) or "no options"
    return f"{found['name']}: {found['data']}; reference {_reference(found)}; {options}; {found['paper']}"


def _reference(found: Mapping[str, Any]) -> str:
    return {True: "yes", False: "no", None: "depends"}[found["needs_reference"]]


def _defaults(found: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {_value(value)}" for name, value in found["defaults"].items()]


def _value(value: Any) -> str:
    """As a recipe would write it."""
    return value if isinstance(value, str) else json.dumps(value)


def _show_one(found: Mapping[str, Any], console: Console) -> None:
    width = min(console.width, 100) if console.is_terminal else 100

    def show(text: str, indent: int = 0, style: str = "") -> None:
        lines = _folded(text, width - indent)
        console.print(Text(textwrap.indent("\n".join(lines), " " * indent), style), soft_wrap=True)

    show(found["name"], style="bold cyan")
    show(found["summary"])
    console.print()
    show(f"Learns from {found['data']}. {_needs(found)}")
    show(f"Paper: {found['paper']}")
    console.print()
    show("Options" if found["options"] else "It has no options.", style="bold")
    for option in found["options"]:
        default = _value(option["default"]) if "default" in option else "needed"
        show(f"{option['name']}: {default}", indent=2, style="cyan")
        show(option["description"], indent=6)
    if found["computes"] is None:
        return
    console.print()
    show("What it computes", style="bold")
    for place, paragraph in enumerate(found["computes"].split("\n\n")):
        if place > 0:
            console.print()
        is_formula = paragraph.startswith(" ")
        for line in paragraph.splitlines() if is_formula else [" ".join(paragraph.split())]:
            show(line, indent=2)


def _needs(found: Mapping[str, Any]) -> str:
    reference = {
        True: "It needs a reference.",
        False: "It needs no reference.",
        None: "Its options decide whether it needs a reference.",
    }[found["needs_reference"]]
    margin = " It takes the pairs' target margins." if found["takes_margin"] else ""
    scores = " It makes a reward model." if found["reads"] == "scores" else ""
    return reference + margin + scores


def _folded(line: str, width: int) -> list[str]:
    """The line, in as many as it takes; what continues stands as deep as it began."""
    deep = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(line, width, subsequent_indent=deep, break_on_hyphens=False) or [""]
