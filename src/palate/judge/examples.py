"""A user's own votes as examples for a judge: a few, balanced, and the same ones on every run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from palate.errors import JudgeError
from palate.judge.prompting import Example, shown
from palate.records import Vote, content_id

__all__ = ["as_examples", "choose_examples"]


def choose_examples(votes: Sequence[Vote], num: int, *, seed: int = 0, allow_ties: bool = True) -> list[Vote]:
    """`num` votes to show to a judge: each of a prompt of its own, of three one a tie where there are ties.

    Comparisons on which the votes differ are left out, and so is what was called bad on both sides: neither
    tells a judge which of two is better. `seed` says which of the others are taken.

    Raises:
        JudgeError: there are not so many.
    """
    if num < 1:
        raise JudgeError(f"{num} examples", where="examples", next="ask for 1 or more, or leave them out")
    by_comparison: dict[str, list[Vote]] = {}
    for vote in votes:
        by_comparison.setdefault(vote.comparison.id, []).append(vote)
    agreed = [
        min(same, key=lambda vote: (vote.annotator, vote.note))
        for same in by_comparison.values()
        if len({_winner(vote) for vote in same}) == 1
    ]
    agreed = [vote for vote in agreed if vote.preferred in ("a", "b", *(["tie"] if allow_ties else []))]
    agreed.sort(key=lambda vote: content_id(seed, vote.comparison.id))
    one_a_prompt = list({vote.comparison.prompt_id: vote for vote in reversed(agreed)}.values())[::-1]
    if len(one_a_prompt) < num:
        raise JudgeError(
            f"{num} examples were asked for, and the votes give {len(one_a_prompt)}",
            where="examples",
            why="an example has a prompt of its own, and a preference that all votes on it share",
            next="ask for fewer, or collect more votes",
        )
    ties = [vote for vote in one_a_prompt if vote.preferred == "tie"]
    decided = [vote for vote in one_a_prompt if vote.preferred != "tie"]
    chosen: list[Vote] = []
    for kind in cycle((decided, decided, ties)):
        if len(chosen) == num:
            break
        if kind:
            chosen.append(kind.pop(0))
    return chosen


def as_examples(votes: Sequence[Vote]) -> list[tuple[str, Example]]:
    """Each vote as a judge is shown it, with the id of its prompt. The preferred side stands first in turn.

    Raises:
        JudgeError: a vote says that both are bad, which no judge is asked for.
    """
    examples: list[tuple[str, Example]] = []
    num_decided = 0
    for vote in votes:
        if vote.preferred == "both_bad":
            raise JudgeError(
                "a vote that both answers are bad is no example of which is better",
                where="examples",
                next="choose examples with palate.judge.choose_examples",
            )
        comparison = vote.comparison
        # Of those decided every second is shown with the preferred side first, whatever a and b were.
        a_first = (vote.preferred == "a") == (num_decided % 2 == 0) or vote.preferred == "tie"
        num_decided += vote.preferred != "tie"
        sides = (comparison.completion_a, comparison.completion_b)
        first, second = sides if a_first else sides[::-1]
        preferred = (
            "tie" if vote.preferred == "tie" else "first" if (vote.preferred == "a") == a_first else "second"
        )
        example = {
            "conversation": [message.as_dict() for message in comparison.prompt],
            "first": shown(first),
            "second": shown(second),
            "preferred": preferred,
        }
        if vote.note.strip():
            example["note"] = vote.note.strip()
        examples.append((comparison.prompt_id, example))
    return examples


def _winner(vote: Vote) -> object:
    """What is preferred, whichever way round the comparison stands."""
    comparison = vote.comparison
    sides = {"a": comparison.completion_a, "b": comparison.completion_b}
    return sides.get(vote.preferred, vote.preferred)
