"""Whether a model writes more like the target than another does, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from palate.evaluate.style.permuting import Closer, Distance, Measure
from palate.statistics.several import shown_together

__all__ = ["in_words"]

_OF_SUBJECTS: tuple[Measure, ...] = ("words", "delta")
"""What is different between any two subjects, whoever writes."""

Key = tuple[str, Measure]
Found = tuple[Mapping[Measure, Distance], Mapping[Measure, Closer]]


def in_words(models: Mapping[str, Found], *, subjects_differ: bool) -> str:
    """What is said of every model but the first.

    All tests of one kind are taken together (Holm 1979, at .05): of five measures that say nothing one would
    come up in a quarter of all comparisons.

    Args:
        models: each one's distances, and how much closer it is than the first.
        subjects_differ: whether the target has documents enough for its p-values by words to hold.
    """
    base, *others = models
    if not others:
        return _standing(base, models[base][0], _sure({base: models[base][0]}, subjects_differ))
    p_values = {(name, m): closer.p for name in others for m, closer in models[name][1].items()}
    shown = shown_together(p_values)
    apart = _sure({name: models[name][0] for name in others}, subjects_differ)
    said = []
    for name in others:
        distances, closer = models[name]
        said.append(_of_two(base, name, closer, [m for m in closer if (name, m) in shown]))
        said.append(_standing(name, distances, apart))
    return " ".join(said)


def _of_two(base: str, name: str, closer: Mapping[Measure, Closer], shown: Sequence[Measure]) -> str:
    if not closer:
        return f"Nothing could be measured of {name} and {base}."
    nearer = [m for m in shown if closer[m].difference > 0]
    farther = [m for m in shown if closer[m].difference < 0]
    if not shown:
        smallest = min(closer.values(), key=lambda found: found.p)
        return (
            f"It is not shown that {name} writes closer to the target than {base}, nor farther from it "
            f"(smallest of {len(closer)} p-values: {_p(smallest.p)})."
        )
    parts = []
    if nearer:
        parts.append(f"closer to the target than {base} by {_measured(nearer, closer)}")
    if farther:
        than = f"from the target than {base}" if not nearer else "from it"
        parts.append(f"farther {than} by {_measured(farther, closer)}")
    rest = [m for m in closer if m not in shown]
    left = f"; by {_listed(rest)} no difference is shown" if rest else ""
    return f"{name} writes {', but '.join(parts)}{left}."


def _standing(name: str, distances: Mapping[Measure, Distance], apart: set[Key]) -> str:
    own = [m for m in distances if (name, m) in apart]
    if own:
        return f"{name} can be told from the target by {_listed(own)}."
    return f"{name} is not shown to differ from the target; that is no proof that it does not."


def _sure(models: Mapping[str, Mapping[Measure, Distance]], subjects_differ: bool) -> set[Key]:
    return shown_together(
        {
            (name, measure): found.permutation_p
            for name, distances in models.items()
            for measure, found in distances.items()
            if subjects_differ or measure not in _OF_SUBJECTS
        }
    )


def _measured(measures: Sequence[Measure], closer: Mapping[Measure, Closer]) -> str:
    return _listed([f"{m} ({abs(closer[m].difference):.3f}, {_p(closer[m].p)})" for m in measures])


def _p(p: float) -> str:
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
