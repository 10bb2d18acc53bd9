"""The kinds of record a model can learn from, and which of them can be had from which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, overload

from palate.data.pairing import EACH_WITH_EACH, PairRule, pairs_of_ranking, strict_ranking
from palate.errors import DataError
from palate.records import Labelled, Pair, Ranking

__all__ = ["RECORD_TYPES", "Kind", "Record", "kind_of", "records_as"]

Kind = Literal["pairs", "labels", "rankings"]
Record = Pair | Labelled | Ranking

RECORD_TYPES: dict[Kind, type[Pair] | type[Labelled] | type[Ranking]] = {
    "pairs": Pair,
    "labels": Labelled,
    "rankings": Ranking,
}
"""What the records of each kind are."""


def kind_of(record: Record) -> Kind:
    """The kind a record is of."""
    return next(kind for kind, type_ in RECORD_TYPES.items() if isinstance(record, type_))


@overload
def records_as(
    records: Sequence[Record], kind: Literal["pairs"], *, where: str, rule: PairRule = ...
) -> list[Pair]: ...
@overload
def records_as(
    records: Sequence[Record], kind: Literal["labels"], *, where: str, rule: PairRule = ...
) -> list[Labelled]: ...
@overload
def records_as(
    records: Sequence[Record], kind: Literal["rankings"], *, where: str, rule: PairRule = ...
) -> list[Ranking]: ...
@overload
def records_as(records: Sequence[Record], kind: Kind, *, where: str, rule: PairRule = ...) -> list[Any]: ...
def records_as(
    records: Sequence[Record], kind: Kind, *, where: str, rule: PairRule = EACH_WITH_EACH
) -> list[Any]:
    """The records as records of `kind`, in their order; `where` is the source's name, for the error.

    Records of that kind stay as they are, but for ties in a ranking: of completions that tie the first stays,
    and the detail counts the others as `num_tied`. A pair is two labels, or a ranking of two. A ranking is
    its pairs by the rule, by default all that differ, those of its best completion first; they share the
    prompt, and each completion is in several of them. Each record made has the weight and the origin of the
    record it is made from. A pair's margin has no place in a label or a ranking and is left behind.

    Raises:
        DataError: what the kind or the rule needs cannot be told from these records, or the rule would have
            no effect on them.
    """
    made: list[Any] = []
    for record in records:
        if isinstance(record, Ranking) and kind != "labels":
            made += _of_ranking(record, kind, rule, where)
            continue
        if isinstance(record, RECORD_TYPES[kind]):
            made.append(record)
            continue
        conversion = _CONVERSIONS.get((type(record), kind))
        if conversion is None:
            raise _cannot_become(kind_of(record), kind, where)
        made += conversion(record)
    return made


def _labels_of_pair(pair: Pair) -> Iterator[Labelled]:
    yield Labelled(pair.prompt, pair.chosen, True, pair.provenance, pair.weight)
    yield Labelled(pair.prompt, pair.rejected, False, pair.provenance, pair.weight)


def _ranking_of_pair(pair: Pair) -> Iterator[Ranking]:
    yield Ranking(pair.prompt, (pair.chosen, pair.rejected), pair.provenance, pair.weight)


def _of_ranking(ranking: Ranking, kind: Kind, rule: PairRule, where: str) -> Sequence[Record]:
    if kind == "pairs":
        return pairs_of_ranking(ranking, rule, where=where).pairs
    if rule != EACH_WITH_EACH:
        raise DataError(
            "pair_rule, min_gap and score_margin have no effect: the objective learns from whole rankings",
            where=where,
            next="drop them, or take an objective that learns from pairs",
        )
    return (strict_ranking(ranking),)


_CONVERSIONS: dict[tuple[type, Kind], Callable[[Any], Iterator[Record]]] = {
    (Pair, "labels"): _labels_of_pair,
    (Pair, "rankings"): _ranking_of_pair,
}

_NEEDS: dict[Kind, str] = {
    "pairs": "it learns from two completions of one prompt, of which one is preferred",
    "labels": "it learns from completions that are each said to be desirable or not",
    "rankings": "it learns from several completions of one prompt in their order",
}
# Pairs lack nothing: they can become both others.
_LACKS: dict[Kind, str] = {
    "labels": "a label judges one completion by itself and compares it with none",
    "rankings": "a ranking says which completion is better, and of none that it is good or bad",
}
_INSTEAD: dict[Kind, str] = {
    "labels": "take an objective that learns from labels (objective.type kto or bco), or data with a "
    "chosen and a rejected completion of each prompt",
    "rankings": "take an objective that learns from rankings or from pairs (objective.type plackett_luce "
    "or dpo: a ranking is also all its ordered pairs), or data with a label beside each completion",
}


def _cannot_become(kind: Kind, wanted: Kind, where: str) -> DataError:
    return DataError(
        f"these are {kind}, and the objective needs {wanted}",
        where=where,
        why=f"{_NEEDS[wanted]}; {_LACKS[kind]}",
        next=_INSTEAD[kind],
    )
