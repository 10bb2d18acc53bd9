"""Strengths from comparisons of two: the model of Bradley and Terry, by maximum likelihood.

P(i beats j) = 1 / (1 + exp(s_j - s_i)) (Bradley and Terry, Biometrika 39, 1952); a tie is half a win for
each. Strengths are log-odds with mean 0. An Elo figure is the same number on another scale, 1000 + 400/ln 10
times the strength. Elo's own rule, an update after each game, gives figures that depend on the order of the
games and on a step size, and that never settle: it is made for players who change. Models do not, so there is
no such rule here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palate.statistics.resampling import NUM_RESAMPLES, interval_around, resampled_sums

__all__ = ["Fit", "Lead", "Outcome", "Ranking", "fit", "rank", "wins_of"]

REGULARISATION = 0.01
"""The ridge that is used unless another is asked for: strengths have a normal prior of standard deviation 10,
which moves a strength that the data know by some thousandths, and keeps one that they leave open finite."""

_ELO_PER_LOG_ODD = 400 / math.log(10)
_ELO_MEAN = 1000.0
_MAX_STEPS = 100
_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one comparison of two went. `prompt` says which outcomes hang together; None: with no other."""

    a: str
    b: str
    score_of_a: float
    """1 where `a` was preferred, 0 where `b` was, 0.5 for a tie."""
    prompt: Hashable = None

    def __post_init__(self) -> None:
        if self.a == self.b:
            raise ValueError(f"{self.a!r} compared with itself says nothing of its strength")
        if not 0 <= self.score_of_a <= 1:
            raise ValueError(f"score_of_a = {self.score_of_a}: it lies between 0 and 1")


@dataclass(frozen=True, slots=True)
class Fit:
    """Strengths of n players by their numbers, and how well they are known."""

    strengths: NDArray[np.float64]
    """[n], log-odds; mean 0 over each component."""
    covariance: NDArray[np.float64]
    """[n, n], the inverse of the (penalised) information: it takes outcomes for independent."""
    components: NDArray[np.int64]
    """[n], which players are joined by comparisons, directly or over others."""
    has_maximum: bool
    """Whether the likelihood alone has a maximum: no group of players won, or lost, all against the rest."""
    regularisation: float
    """The ridge that was used; where the likelihood has no maximum never 0."""

    def probability(self, i: int, j: int) -> float:
        """That player `i` beats player `j`."""
        return float(_logistic(self.strengths[i] - self.strengths[j]))

    def uncertainty(self, i: int, j: int) -> float:
        """The standard error of the difference of their strengths; infinite where nothing joins them."""
        if not self.regularisation and self.components[i] != self.components[j]:
            return math.inf
        return math.sqrt(max(float(self._variances()[i, j]), 0.0))

    def gains(self) -> NDArray[np.float64]:
        """[n, n]: what one more comparison of each two would tell, in nats.

        ln(1 + p (1 - p) v) / 2, with p the probability that i beats j and v the variance of their difference:
        how much the entropy of the strengths falls, to second order. It is large where the outcome is open
        and little is known, and 0 for a player with itself.
        """
        p = _logistic(self.strengths[:, None] - self.strengths)
        variances = np.maximum(self._variances(), 0.0)
        if not self.regularisation:
            variances[self.components[:, None] != self.components] = math.inf
        return np.asarray(np.log1p(p * (1 - p) * variances) / 2)

    def _variances(self) -> NDArray[np.float64]:
        own = self.covariance.diagonal()
        return own[:, None] + own - 2 * self.covariance


