"""`palate winrate`: what a table of judgements says, and how sure that is."""

from __future__ import annotations

from typing import Annotated, Any

import cyclopts
from rich.console import Console
from rich.table import Table
from rich.text import Text

from palate.cli.console import output_console, print_json
from palate.data.excerpts import excerpt
from palate.data.vote_columns import parse_vote_columns

__all__ = ["winrate"]


def winrate(
    file: str,
    *,
    of: str | None = None,
    against: str | None = None,
    judge: str | None = None,
    columns: str | None = None,
    within: float | None = None,
    as_json: Annotated[bool, cyclopts.Parameter(name="--json", negative="")] = False,
) -> None:
    """The win rate in a table of judgements: AlpacaEval's annotations, our verdicts, or people's votes.

    Parameters
    ----------
    file
        A JSON, JSONL, CSV or Parquet file, also gzipped.
    of
        Whose win rate; the second side where the table has an order of its own.
    against
        Count only judgements against this model.
    judge
        Whose verdicts, where the file has those of several judges.
    columns
        Which column holds what, for votes whose columns do not say it: a=...,b=...,preferred=...,prompt=...
    within
        How many comparisons it still takes to know the win rate so closely, such as 0.03 either way.
    as_json
        Print the figures as JSON; rates are in 0 to 1.
    """
    from palate.evaluate.winrate import table_win_rate

    named = parse_vote_columns(columns) if columns is not None else None
    found = table_win_rate(file, of=of, against=against, judge=judge, columns=named, within=within).as_dict()
    if as_json:
        print_json(found)
    else:
        _show(found, output_console())


def _show(found: dict[str, Any], console: Console) -> None:
    console.print(Text(excerpt(found["sentence"], 400), style="bold"), soft_wrap=True)
    console.print()
    rows = _figures(found)
    if console.is_terminal:
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="dim")
        table.add_column()
        for name, value in rows:
            table.add_row(name, Text(value))
        console.print(table)
    else:
        for name, value in rows:
            console.print(Text(f"{name}: {value}"), soft_wrap=True)
    for warning in found["warnings"]:
        console.print(Text(f"note: {excerpt(warning, 600)}", style="yellow"), soft_wrap=True)


def _figures(found: dict[str, Any]) -> list[tuple[str, str]]:
    counts = f"{found['num_wins']:,} / {found['num_ties']:,} / {found['num_losses']:,}"
    rows = [
        ("win / tie / loss", counts + (f", {found['num_missing']:,} missing" * bool(found["num_missing"]))),
        ("win rate", _rate(found["win_rate"], found["interval_95"])),
    ]
    if found["discrete_win_rate"] != found["win_rate"]:
        rows.append(("as wins and losses", _rate(found["discrete_win_rate"], found["discrete_interval_95"])))
    if found["standard_error"] is not None:
        rows.append(("standard error", f"{found['standard_error']:.2%}"))
    rows.append(("sign test", f"p = {found['sign_test_p']:.3g}"))
    if found["length_controlled_win_rate"] is not None:
        interval = found["length_controlled_interval_95"]
        rows.append(("at equal lengths", _rate(found["length_controlled_win_rate"], interval)))
    if found["within"] is not None:
        rows.append(
            (
                f"to be within {found['within']['half_width']:.3g} either way",
                f"{_count(found['within']['num_more'], 'more comparison')}, at this rate",
            )
        )
    prompts = ", ".join(_count(found[f"num_{noun}s"], noun) for noun in ("comparison", "prompt"))
    return [*rows, ("rests on", f"{prompts} ({found['layout'].replace('_', ' ')})")]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _rate(rate: float | None, interval: list[float] | None) -> str:
    if rate is None:
        return "nothing to count"
    from palate.statistics.win_rates import interval_in_words

    said = "" if interval is None else f"  ({interval_in_words(interval)})"
    return f"{rate:.1%}{said}"
