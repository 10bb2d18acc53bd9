"""What asking took, for JSON and as shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from palate.cli.asking_options import Askers
from palate.data.excerpts import excerpt

__all__ = ["account_of_asking", "show_asking"]


def account_of_asking(askers: Askers) -> list[dict[str, Any]]:
    """What was asked of each model, for JSON."""
    rows = []
    for asker in askers.made.values():
        for model, part in asker.account.models.items():
            rows.append(
                {
                    "server": asker.server,
                    "model": model,
                    "currency": asker.account.currency,
                    "wall_seconds": round(asker.account.wall_seconds, 3),
                    **part.as_dict(),
                }
            )
    return rows


def show_asking(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """A table in a terminal, a line for each model elsewhere; then why there was no answer."""
    if console.is_terminal:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("model", "new", "stored", "tokens in", "tokens out", "cost", "without an answer"):
            table.add_column(name, justify="left" if name in ("model", "without an answer") else "right")
        for row in rows:
            table.add_row(*(Text(cell) for cell in _cells(row)))
        console.print(table)
    else:
        for row in rows:
            model, new, stored, tokens_in, tokens_out, cost, without = _cells(row)
            line = (
                f"{model}: {new} new, {stored} from the store, {tokens_in} + {tokens_out} tokens, cost {cost}"
            )
            console.print(Text(line + (f"; {without}" if without else "")))
    for row in rows:
        for reason in row["reasons"][:5]:
            said = f"{reason['count']:>7,}  {reason['status']}: {reason['reason']}"
            console.print(Text(excerpt(said, 300), style="yellow"))


def _cells(row: dict[str, Any]) -> list[str]:
    without = {name: count for name, count in row["statuses"].items() if name != "answered"}
    return [
        excerpt(row["model"], 60),
        f"{row['num_new']:,}",
        f"{row['num_stored']:,}",
        f"{row['prompt_tokens']:,}",
        f"{row['completion_tokens']:,}",
        _cost(row),
        ", ".join(f"{count:,} {name}" for name, count in without.items()),
    ]


def _cost(row: dict[str, Any]) -> str:
    if row["server"].startswith("local:"):
        return "0"
    return "unknown" if row["cost"] is None else f"{row['cost']:.4f} {row['currency']}".rstrip()
