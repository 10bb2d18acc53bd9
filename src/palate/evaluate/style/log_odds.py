"""Which features one body of text has more of than another, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Telling", "telling_features"]


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
    present = first_V + second_V > 0
    # A feature the background lacks still has a prior, or its odds would be infinite.
    background = prior_V + 0.01
    alpha = prior_size * background / background.sum()
    first, second, alpha_present = first_V[present], second_V[present], alpha[present]
    own_first, own_second = first + alpha_present, second + alpha_present
    rest_first = first_V.sum() + prior_size - own_first
    rest_second = second_V.sum() + prior_size - own_second
    log_odds = np.log(own_first / rest_first) - np.log(own_second / rest_second)
    z = log_odds / np.sqrt(1 / own_first + 1 / own_second)
    kept = [name for name, is_there in zip(names, present, strict=True) if is_there]
    order = sorted(range(len(kept)), key=lambda i: (-abs(z[i]), kept[i]))
    return [Telling(kept[i], float(log_odds[i]), float(z[i]), int(first[i]), int(second[i])) for i in order]
