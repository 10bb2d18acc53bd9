"""Which features one body of text has more of than another, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Telling", "log_odds_of", "telling_features"]


@dataclass(frozen=True, slots=True)
class Telling:
    """A feature that tells one body from another."""

    feature: str
    log_odds: float
    """How much more often the first body has it, in natural log-odds, drawn towards the prior."""
    z: float
    """The same in standard errors: rare features have wild odds and small z."""
    count_first: int
    count_second: int


def telling_features(
    first_V: NDArray[np.float64],
    second_V: NDArray[np.float64],
    prior_V: NDArray[np.float64],
    names: Sequence[str],
    *,
    prior_size: float = 500.0,
) -> list[Telling]:
    """The log-odds ratio of every feature with an informative Dirichlet prior, the most telling first.

    Monroe, Colaresi and Quinn, "Fightin' Words" (2008), equations 15 to 22: the prior's frequencies are those
    of a background corpus, so a word that is common everywhere has to differ by more to be named.

    Args:
        first_V: counts of each feature in one body.
        second_V: counts in the other.
        prior_V: counts in a background body, which may be the sum of the two.
        names: of the features.
        prior_size: how many words the prior is worth.

    Returns:
        Every feature that occurs, by |z| falling; positive where the first body has more of it.
    """
    log_odds, z = log_odds_of(first_V, second_V, prior_V, prior_size=prior_size)
    present = np.flatnonzero((first_V + second_V > 0) & np.isfinite(log_odds)).tolist()
    found = [
        Telling(names[i], float(log_odds[i]), float(z[i]), round(first_V[i]), round(second_V[i]))
        for i in present
    ]
    return sorted(found, key=lambda telling: (-abs(telling.z), telling.feature))


def log_odds_of(
    first_V: NDArray[np.float64],
    second_V: NDArray[np.float64],
    prior_V: NDArray[np.float64],
    *,
    prior_size: float = 500.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The log-odds ratio of each feature, and the same in standard errors.

    Any leading dimensions; of a feature that is the only one there is, neither is a number.
    """
    # A feature the background lacks still has a prior, or its odds would be infinite.
    background = prior_V + 0.01
    alpha = prior_size * background / background.sum()
    own_first, own_second = first_V + alpha, second_V + alpha
    rest_first = first_V.sum(axis=-1, keepdims=True) + prior_size - own_first
    rest_second = second_V.sum(axis=-1, keepdims=True) + prior_size - own_second
    with np.errstate(divide="ignore", invalid="ignore"):
        log_odds = np.log(own_first / rest_first) - np.log(own_second / rest_second)
    return log_odds, log_odds / np.sqrt(1 / own_first + 1 / own_second)
