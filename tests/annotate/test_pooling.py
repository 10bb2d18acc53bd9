"""What several people's votes on one item come to."""

from __future__ import annotations

import pytest
from voted import Box, some_items

from palate.annotate.pooling import disagreements, pool_votes, pooled_vote


def pooled(*choices: str, last_word: str | None = None):
    (item,), box = some_items(1), Box()
    for number, choice in enumerate(choices):
        box.vote(item, choice, by=f"person {number}")
    if last_word is not None:
        box.adjudicate(item, last_word, by="chair")
    return pooled_vote(box.ballots, item)


@pytest.mark.parametrize(
    ("choices", "preferred", "agreement"),
    [
        ("a", "a", 1),
        (("a", "b"), None, None),
        (("a", "a", "b"), "a", 2 / 3),
        (("a", "tie"), None, None),
        (("tie", "tie", "a"), "tie", 2 / 3),
        (("both_bad", "both_bad"), "both_bad", 1),
        (("a", "a", "b", "b", "tie"), None, None),
        (("b", "b", "a", "tie"), "b", 1 / 2),
    ],
)
def test_most_votes_decide_and_level_ones_do_not(choices, preferred, agreement) -> None:
    found = pooled(*choices)
    assert (found.preferred, found.agreement, found.num_votes) == (preferred, agreement, len(choices))


def test_the_last_word_decides() -> None:
    found = pooled("a", "a", "b", last_word="b")
    assert (found.preferred, found.adjudicated_by, found.agreement) == ("b", "chair", 1 / 3)
    alone = pooled(last_word="tie")
    assert (alone.preferred, alone.num_votes, alone.agreement) == ("tie", 0, None)


def test_without_votes_there_is_nothing() -> None:
    assert pooled() is None


def test_repeats_do_not_count_twice() -> None:
    (item,), box = some_items(1), Box()
    box.vote(item, "a", by="ann")
    box.vote(item, "b", by="ann", repeat=1)
    found = pooled_vote(box.ballots, item)
    assert (found.preferred, dict(found.counts), found.annotators) == ("a", {"a": 1}, ("ann",))


def test_what_is_level_is_adjudicated_first_and_what_has_a_last_word_never() -> None:
    items, box = some_items(5), Box()
    for item, votes in zip(items, ("aab", "ab", "aa", "ab", "a"), strict=True):
        for number, choice in enumerate(votes):
            box.vote(item, choice, by=f"person {number}")
    box.adjudicate(items[3], "a")
    found = disagreements(pool_votes(box.ballots, items))
    assert [vote.item.number for vote in found] == [2, 1]
