"""Where rows come from: a local file, or a data set on the Hugging Face Hub."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from palate.data.files import FORMATS, format_of, read_file
from palate.data.files.hub import read_hub
from palate.data.rows import RawRow
from palate.errors import DataError
from palate.recipe import SourceOptions

__all__ = ["open_rows"]

_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", re.ASCII)


def open_rows(options: SourceOptions) -> Iterator[RawRow]:
    """The rows a source names, in order, the first `limit` of them where there is a limit; one at a time.

    Raises:
        DataError: the source cannot be read. What breaks later is raised where it breaks.
    """
    limit = None if options.limit is None else min(options.limit, sys.maxsize)  # islice counts no further
    return islice(_open(options), limit)


def _open(options: SourceOptions) -> Iterator[RawRow]:
    source = options.source
    if not source.strip():
        raise DataError("the source is empty", next="name a file or a Hub data set in data.train.source")
    if source == "playground":
        raise DataError(
            "the playground's pairs are made while a run goes, there is no file to read",
            where=source,
            next="name a file or a Hub data set; `palate demo` shows the playground",
        )
    path = str(Path(source).expanduser()) if source.startswith("~/") else source
    # Whatever exists here is a file, and needs no network.
    if not _is_here(path) and format_of(path) not in FORMATS and _HUB_NAME.fullmatch(source):
        return read_hub(source, split=options.split, revision=options.revision)
    for name, value in (("split", options.split), ("revision", options.revision)):
        if value is not None:
            raise DataError(
                f'{name} = "{value}" has no effect on a file: it belongs to Hub data sets',
                where=source,
                next=f"drop {name}",
            )
    return read_file(path)


def _is_here(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:
        return True  # forbidden, or no name for a file: opening it says which