@dataclass(frozen=True, slots=True)
class Lead:
    """By how much one player is stronger than another."""

    value: float
    """Log-odds."""
    interval_95: tuple[float, float] | None
    probability: float
    """That the first beats the second."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Players, best first."""

    names: tuple[str, ...]
    strengths: tuple[float, ...]
    """Log-odds, mean 0 (over each component, where nothing joins some players to others)."""
    elo: tuple[float, ...]
    """The same, 400 points for odds of ten to one, mean 1000."""
    intervals_95: tuple[tuple[float, float] | None, ...]
    """Of the strengths, by bootstrap over prompts; None for a player that fewer than two prompts know."""
    num_contests: int
    notes: tuple[str, ...]
    """What a reader of the figures must know: who won all, who cannot be compared."""
    standard_errors: tuple[float, ...]
    """Of the strengths, from the model, which takes outcomes for independent: the intervals do not."""
    resamples: NDArray[np.float64] = field(repr=False, compare=False)
    """[resamples, names], strengths."""
    num_prompts: tuple[int, ...]
    """Of each player: how many prompts know it."""

    def lead(self, a: str, b: str) -> Lead:
        """How `a` stands to `b`, with an interval of the difference itself."""
        i, j = self.names.index(a), self.names.index(b)
        value = self.strengths[i] - self.strengths[j]
        num_prompts = min(self.num_prompts[i], self.num_prompts[j])
        resampled = self.resamples[:, i] - self.resamples[:, j]
        interval = interval_around(value, resampled, num_prompts) if num_prompts > 1 else None
        return Lead(value, interval, float(_logistic(np.float64(value))))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as a report or `--json` holds it."""
        rows = zip(self.names, self.strengths, self.elo, self.intervals_95, strict=True)
        return {
            "players": [
                {"name": name, "strength": strength, "elo": elo, "interval_95": interval and list(interval)}
                for name, strength, elo, interval in rows
            ],
            "num_contests": self.num_contests,
            "notes": list(self.notes),
        }


def wins_of(outcomes: Sequence[Outcome]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The names in the order of the alphabet, and [n, n]: how often each beat each, with ties as halves."""
    names = sorted({name for outcome in outcomes for name in (outcome.a, outcome.b)})
    number = {name: place for place, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for outcome in outcomes:
        i, j = number[outcome.a], number[outcome.b]
        wins[i, j] += outcome.score_of_a
        wins[j, i] += 1 - outcome.score_of_a
    return tuple(names), wins


def fit(
    wins: NDArray[np.float64],
    *,
    regularisation: float = REGULARISATION,
    start: NDArray[np.float64] | None = None,
) -> Fit:
    """The most likely strengths, by Newton's method; its cost does not depend on the number of comparisons.

    The likelihood has a maximum where no group of players won all against the rest (Ford, 1957). Where it has
    none, strengths run away without bound; then the default ridge holds them even if none was asked for.

    Args:
        wins: [n, n], how often i beat j; a tie adds a half on both sides.
        regularisation: the precision of a normal prior of each strength; 0 for maximum likelihood.
        start: [n], strengths to begin at: those of an earlier fit make the next one quicker.
    """
    wins = np.asarray(wins, dtype=np.float64)
    if wins.ndim != 2 or wins.shape[0] != wins.shape[1]:
        raise ValueError(f"wins has the shape {wins.shape}: it takes a row and a column for each player")
    if regularisation < 0 or not np.isfinite(wins).all() or (wins < 0).any() or wins.diagonal().any():
        raise ValueError("wins and regularisation are finite and not negative, and nobody beats himself")
    components, has_maximum = _graph(wins)
    ridge = regularisation if regularisation or has_maximum else REGULARISATION
    started = np.zeros(len(wins)) if start is None else np.asarray(start, dtype=np.float64)
    strengths = _newton(wins[None], components, ridge, started)[0]
    information = _information(wins + wins.T, strengths, ridge)
    # What is flat, each component's common shift, is held at 0 instead of inverted.
    flat = (components[:, None] == components) / np.bincount(components)[components]
    covariance = np.linalg.inv(information + flat) - flat if not ridge else np.linalg.inv(information)
    return Fit(strengths, covariance, components, has_maximum, ridge)


def rank(
    outcomes: Sequence[Outcome],
    *,
    regularisation: float = REGULARISATION,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES // 2,
) -> Ranking:
    """Rank players by outcomes, with intervals from resampled prompts.

    Args:
        outcomes: of any two players each; their order does not matter.
        regularisation: see `fit`.
        seed: of the bootstrap.
        num_resamples: of prompts, each with all its outcomes.
    """
    names, wins = wins_of(outcomes)
    if not names:
        return Ranking((), (), (), (), 0, ("nothing was compared",), (), np.empty((0, 0)), ())
    best = fit(wins, regularisation=regularisation)
    sums, num_prompts = _by_prompt(outcomes, names)
    resamples = _resampled(sums, best, seed, num_resamples)
    order = sorted(range(len(names)), key=lambda place: (-best.strengths[place], names[place]))
    strengths = [float(best.strengths[place]) for place in order]
    return Ranking(
        names=tuple(names[place] for place in order),
        strengths=tuple(strengths),
        elo=tuple(_ELO_MEAN + _ELO_PER_LOG_ODD * strength for strength in strengths),
        intervals_95=tuple(
            interval_around(float(best.strengths[place]), resamples[:, place], int(num_prompts[place]))
            if num_prompts[place] > 1
            else None
            for place in order
        ),
        num_contests=len(outcomes),
        notes=tuple(_notes(names, wins, best, num_prompts)),
        standard_errors=tuple(_standard_errors(best)[order].tolist()),
        resamples=resamples[:, order],
        num_prompts=tuple(num_prompts[order].tolist()),
    )


def _standard_errors(best: Fit) -> NDArray[np.float64]:
    """[n], of strengths whose mean is 0 by convention: the shift that all share has no error."""
    own = best.components[:, None] == best.components
    centred = np.eye(len(own)) - own / own.sum(axis=1)
    variances = (centred @ best.covariance @ centred).diagonal()
    return np.sqrt(np.maximum(variances, 0.0))


def _by_prompt(outcomes: Sequence[Outcome], names: Sequence[str]) -> tuple[Any, NDArray[np.int64]]:
    """[prompts, n * n], sparse: each prompt's wins; and [n], the number of prompts that know a player."""
    from scipy.sparse import csr_array  # slow to import, and most callers only fit

    number, n = {name: place for place, name in enumerate(names)}, len(names)
    row_of: dict[object, int] = {}
    rows, columns, values = [], [], []
    # Sorted, so that the weights meet the same prompts whatever the order in which outcomes came.
    for outcome in sorted(outcomes, key=lambda one: (repr(one.prompt), one.a, one.b, one.score_of_a)):
        own = object() if outcome.prompt is None else ("prompt", outcome.prompt)
        row = row_of.setdefault(own, len(row_of))
        i, j = number[outcome.a], number[outcome.b]
        rows += [row, row]
        columns += [i * n + j, j * n + i]
        values += [outcome.score_of_a, 1 - outcome.score_of_a]
    sums = csr_array((values, (rows, columns)), shape=(len(row_of), n * n))
    known = {(row, column // n) for row, column in zip(rows, columns, strict=True)}
    return sums, np.bincount([player for _, player in known], minlength=n)


def _resampled(sums: Any, best: Fit, seed: int, num_resamples: int) -> NDArray[np.float64]:
    """[resamples, n] strengths."""
    from scipy.sparse import csr_array

    n = len(best.strengths)
    wins = np.asarray(sums.sum(axis=0)).reshape(n, n)
    cells = np.flatnonzero(wins + wins.T)
    # Beside the prompts one as large as they are, in which both of each two that met won equally often.
    size = wins.sum() / sums.shape[0]
    possible = csr_array(
        (np.full(len(cells), size), (np.arange(len(cells)), cells)), shape=(len(cells), n * n)
    )
    parts = resampled_sums(sums, possible, seed=seed, num_resamples=num_resamples)
    return np.concatenate(
        [
            _newton(part.reshape(-1, n, n), best.components, best.regularisation, best.strengths)
            for part in parts
        ]
    )


def _newton(
    wins_RNN: NDArray[np.float64],
    components: NDArray[np.int64],
    ridge: float,
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    """[R, n]: the strengths that maximise each likelihood; steps are halved until they do not lose."""
    games = wins_RNN + wins_RNN.transpose(0, 2, 1)
    own = components[:, None] == components
    sizes = own.sum(axis=1)
    start = start - (own @ start) / sizes
    strengths = np.broadcast_to(start, (len(wins_RNN), len(start))).copy()
    flat = own / sizes
    moving = np.arange(len(strengths))
    for _ in range(_MAX_STEPS):
        at, wins = strengths[moving], wins_RNN[moving]
        lead = at[:, :, None] - at[:, None, :]
        slope = (wins - games[moving] * _logistic(lead)).sum(axis=2) - ridge * at
        step = np.linalg.solve(_information(games[moving], at, ridge) + flat, slope[:, :, None])[:, :, 0]
        before = _likelihood(wins, at, ridge)
        size = np.ones(len(moving))
        while True:
            worse = _likelihood(wins, at + size[:, None] * step, ridge) < before - 1e-9 * (1 + abs(before))
            if not worse.any():
                break
            size[worse] /= 2
        strengths[moving] = at + size[:, None] * step
        moving = moving[np.abs(step).max(axis=1, initial=0.0) > _TOLERANCE]
        if not len(moving):
            break
    return strengths


def _information(games: NDArray[np.float64], strengths: NDArray[np.float64], ridge: float) -> Any:
    """[..., n, n]: minus the second derivatives of the log-likelihood."""
    p = _logistic(strengths[..., :, None] - strengths[..., None, :])
    between = games * p * (1 - p)
    return np.eye(strengths.shape[-1]) * (between.sum(axis=-1) + ridge)[..., None] - between


def _likelihood(wins: NDArray[np.float64], strengths: NDArray[np.float64], ridge: float) -> Any:
    lead = strengths[..., :, None] - strengths[..., None, :]
    fitting = (wins * np.logaddexp(0.0, -lead)).sum(axis=(-2, -1))
    return -fitting - ridge / 2 * (strengths**2).sum(axis=-1)


def _graph(wins: NDArray[np.float64]) -> tuple[NDArray[np.int64], bool]:
    """Each player's component, and whether everyone in it can be reached from everyone over victories."""
    from scipy.sparse.csgraph import connected_components

    _, components = connected_components(wins > 0, directed=True, connection="weak")
    num_strong, _ = connected_components(wins > 0, directed=True, connection="strong")
    components = np.asarray(components, dtype=np.int64)
    return components, bool(num_strong == len(set(components.tolist())))


def _logistic(x: Any) -> Any:
    return np.exp(-np.logaddexp(0.0, -x))


def _notes(
    names: Sequence[str], wins: NDArray[np.float64], best: Fit, num_prompts: NDArray[np.int64]
) -> list[str]:
    notes = []
    groups = [
        [names[place] for place in np.flatnonzero(best.components == group).tolist()]
        for group in range(int(best.components.max()) + 1)
    ]
    if len(groups) > 1:
        listed = "; ".join(", ".join(group) for group in groups)
        notes.append(
            f"No comparison joins these groups, so strengths say nothing across them: {listed}. "
            "Each group's mean is 0."
        )
    if not best.has_maximum:
        won_all = [name for name, lost in zip(names, wins.sum(axis=0), strict=True) if not lost]
        lost_all = [name for name, won in zip(names, wins.sum(axis=1), strict=True) if not won]
        who = [f"{', '.join(won_all)} won all"] if won_all else []
        who += [f"{', '.join(lost_all)} lost all"] if lost_all else []
        notes.append(
            f"{'; '.join(who) or 'One group won all against another'}: the likelihood alone sets no bound, "
            f"and how far apart they stand is set by the ridge of {best.regularisation:g}."
        )
    few = [name for name, num in zip(names, num_prompts.tolist(), strict=True) if num < 2]
    if few:
        notes.append(f"No interval for {', '.join(few)}: it takes two prompts or more.")
    return notes
