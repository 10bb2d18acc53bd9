"""Training records and held-out records, no prompt on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from palate.data.kinds import Record
from palate.records import Messages, content_id

__all__ = ["num_prompts_held_out", "prompt_rank", "split_by_prompt"]

AnyRecord = TypeVar("AnyRecord", bound=Record)


def split_by_prompt(
    records: Sequence[AnyRecord], fraction: float
) -> tuple[tuple[AnyRecord, ...], tuple[AnyRecord, ...]]:
    """Training and held-out records, each in the order given.

    The held-out prompts are those whose hashes are smallest, max(1, round(fraction * prompts)) of them where
    the fraction is above 0 and there are two prompts or more; at least one prompt stays for training. No
    seed takes part: runs with different seeds are measured on the same records, and share reference
    log-probabilities. A system message takes no part either, so that changing it changes no split.

    Raises:
        ValueError: the fraction is not within [0, 1).
    """
    rank = {record.prompt_id: prompt_rank(record.prompt) for record in records}
    num_held_out = num_prompts_held_out(len(rank), fraction)
    held_out = set(sorted(rank, key=lambda prompt_id: (rank[prompt_id], prompt_id))[:num_held_out])
    sides: tuple[list[AnyRecord], list[AnyRecord]] = ([], [])
    for record in records:
        sides[record.prompt_id in held_out].append(record)
    return tuple(sides[0]), tuple(sides[1])


def num_prompts_held_out(num_prompts: int, fraction: float) -> int:
    """How many of so many prompts are held out.

    Raises:
        ValueError: the fraction is not within [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction = {fraction}: a share within [0, 1) was expected")
    if fraction == 0 or num_prompts < 2:
        return 0
    return min(max(1, round(fraction * num_prompts)), num_prompts - 1)


def prompt_rank(prompt: Messages) -> str:
    """The hash that decides: the prompts of smallest rank, and among equals of smallest id, are held out."""
    said = [message for message in prompt if message.role != "system"]
    return content_id("held out", said)
