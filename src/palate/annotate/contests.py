"""What pooled votes say of the models that wrote the completions, and of the completions of each prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

from palate.annotate.events import Choice, Item
from palate.annotate.pooling import PooledVote
from palate.records import Messages
from palate.statistics import bradley_terry
from palate.statistics.triads import Totals, over_prompts
from palate.statistics.win_rates import Outcome, WinRate, verdict_in_words, win_rate

__all__ = ["ModelContest", "circles", "letters_for", "model_contests", "model_ranking"]

_WON: Mapping[Choice | None, Outcome] = {"b": "win", "a": "loss"}
"""For the second of two models; a tie, two bad ones and level votes are a tie."""


@dataclass(frozen=True, slots=True)
class ModelContest:
    """How often the second of two models was preferred to the first."""

    first: str
    second: str
    result: WinRate
    num_without_votes: int
    """Items of the two that nobody voted on."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, with the sentence that may be said."""
        result = asdict(self.result) | {"num_comparisons": self.result.num_comparisons}
        return {
            "first": self.first,
            "second": self.second,
            **result,
            "num_without_votes": self.num_without_votes,
            "sentence": verdict_in_words(self.result, self.second, self.first),
        }


def letters_for(items: Sequence[Item], seed: int) -> dict[str, str]:
    """A letter for each model, in an order that says nothing of their names or of which came first."""
    names = {name for item in items for name in item.comparison.generators if name is not None}
    shuffled = sorted(names, key=lambda name: blake2b(f"{seed}\n{name}".encode()).digest())
    return {name: _letter(place) for place, name in enumerate(shuffled)}


def _letter(place: int) -> str:
    letter = chr(ord("A") + place % 26)
    return letter if place < 26 else f"{letter}{place // 26 + 1}"


def _models_of(item: Item, called: Callable[[str], str]) -> tuple[str, str] | None:
    a, b = item.comparison.generators
    return None if a is None or b is None or a == b else (called(a), called(b))


def model_contests(
    items: Sequence[Item],
    pooled: Sequence[PooledVote],
    called: Callable[[str], str] = str,
    *,
    hidden: bool = False,
) -> list[ModelContest]:
    """Each two models that items compare, in the order of their names.

    The second is the one whose completions are `b` in all that were voted on, else the later name; always
    the later one where the models are `hidden`: of base and tuned, the place would tell which is which.
    `called` gives the name under which a model is spoken of. Intervals are clustered by prompt.
    """
    num_items = Counter(frozenset(models) for item in items if (models := _models_of(item, called)))
    order: dict[frozenset[str], tuple[str, str]] = {}
    if not hidden:
        order |= _orders(_models_of(item, called) for item in items)
        order |= _orders(_models_of(vote.item, called) for vote in pooled)
    order = {pair: order.get(pair) or _by_name(pair) for pair in num_items}
    outcomes: dict[frozenset[str], list[tuple[Outcome, str]]] = {pair: [] for pair in order}
    for vote in pooled:
        if (models := _models_of(vote.item, called)) is None:
            continue
        outcome = _WON.get(vote.preferred, "tie")
        if models != order[frozenset(models)] and outcome != "tie":
            outcome = "loss" if outcome == "win" else "win"
        outcomes[frozenset(models)].append((outcome, vote.prompt))
    return [
        ModelContest(
            first,
            second,
            win_rate([outcome for outcome, _ in found], [prompt for _, prompt in found]),
            num_items[pair] - len(found),
        )
        for pair, (first, second) in sorted(order.items(), key=lambda known: known[1])
        for found in [outcomes[pair]]
    ]


def _orders(found: Iterable[tuple[str, str] | None]) -> dict[frozenset[str], tuple[str, str]]:
    """How each two models stand: as they always do, else by name."""
    order: dict[frozenset[str], tuple[str, str]] = {}
    for models in found:
        if models is not None and order.setdefault(frozenset(models), models) != models:
            order[frozenset(models)] = _by_name(models)
    return order


def _by_name(models: Iterable[str]) -> tuple[str, str]:
    first, second = sorted(models)
    return first, second


def model_ranking(
    pooled: Sequence[PooledVote], seed: int, called: Callable[[str], str] = str
) -> bradley_terry.Ranking | None:
    """The models by strength, where votes compare more than two; else None: the win rate says it all."""
    outcomes = [
        bradley_terry.Outcome(*models, {"win": 0.0, "loss": 1.0}.get(str(outcome), 0.5), prompt)
        for vote in pooled
        if (models := _models_of(vote.item, called)) is not None
        for outcome, prompt in [(_WON.get(vote.preferred, "tie"), vote.prompt)]
    ]
    if len({name for outcome in outcomes for name in (outcome.a, outcome.b)}) < 3:
        return None
    return bradley_terry.rank(outcomes, seed=seed)


def circles(pooled: Sequence[PooledVote]) -> Totals:
    """Preferences that go round, over the prompts of which votes compare three completions or more."""
    seen: dict[str, set[Messages]] = {}
    won: dict[Hashable, list[tuple[Messages, Messages]]] = {}
    tied: dict[Hashable, list[tuple[Messages, Messages]]] = {}
    for vote in pooled:
        comparison = vote.item.comparison
        prompt, (a, b) = vote.prompt, (comparison.completion_a, comparison.completion_b)
        seen.setdefault(prompt, set()).update((a, b))
        if vote.preferred in ("a", "b"):
            won.setdefault(prompt, []).append((a, b) if vote.preferred == "a" else (b, a))
        else:
            tied.setdefault(prompt, []).append((a, b))
    many = {prompt for prompt, completions in seen.items() if len(completions) > 2}
    return over_prompts(
        {prompt: pairs for prompt, pairs in won.items() if prompt in many},
        {prompt: pairs for prompt, pairs in tied.items() if prompt in many},
    )
