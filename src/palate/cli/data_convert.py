"""`palate data convert`: any layout in, clean records out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
from rich.text import Text

from palate.cli.console import output_console, print_json
from palate.cli.options import AsJson, Flag
from palate.cli.source_options import DEFAULTS, PreferenceFile, ReadingOptions, source_options
from palate.data import Conversion, convert_source
from palate.data.excerpts import excerpt

__all__ = ["convert"]


def convert(
    file: PreferenceFile,
    *,
    out: Annotated[Path, cyclopts.Parameter(name=["--out", "-o"])],
    reading: ReadingOptions = DEFAULTS,
    kind: Literal["pairs", "labels", "rankings"] | None = None,
    system: str | None = None,
    overwrite: Flag = False,
    as_json: AsJson = False,
) -> None:
    """Write a data set's records into a file that Palate, datasets and trl read. Exit 1 if none was kept.

    Parameters
    ----------
    out
        The file to write: .jsonl, .jsonl.gz or .parquet. Rows set aside are listed beside it.
    kind
        What to write; as the data is where absent.
    system
        A system message for every prompt that has none.
    overwrite
        Replace the file if it is there.
    """
    done = convert_source(source_options(file, reading), out, kind=kind, system=system, overwrite=overwrite)
    if as_json:
        print_json(done.as_data())
    else:
        console = output_console(soft_wrap=True)
        for line in _lines(done):
            console.print(Text(line))
    if done.written is None:
        sys.exit(1)


def _lines(done: Conversion) -> Iterator[str]:
    yield f"{excerpt(done.source, 500)}  layout {done.layout}"
    yield f"{done.num_rows:,} rows = {done.num_kept:,} kept + {done.num_set_aside:,} set aside"
    if done.num_tied or done.num_below_gap:
        yield f"no pair made of {done.num_tied:,} ties, {done.num_below_gap:,} comparisons below min_gap"
    if done.written is None:
        yield "nothing was kept, so nothing was written"
    else:
        name = excerpt(str(done.written.path), 500)
        yield f"{done.written.num_records:,} {done.kind} written to {name} ({done.written.num_bytes:,} bytes)"
    if done.set_aside_file is not None:
        yield f"set aside, listed in {excerpt(str(done.set_aside_file), 500)}"
    for reason in done.reasons:
        more = ", ..." if reason["count"] > len(reason["places"]) else ""
        yield f"{reason['count']:>7,}  {excerpt(reason['reason'], 300)}"
        yield f"         {excerpt(', '.join(reason['places']), 500)}{more}"
