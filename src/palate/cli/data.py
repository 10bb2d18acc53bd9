"""`palate data ...`: look at preference data before a run does."""

from __future__ import annotations

from typing import Annotated, Any

import cyclopts
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from palate.cli.console import print_json
from palate.data import LAYOUTS, inspect_source
from palate.data.excerpts import excerpt
from palate.errors import DataError, did_you_mean
from palate.recipe import SourceOptions

__all__ = ["data_app"]

data_app = cyclopts.App(name="data", help="Look at preference data.")

MAX_EXAMPLES_SHOWN = 2
MAX_CHARACTERS_SHOWN = 200


@data_app.command
def inspect(
    file: str,
    *,
    layout: str = "auto",
    support_ratio: float | None = None,
    limit: int | None = None,
    as_json: Annotated[bool, cyclopts.Parameter(name="--json", negative="")] = False,
) -> None:
    """Name the layout of a data set, count its rows, show a few pairs and why rows were set aside.

    Parameters
    ----------
    file
        A JSON, JSONL, CSV or Parquet file, also gzipped, or a Hugging Face Hub data set.
    layout
        How the rows are laid out; told from the rows where absent.
    support_ratio
        For the stance layout: the share of rows, from the first, that prefer support.
    limit
        Read only the first rows.
    as_json
        Print JSON.
    """
    found = inspect_source(_options(file, layout, support_ratio, limit))
    if as_json:
        print_json(found)
    else:
        _show(file, found)


def _options(file: str, layout: str, support_ratio: float | None, limit: int | None) -> SourceOptions:
    known = ["auto", *LAYOUTS]
    if layout not in known:
        raise DataError(
            f'"{layout}": unknown layout.{did_you_mean(layout, known)} All of them: {", ".join(known)}',
            where="--layout",
        )
    given = {"source": file, "layout": layout, "support_ratio": support_ratio, "limit": limit}
    try:
        return SourceOptions.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-") if first["loc"] else "command line"
        raise DataError(first["msg"].removeprefix("Value error, "), where=option) from None


def _show(file: str, found: dict[str, Any]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(Text.assemble((excerpt(file, 500), "bold"), "  layout ", (found["layout"], "bold cyan")))
    counts = (
        f"{found['num_rows']:,} rows = {found['num_kept']:,} pairs + {found['num_set_aside']:,} set aside"
    )
    console.print(Text(counts))
    for example in found["examples"][:MAX_EXAMPLES_SHOWN]:
        console.print(Text(f"\n{excerpt(example['source'], 500)}:{example['line']}", style="dim"))
        for side, style in (("prompt", "default"), ("chosen", "green"), ("rejected", "red")):
            console.print(Text.assemble((f"{side:>9}  ", style), _shortened(example[side])))
    if found["set_aside"]:
        console.print(Text("\nset aside", style="yellow"))
    for reason in found["set_aside"]:
        more = ", ..." if reason["count"] > len(reason["places"]) else ""
        places = excerpt(", ".join(reason["places"]), 500) + more
        console.print(Text(f"{reason['count']:>7,}  {reason['reason']}\n         {places}"))


def _shortened(messages: list[dict[str, str]]) -> str:
    """The messages on one line; the role is said where there are several."""
    said = [f"[{m['role']}] {m['content']}" if len(messages) > 1 else m["content"] for m in messages]
    return excerpt(" ".join(said), MAX_CHARACTERS_SHOWN)
