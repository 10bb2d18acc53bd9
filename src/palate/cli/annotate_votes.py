"""`palate annotate export`, `import` and `stats`: votes out, votes in, and what they add up to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter
from rich.text import Text

from palate.cli.annotate_wording import standing_lines
from palate.cli.console import output_console, print_json
from palate.cli.options import AsJson, Flag
from palate.data.excerpts import excerpt

__all__ = ["register_votes"]

Store = Annotated[str, Parameter(name="--store")]


def register_votes(app: cyclopts.App) -> None:
    """Make them commands of `palate annotate`."""
    app.command(export)
    app.command(import_, name="import")
    app.command(stats)


def export(
    *,
    store: Store,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    votes: Path | None = None,
    min_agreement: float | None = None,
    anonymous: Flag = False,
    overwrite: Flag = False,
    as_json: AsJson = False,
) -> None:
    """Write votes as training pairs, or one by one. Exit 1 if pairs were asked for and there are none.

    Parameters
    ----------
    store
        Where the votes are: a file or a postgresql:// URL.
    out
        The pairs: .jsonl, .jsonl.gz or .parquet. Items that make none are listed beside it.
    votes
        The votes themselves, one a row: .jsonl or .parquet, which palate annotate import takes.
    min_agreement
        No pair of items of whose votes a smaller share agrees, such as 0.7.
    anonymous
        Call annotators by numbers.
    overwrite
        Replace files that are there.
    """
    from palate.pipeline.votes import export_votes

    done = export_votes(
        store, out, votes=votes, min_agreement=min_agreement, anonymous=anonymous, overwrite=overwrite
    ).as_data()
    _show(done, _export_lines(done), as_json)
    if out is not None and not done["num_pairs"]:
        sys.exit(1)


def import_(
    file: str,
    *,
    store: Store,
    annotator: str | None = None,
    columns: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Add the votes in a file to a store. Importing it again adds nothing. Exit 1 if it holds no vote.

    Parameters
    ----------
    file
        What palate annotate export --votes wrote, a table with two sides and a choice, or preference data.
    store
        Where the votes go: a file or a postgresql:// URL, made where there is none.
    annotator
        Whose votes they are; the file's name where neither it nor you say so.
    columns
        Which column holds what: a=title_a,b=title_b,preferred=title_b_preferred,prompt=idea.
    """
    from palate.data.vote_columns import parse_vote_columns
    from palate.pipeline.votes import import_vote_file

    given = None if columns is None else parse_vote_columns(columns)
    done = import_vote_file(file, store, annotator=annotator, columns=given).as_data()
    _show(done, _import_lines(done), as_json)
    if not done["num_kept"]:
        sys.exit(1)


def stats(*, store: Store, blind: Flag = False, as_json: AsJson = False) -> None:
    """What the votes in a store add up to: people, agreement, win rates, preferences that go round.

    Parameters
    ----------
    store
        Where the votes are: a file or a postgresql:// URL.
    blind
        Call models A, B, C.
    """
    from palate.pipeline.votes import read_standing

    found = read_standing(store, reveal=not blind).as_data()
    _show(found, standing_lines(found), as_json)


def _show(data: dict[str, Any], lines: Iterator[str], as_json: bool) -> None:
    if as_json:
        print_json(data)
        return
    console = output_console(soft_wrap=True)
    for line in lines:
        console.print(Text(line))


def _export_lines(done: dict[str, Any]) -> Iterator[str]:
    num_aside = sum(done["set_aside"].values())
    yield excerpt(done["store"], 500)
    yield f"{done['num_items']:,} items = {done['num_pairs']:,} pairs + {num_aside:,} set aside"
    yield from _reasons(done["reasons"])
    if done["pairs_file"] is not None:
        yield f"pairs written to {excerpt(done['pairs_file'], 500)}"
    if done["votes_file"] is not None:
        yield f"{done['num_votes']:,} votes written to {excerpt(done['votes_file'], 500)}"


def _import_lines(done: dict[str, Any]) -> Iterator[str]:
    yield f"{excerpt(done['source'], 500)}  layout {done['layout']}"
    yield f"{done['num_rows']:,} rows = {done['num_kept']:,} kept + {done['num_set_aside']:,} set aside"
    yield from _reasons(done["set_aside"])
    if (columns := done["columns"]) is not None:
        named = ", ".join(f"{name}: {column}" for name, column in columns.items() if isinstance(column, str))
        yield f"read as {excerpt(named, 500)}"
    if not done["has_prompts"]:
        yield "no column holds a prompt: each row stands for itself, and makes no training pair"
    yield (
        f"{done['num_votes']:,} votes of {excerpt(', '.join(done['annotators']), 200) or 'nobody'} = "
        f"{done['num_added']:,} added + {done['num_known']:,} there before"
    )
    if done["num_repeated"]:
        yield f"{done['num_repeated']:,} of them on a comparison voted on further up: kept as repeats"
    if done["num_replacing"]:
        yield f"{done['num_replacing']:,} of them in place of an earlier vote of the same annotator"
    yield f"{done['num_new_items']:,} new items in {excerpt(done['store'], 500)}"


def _reasons(reasons: list[dict[str, Any]]) -> Iterator[str]:
    for reason in reasons:
        more = ", ..." if reason["count"] > len(reason["places"]) else ""
        yield f"{reason['count']:>7,}  {excerpt(reason['reason'], 300)}"
        yield f"         {excerpt(', '.join(reason['places']), 500)}{more}"
