"""Rows of a data set on the Hugging Face Hub, through `datasets`."""

from __future__ import annotations

from collections.abc import Iterator

from palate.data.excerpts import excerpt
from palate.data.rows import RawRow
from palate.errors import DataError

__all__ = ["read_hub"]


def read_hub(name: str, *, split: str | None = None, revision: str | None = None) -> Iterator[RawRow]:
    """The rows of one split of a Hub data set, downloaded once and cached by `datasets`.

    Data sets that would run code of their own are refused by `datasets` itself, and stay so.

    Raises:
        DataError: there is no such data set or split, or it cannot be reached.
    """
    import datasets

    try:
        table = datasets.load_dataset(name, split=split or "train", revision=revision)
    except datasets.exceptions.DatasetNotFoundError as error:
        raise DataError(
            f"no file and no Hub data set of this name: {excerpt(str(error), 200)}",
            where=name,
            next="check the spelling; for a private or gated data set log in with `hf auth login`",
        ) from None
    except ConnectionError as error:
        offline = datasets.config.HF_HUB_OFFLINE
        raise DataError(
            "the Hub data set is not in the local cache and the Hub cannot be reached",
            where=name,
            why="HF_HUB_OFFLINE=1 is set" if offline else excerpt(str(error), 200),
            next=("unset HF_HUB_OFFLINE, " if offline else "connect to the network, ")
            + "or download the data set and name its file; a local file needs no network",
        ) from None
    except Exception as error:
        # `datasets` and its formats raise a dozen kinds; each means that these rows cannot be had as asked.
        raise DataError(
            f"the Hub data set cannot be loaded: {excerpt(str(error), 300)}",
            where=name,
            next="check data.*.split and data.*.revision, or download it and name its file",
        ) from error
    for number, row in enumerate(table, 1):
        yield RawRow(number, row)
