"""`palate diagnose`: what a run's curves say, and what to do next."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from rich.console import Console
from rich.text import Text

from palate.cli.console import output_console, print_json
from palate.data.excerpts import excerpt

__all__ = ["diagnose", "show_findings"]

_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_SURE = {"certain": "", "likely": " (likely)", "hint": " (a hint: other causes look alike)"}
_LONGEST = 600


def diagnose(
    run: Path, *, as_json: Annotated[bool, cyclopts.Parameter(name="--json", negative="")] = False
) -> None:
    """What a run's curves say: each finding with its evidence, its meaning, and what to do next.

    Works while the run trains, too. Leaves RUN/findings.json, which the report shows.

    Parameters
    ----------
    run
        A run folder.
    as_json
        Print the findings as JSON.
    """
    from palate.evaluate.diagnosis import write_diagnosis

    found = write_diagnosis(run).as_dict()
    if as_json:
        print_json(found)
    else:
        _show_whole(found, output_console(soft_wrap=True))
    if any(finding["severity"] == "error" for finding in found["findings"]):
        sys.exit(1)


def show_findings(content: Mapping[str, Any], run: Path, console: Console) -> None:
    """A line for each finding of a findings.json, for the end of a run's summary; none for a healthy run."""
    findings = content.get("findings") or []
    for finding in findings:
        console.print(_headline(finding), soft_wrap=True)
    if findings:
        text = f"What they mean, and what to do: palate diagnose {run}"
        console.print(Text(text), soft_wrap=True)


def _show_whole(found: Mapping[str, Any], console: Console) -> None:
    for finding in found["findings"]:
        console.print(_headline(finding))
        for name, text in (("means", finding["meaning"]), ("next", finding["remedy"])):
            console.print(Text.assemble((f"  {name}: ", "dim"), excerpt(text, _LONGEST)))
        if finding["recipe_value"] is not None:
            console.print(Text(f"  try: {finding['recipe_key']}={finding['recipe_value']}"))
        console.print()
    num_checked, apart = len(found["rules_checked"]), found["rules_not_applicable"]
    if not found["findings"]:
        console.print(Text(f"nothing found by {num_checked} rules", style="green"))
    else:
        console.print(Text(f"{num_checked} rules checked", style="dim"))
    for name, why in apart.items():
        console.print(Text(f"not checked: {name}: {excerpt(why, _LONGEST)}", style="dim"))
    if found["best_step"] is not None:
        console.print(Text(f"best step: {found['best_step']}"))


def _headline(finding: Mapping[str, Any]) -> Text:
    severity = str(finding["severity"])
    said = excerpt(str(finding["sentence"]), _LONGEST) + _SURE.get(str(finding["sure"]), "")
    return Text.assemble((f"{severity} {finding['rule']}", _STYLES.get(severity, "")), f": {said}")
