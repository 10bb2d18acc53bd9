"""The least certain first: what a vote would tell is worked out from the votes so far."""

from __future__ import annotations

import math
import random
from itertools import combinations

import numpy as np
from voted import Box, comparison, grid, items_of, some_items

from palate.annotate.certainty import _UNKNOWN
from palate.annotate.queue import Queue, Shown, next_items
from palate.annotate.settings import Settings
from palate.statistics.bradley_terry import fit

SETTINGS = Settings(order="least-certain", overlap="all", repeat_share=0)


def pairs(shown) -> list[tuple[str, str, str]]:
    return [
        tuple(side[0].content for side in (c.prompt, c.completion_a, c.completion_b))
        for c in (one.item.comparison for one in shown)
    ]


def test_prompts_take_turns_before_one_comes_twice() -> None:
    shown = next_items(Box().ballots, grid(4, 3), "ann", SETTINGS, 6)
    prompts = [prompt for prompt, _, _ in pairs(shown)]
    assert sorted(prompts[:4]) == ["p0", "p1", "p2", "p3"]
    assert len(shown) == 6


def test_what_follows_from_others_comes_last() -> None:
    """c0 won against c1, c2 and c3, and c1 lost to c2: c2 against c3 is open, c1 against c3 less so."""
    items, box = grid(1, 4), Box()
    by_sides = {
        (a, b): item
        for (_, a, b), item in zip(pairs([Shown(item, 0, "a") for item in items]), items, strict=True)
    }
    for other in ("c1", "c2", "c3"):
        for person in ("ben", "cyd", "dan"):
            box.vote(by_sides["c0", other], "a", by=person)
    for person in ("ben", "cyd", "dan"):
        box.vote(by_sides["c1", "c2"], "b", by=person)
    order = [pair[1:] for pair in pairs(next_items(box.ballots, items, "ann", SETTINGS, 6))]
    assert set(order[:2]) == {("c2", "c3"), ("c1", "c3")}
    assert set(order[3:]) <= {("c0", "c1"), ("c0", "c2"), ("c0", "c3"), ("c1", "c2")}


def test_where_items_share_no_completions_the_models_decide() -> None:
    """x beat y ten times; nothing is known of z. No item has a completion in common with another."""
    known = [comparison(f"k{n}", "one", "other", ("x", "y")) for n in range(12)]
    items = items_of(*known, *(comparison(f"n{n}", "one", "other", ("x", "z")) for n in range(3)))
    box = Box()
    for item in items[:10]:
        box.vote(item, "a")
    shown = next_items(box.ballots, items, "ann", SETTINGS, 5)
    assert [one.item.comparison.generators for one in shown] == [("x", "z")] * 3 + [("x", "y")] * 2


def test_where_nothing_is_shared_and_nothing_known_it_is_a_random_order() -> None:
    items = some_items(20)
    shown = next_items(Box().ballots, items, "ann", SETTINGS, 20)
    other = next_items(Box().ballots, items, "ben", SETTINGS, 20)
    assert sorted(one.item.number for one in shown) == list(range(1, 21))
    assert [one.item for one in shown] != [one.item for one in other]


def test_a_queue_that_goes_on_knows_what_one_made_anew_knows() -> None:
    """Votes, changed votes and undone votes, folded in as they come."""
    many = [comparison(f"q{n}", "x", "y", [("m", "n"), ("n", "o"), ("o", "m")][n % 3]) for n in range(12)]
    items, box = items_of(*(item.comparison for item in grid(5, 4)), *many), Box()
    queue = Queue(items, SETTINGS)
    for step in range(60):
        item = items[(step * 7) % len(items)] if step % 2 else items[30 + step % 5]
        vote = box.vote(item, ("a", "b", "tie", "both_bad")[step % 4], by=f"person {step % 3}")
        if step % 5 == 0:
            box.undo(vote)
        anew = next_items(box.ballots, items, "ann", SETTINGS, 40)
        assert queue.next_items(box.ballots, "ann", 40) == anew
    empty = Box().ballots
    assert queue.next_items(empty, "ann", 40) == next_items(empty, items, "ann", SETTINGS, 40)


def test_asking_so_finds_the_order_with_fewer_votes() -> None:
    """Four prompts of eight completions with a true order, and votes that follow it: after half of the 112
    pairs, the share of pairs that a Bradley-Terry fit has the right way round."""
    by_chance = [_share_right("random", seed) for seed in range(4)]
    by_certainty = [_share_right("least-certain", seed) for seed in range(4)]
    assert sum(by_certainty) / 4 > sum(by_chance) / 4 + 0.02


def _share_right(order: str, seed: int, num_votes: int = 56) -> float:
    items, box = grid(4, 8), Box()
    coin = random.Random(seed)
    truth = {prompt: coin.sample(range(8), 8) for prompt in range(4)}
    wins = {prompt: np.zeros((8, 8)) for prompt in range(4)}
    queue = Queue(items, Settings(order=order, seed=seed, repeat_share=0))
    for _ in range(num_votes):
        (shown,) = queue.next_items(box.ballots, "ann", 1)
        prompt, a, b = (int(name[1:]) for name in pairs([shown])[0])
        a_wins = truth[prompt][a] > truth[prompt][b]
        box.vote(shown.item, "a" if a_wins else "b")
        wins[prompt][(a, b) if a_wins else (b, a)] = 1
    right = 0.0
    for prompt, found in wins.items():
        strengths = fit(found, regularisation=1).strengths
        for i, j in combinations(range(8), 2):
            lead = float(strengths[i] - strengths[j]) * (truth[prompt][i] - truth[prompt][j])
            right += 0.5 if abs(lead) < 1e-9 else lead > 0
    return right / 112


def test_an_item_nobody_knows_of_would_tell_what_the_model_says() -> None:
    """Two unknown strengths of variance 1: p = 1/2, v = 2, ln(1 + 1/4 * 2) / 2 = 0.2027."""
    assert math.isclose(_UNKNOWN, math.log(1.5) / 2, abs_tol=1e-9)
