"""How far one gets on the held-out rows without understanding anything."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from palate.data.audit.draft import Draft
from palate.data.audit.finding import MAX_EXAMPLES
from palate.data.audit.index import Edges, Keys, RowIndex
from palate.data.audit.shares import Share, clustered_share

__all__ = ["WORTH_A_WARNING", "counting_baseline"]

WORTH_A_WARNING = 0.55
"""A baseline is reported where its 95% interval lies above this: clearly better than a coin, by a margin that
matters."""

_SAYS = {
    "counting": "wins minus losses in training",
    "longer": "take the longer one",
    "shorter": "take the shorter one",
}


def counting_baseline(index: RowIndex) -> Iterator[Draft]:
    """Three rules that read nothing, held against what the held-out rows prefer.

    `counting` takes the completion with the higher share of wins in the rows to train on, under whatever
    prompt: (wins + 1) / (wins + losses + 2), so that a text never seen is at one half.
    """
    train, held_out = index.edges("train"), index.edges("eval")
    if not len(train) or not len(held_out):
        return
    longer = held_out.better_characters - held_out.worse_characters
    known = _win_rates(train)
    differences = {
        "counting": _rates_of(known, held_out.better) - _rates_of(known, held_out.worse),
        "longer": longer,
        "shorter": -longer,
    }
    shares = {name: _accuracy(difference, held_out) for name, difference in differences.items()}
    good = {
        name: share for name, share in shares.items() if share is not None and share.lower > WORTH_A_WARNING
    }
    if not good:
        return
    best = max(good, key=lambda name: good[name].lower)
    right = np.flatnonzero(differences[best] > 0)
    said = "; ".join(f'"{_SAYS[name]}" is right {_described(share)}' for name, share in good.items())
    yield Draft(
        "counting_baseline",
        "warning",
        good[best].num,
        [(int(row),) for row in dict.fromkeys(held_out.row[right].tolist())][:MAX_EXAMPLES],
        f"On the held-out comparisons {said}. A model has to beat this before its accuracy says anything "
        "about taste.",
        "Report these figures beside the model's. Hold out completions that are not in training (palate "
        "data split FILE -o FOLDER --group-by-completion), and balance lengths (length_bias) where length is "
        "not the taste.",
        {
            "num_comparisons": len(held_out),
            **{name: None if share is None else share.as_dict() for name, share in shares.items()},
        },
    )


def _described(share: Share) -> str:
    return (
        f"in {share.value:.1%} of the {share.of:,} it decides (95% interval {share.lower:.1%} to "
        f"{share.upper:.1%}, by prompt)"
    )


def _accuracy(difference: NDArray, held_out: Edges) -> Share | None:
    decided = difference != 0
    return clustered_share(difference[decided] > 0, held_out.asked[decided])


def _win_rates(train: Edges) -> tuple[Keys, NDArray[np.float64]]:
    """Every completion of the training rows, sorted by name, with its smoothed share of wins."""
    names, place = np.unique(np.concatenate([train.better, train.worse]), return_inverse=True)
    wins = np.bincount(place[: len(train)], minlength=len(names))
    losses = np.bincount(place[len(train) :], minlength=len(names))
    return names, (wins + 1) / (wins + losses + 2)


def _rates_of(known: tuple[Keys, NDArray[np.float64]], wanted: Keys) -> NDArray[np.float64]:
    names, rates = known
    place = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
    return np.where(names[place] == wanted, rates[place], 0.5)
