"""What a source holds, before anything is done with it."""

from __future__ import annotations

from typing import Any

from palate.data.pairs import read_pairs
from palate.recipe import SourceOptions
from palate.records import Messages, Pair, SetAside

__all__ = ["inspect_source"]

MAX_EXAMPLES = 3
MAX_PLACES = 5


def inspect_source(options: SourceOptions) -> dict[str, Any]:
    """The layout, counts, a few pairs and the reasons for rows set aside, as plain data.

    `num_rows` = `num_kept` + `num_set_aside`. `set_aside` lists each reason once, the most frequent first,
    with its count and the first few places.

    Raises:
        DataError: as `read_pairs`.
    """
    found = read_pairs(options)
    return {
        "layout": found.layout,
        "num_rows": found.num_rows,
        "num_kept": len(found.pairs),
        "num_set_aside": len(found.set_aside),
        "examples": [_example(pair) for pair in found.pairs[:MAX_EXAMPLES]],
        "set_aside": _reasons(found.set_aside),
    }


def _example(pair: Pair) -> dict[str, Any]:
    return {
        "source": pair.provenance.source,
        "line": pair.provenance.line,
        "prompt": _plain(pair.prompt),
        "chosen": _plain(pair.chosen),
        "rejected": _plain(pair.rejected),
    }


def _plain(messages: Messages) -> list[dict[str, str]]:
    return [message.as_dict() for message in messages]


def _reasons(set_aside: tuple[SetAside, ...]) -> list[dict[str, Any]]:
    places: dict[str, list[str]] = {}
    for row in set_aside:
        places.setdefault(row.reason, []).append(row.place)
    return [
        {"reason": reason, "count": len(found), "places": found[:MAX_PLACES]}
        for reason, found in sorted(places.items(), key=lambda item: -len(item[1]))
    ]
