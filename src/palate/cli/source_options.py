"""How a source is to be read, as typed: the same options for every command that reads preference rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import cyclopts
from pydantic import ValidationError

from palate.cli.options import Flag
from palate.data import LAYOUTS
from palate.data.columns import parse_columns
from palate.errors import DataError, did_you_mean
from palate.recipe import SourceOptions

__all__ = ["DEFAULTS", "PreferenceFile", "ReadingOptions", "source_options"]

PreferenceFile = Annotated[
    str,
    cyclopts.Parameter(
        help="A JSON, JSONL, CSV or Parquet file, also gzipped, or a Hugging Face Hub data set."
    ),
]


@cyclopts.Parameter(name="*", group=cyclopts.Group("How the file is read", sort_key=2))
@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """What a command takes as `reading: ReadingOptions = DEFAULTS`; each field is an option."""

    layout: str = "auto"
    """How the rows are laid out; told from the rows where absent."""
    support_ratio: float | None = None
    """For the stance layout: the share of rows, from the first, that prefer support."""
    margin_column: str | None = None
    """The column that holds by how much chosen is better than rejected."""
    weight_column: str | None = None
    """The column that holds how much a row counts."""
    columns: str | None = None
    """Which column holds what, in place of a layout: prompt=q,chosen=good,rejected=bad."""
    pair_rule: str = "all"
    """Which pairs a ranking becomes: all, best_worst or neighbours."""
    min_gap: float | None = None
    """Leave out pairs whose scores differ by less."""
    score_margin: Flag = False
    """Make the difference of the scores the pair's margin."""
    split: str | None = None
    """Which split of a Hub data set; train where absent."""
    revision: str | None = None
    """A branch, tag or commit of a Hub data set."""
    limit: int | None = None
    """Read only the first rows."""


DEFAULTS = ReadingOptions()
"""Nothing said."""


def source_options(file: str, reading: ReadingOptions = DEFAULTS) -> SourceOptions:
    """The source that was named, to be read as the options say.

    Raises:
        DataError: an option has a value that it cannot have; it is named as it was typed.
    """
    given: dict[str, Any] = {"source": file, **asdict(reading)}
    if reading.columns is not None:
        given["columns"] = parse_columns(reading.columns)
    known = ["auto", *LAYOUTS]
    if reading.layout not in known:
        raise DataError(
            f'"{reading.layout}": unknown layout.{did_you_mean(reading.layout, known)} '
            f"All of them: {', '.join(known)}",
            where="--layout",
        )
    try:
        return SourceOptions.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-") if first["loc"] else "command line"
        raise DataError(first["msg"].removeprefix("Value error, "), where=option) from None
