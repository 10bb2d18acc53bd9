"""`palate data curate` and `palate data split`: the rows worth learning from, and those to measure with."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
from rich.text import Text

from palate.cli.console import output_console, print_json
from palate.cli.options import AsJson, Flag
from palate.cli.source_options import DEFAULTS, PreferenceFile, ReadingOptions, source_options
from palate.data import stream_records
from palate.data.converting import set_aside_path
from palate.data.curation_options import CurationOptions, SplitOptions
from palate.data.excerpts import excerpt
from palate.errors import DataError

if TYPE_CHECKING:
    from palate.data.curation import Split, StepAccount
    from palate.data.curation.splitting import SplitName
    from palate.data.writing import Written

__all__ = ["curate", "split"]

ROWS = cyclopts.Group("Which rows stay", sort_key=1)

CURATION = CurationOptions()
SPLIT = SplitOptions()
"""Nothing said."""


def curate(
    file: PreferenceFile,
    *,
    out: Annotated[Path | None, cyclopts.Parameter(name=["--out", "-o"])] = None,
    options: Annotated[CurationOptions, cyclopts.Parameter(name="*", negative="", group=ROWS)] = CURATION,
    dry_run: Flag = False,
    overwrite: Flag = False,
    reading: ReadingOptions = DEFAULTS,
    as_json: AsJson = False,
) -> None:
    """Keep the rows worth learning from, and say for each other why it went. Exit 1 if none is left.

    Parameters
    ----------
    out
        The file to write: .jsonl, .jsonl.gz or .parquet. Rows set aside are listed beside it.
    dry_run
        Say what would be done, and write nothing.
    overwrite
        Replace the file if it is there.
    """
    # numpy and scipy, here and in `split`: no help page needs them.
    from palate.data.curation import curate_records, write_curation

    if (out is None) != dry_run or (dry_run and overwrite):
        raise DataError(
            "nothing is written, so --out and --overwrite have no effect"
            if dry_run
            else "there is no file to write into",
            where="--dry-run" if dry_run else "--out",
            next="give either --out FILE or --dry-run",
        )
    curation = curate_records(stream_records(source_options(file, reading)), options)
    account = curation.account
    written = None if out is None else write_curation(curation, out, overwrite=overwrite)
    if as_json:
        print_json(account.as_dict() | {"out": None if written is None else str(written.path)})
    else:
        console = output_console(soft_wrap=True)
        console.print(
            Text.assemble((excerpt(file, 500), "bold"), f"  {account.kind}, layout {account.layout}")
        )
        console.print(Text(f"{'step':<18}{'in':>10}{'removed':>10}{'left':>10}", style="dim"))
        for step in account.steps:
            for line in _told(step):
                console.print(Text(line))
        for line in _outcome(account.num_kept, out, None if written is None else written.num_bytes):
            console.print(Text(line))
        if out is not None and account.num_set_aside:
            console.print(Text(f"what went, and why: {excerpt(str(set_aside_path(out)), 500)}"))
    if not account.num_kept:
        sys.exit(1)


def _told(step: StepAccount) -> Iterator[str]:
    yield f"{step.step:<18}{step.num_in:>10,}{step.num_removed:>10,}{step.num_left:>10,}"
    if step.places:
        more = ", ..." if step.num_removed > len(step.places) else ""
        # The file was named above: its lines are what is new.
        names = (Path(place).name for place in step.places)
        yield f"    {excerpt(', '.join(names), 300)}{more}"
    for when in ("before", "after"):
        if when in step.figures:
            is_nothing = when == "after" and step.num_in and not step.num_left
            yield f"    {when:<7}{'no pair is left' if is_nothing else _lengths(step.figures[when])}"
    if not step.figures.get("is_balanced", True):
        yield "    not as near as it should be: these rows have too few pairs of the other direction"


def _lengths(figures: dict[str, Any]) -> str:
    share, effect = figures["share_longer"], figures["effect_size"]
    said = "all equally long" if share is None else f"chosen longer {share:.1%}"
    said += f", {figures['mean_difference_characters']:+,.1f} characters on average"
    return said if effect is None else f"{said}, {effect:+.2f} standard deviations"


def _outcome(num_kept: int, out: Path | None, num_bytes: int | None) -> Iterator[str]:
    if not num_kept:
        yield "no row is left" + ("" if out is None else ", so none was written")
    elif out is None:
        yield f"{num_kept:,} rows would be left; nothing was written"
    else:
        yield f"{num_kept:,} rows written to {excerpt(str(out), 500)} ({num_bytes:,} bytes)"


def split(
    file: PreferenceFile,
    *,
    out: Annotated[Path, cyclopts.Parameter(name=["--out", "-o"])],
    options: Annotated[SplitOptions, cyclopts.Parameter(name="*", negative="")] = SPLIT,
    format: Literal["jsonl", "jsonl.gz", "parquet"] = "jsonl",
    overwrite: Flag = False,
    reading: ReadingOptions = DEFAULTS,
    as_json: AsJson = False,
) -> None:
    """Divide rows into files to train on and to measure with, no prompt in two of them.

    Parameters
    ----------
    out
        The folder to write train, eval and test into.
    format
        How the files are written.
    overwrite
        Replace the files if they are there.
    """
    from palate.data.curation import split_source, write_split

    found = split_source(stream_records(source_options(file, reading)), options)
    written = write_split(found, out, ending=f".{format}", overwrite=overwrite)
    if as_json:
        print_json(found.as_dict() | {"files": {side: str(file.path) for side, file in written.items()}})
        return
    console = output_console(soft_wrap=True)
    for line in _sides(found, written):
        console.print(Text(line))
    if found.num_groups_too_large:
        console.print(
            Text(
                f"groups too large for a held-out side: {found.num_groups_too_large:,}; "
                "its share is met as nearly as groups allow",
                style="yellow",
            )
        )


def _sides(found: Split, written: Mapping[SplitName, Written]) -> Iterator[str]:
    said = found.as_dict()
    yield (
        f"{said['num_rows']:,} rows, {said['num_set_aside']:,} of them set aside; "
        f"{found.num_groups:,} groups, the largest of {found.largest_group:,} rows"
    )
    num_records = sum(said["num_records"].values())
    for side, file in written.items():
        share = file.num_records / num_records
        yield f"{side:<6}{file.num_records:>10,}{share:>8.1%}  {excerpt(str(file.path), 500)}"
