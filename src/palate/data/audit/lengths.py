"""Whether the preferred completions are longer, or shorter, than the others, and by how much."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palate.data.audit.draft import Draft
from palate.data.audit.index import Numbers, RowIndex
from palate.data.audit.shares import Share, clustered_share

__all__ = ["MAX_EFFECT", "MAX_SHARE", "common_language_effect", "length_bias", "share_longer"]

MAX_SHARE = 0.6
"""Reported where the 95% interval of the share of longer (or shorter) ones lies above this."""
MAX_EFFECT = 0.5
"""Reported where the mean difference is this many standard deviations: a medium effect in Cohen's words."""

_MIN_COMPARISONS = 20
_MIN_DEVIATIONS = 3.0
_NUM_BINS = 20


def length_bias(index: RowIndex) -> Iterator[Draft]:
    """The bias of what is trained on, where it is large; in characters."""
    if index.kind("train") == "labels":
        yield from _of_labels(index)
        return
    edges = index.edges("train")
    difference = edges.better_characters - edges.worse_characters
    uneven = difference != 0
    share = clustered_share(difference[uneven] > 0, edges.asked[uneven])
    if share is None or len(difference) < _MIN_COMPARISONS:
        return
    gap = float(difference.mean())
    effect = _in_deviations(gap, float(difference.std(ddof=1)))
    if not _is_large(share, effect, len(difference)):
        return
    longest = np.argsort(-difference * np.sign(gap), kind="stable")
    yield _draft(
        share.num if share.value >= 0.5 else share.of - share.num,
        [(int(row),) for row in dict.fromkeys(edges.row[longest[:20]].tolist())],
        share,
        {
            "num_comparisons": len(difference),
            "share_longer": share.as_dict(),
            "mean_difference_characters": gap,
            "effect_size": effect,
            "common_language_effect": common_language_effect(edges.better_characters, edges.worse_characters),
            "histogram": _histogram(difference),
        },
        "In comparisons of unequal length the preferred completion is the longer one",
    )


def _of_labels(index: RowIndex) -> Iterator[Draft]:
    rows, good = index.rows("train"), index.desirable("train")
    characters = index.characters[index.start[rows]]
    liked, other = characters[good], characters[~good]
    if min(len(liked), len(other)) < _MIN_COMPARISONS:
        return
    longer, share = common_language_effect(liked, other), share_longer(liked, other)
    pooled = math.sqrt((float(liked.var(ddof=1)) + float(other.var(ddof=1))) / 2)
    gap = float(liked.mean() - other.mean())
    effect = _in_deviations(gap, pooled)
    if not _is_large(share, effect, min(len(liked), len(other))):
        return
    order = np.argsort(-characters * np.sign(gap), kind="stable")
    leaning = liked > np.median(other) if longer >= 0.5 else liked < np.median(other)
    yield _draft(
        int(leaning.sum()),
        [(int(rows[place]),) for place in order[good[order]][:20]],
        share,
        {
            "num_comparisons": len(liked) * len(other),
            "mean_difference_characters": gap,
            "effect_size": effect,
            "common_language_effect": longer,
        },
        "Of a desirable and an undesirable completion, drawn at random, the desirable is the longer one",
    )


def share_longer(liked: Numbers, other: Numbers) -> Share:
    """How often one of the first is longer than one of the second, drawn at random, with its interval.

    The interval holds every share that is less than 1.96 of its own standard errors off (Newcombe, Statistics
    in Medicine 25, 2006, his fifth method). With the error of the share that was seen instead, it held the
    truth 83 to 93 times in 100 where nearly all of the liked are longer.
    """
    longer, num = common_language_effect(liked, other), len(liked) + len(other)
    lower, upper = (_furthest(longer, end, len(liked), len(other)) for end in (0.0, 1.0))
    return Share(round(longer * num), num, lower, upper, 1.0)


def _furthest(seen: float, end: float, num_liked: int, num_other: int) -> float:
    """The share between the one that was seen and an end that it is as far off as may be."""
    inside, outside = seen, end
    for _ in range(50):
        middle = (inside + outside) / 2
        if abs(seen - middle) <= 1.96 * _standard_error(middle, num_liked, num_other):
            inside = middle
        else:
            outside = middle
    return inside


def _in_deviations(gap: float, deviation: float) -> float | None:
    """A mean difference in standard deviations; None where there is no deviation to hold it against."""
    return gap / deviation if deviation else None


def _is_large(share: Share, effect: float | None, num: int) -> bool:
    if share.lower > MAX_SHARE or share.upper < 1 - MAX_SHARE:
        return True
    # Of few comparisons half a deviation can be chance: it has to be three standard errors too.
    return effect is not None and abs(effect) >= max(MAX_EFFECT, _MIN_DEVIATIONS / math.sqrt(num))


def _draft(
    num: int, groups: list[tuple[int, ...]], share: Share, figures: dict[str, Any], what: str
) -> Draft:
    gap, effect = figures["mean_difference_characters"], figures["effect_size"]
    in_deviations = "" if effect is None else f", {effect:+.2f} standard deviations"
    return Draft(
        "length_bias",
        "warning",
        num,
        groups,
        f"{what} {share.value:.1%} of the time (95% interval {share.lower:.1%} to {share.upper:.1%}): by "
        f"{gap:+,.{0 if abs(gap) >= 10 else 1}f} characters on average{in_deviations}. A model learns "
        "length before anything else, and calls it taste.",
        "Balance lengths (palate data curate FILE -o OUT --balance drop, of pairs), take an objective that "
        "normalises them (objective.type simpo), and compare with length control. Leave it where length is "
        "the taste.",
        figures,
        num,
    )


def common_language_effect(liked: Numbers, other: Numbers) -> float:
    """How often one drawn from the first is longer than one drawn from the second; ties count one half.

    McGraw and Wong, Psychological Bulletin 111 (1992); the area under the ROC curve by another name.
    """
    ordered = np.sort(other)
    below, up_to = np.searchsorted(ordered, liked, "left"), np.searchsorted(ordered, liked, "right")
    return float((below + up_to).sum()) / (2 * len(liked) * len(other))


def _standard_error(area: float, num_liked: int, num_other: int) -> float:
    """Hanley and McNeil, Radiology 143 (1982), with as many of each as there are on average."""
    others = (num_liked + num_other) / 2 - 1
    variance = area * (1 - area) * (1 + others * ((1 - area) / (2 - area) + area / (1 + area)))
    return math.sqrt(variance / (num_liked * num_other))


def _histogram(difference: NDArray[np.int64]) -> dict[str, list[float]]:
    """How differences lie around 0; the outermost of the bins hold all that is further out."""
    end = max(1.0, float(np.quantile(np.abs(difference), 0.99)))
    counts, edges = np.histogram(np.clip(difference, -end, end), bins=_NUM_BINS, range=(-end, end))
    return {"edges": [float(edge) for edge in edges], "counts": [int(count) for count in counts]}
