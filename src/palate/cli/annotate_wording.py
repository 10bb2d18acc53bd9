"""Where the voting stands, in lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from palate.data.excerpts import excerpt

__all__ = ["standing_lines"]

_MAX_PAIRS_OF_PEOPLE = 20


def standing_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What `Standing.as_dict` holds, for a person to read."""
    yield excerpt(found["store"], 500)
    told = ", ".join(f"{num:,} to {task}" for task, num in found["num_tasks"].items())
    yield f"{found['num_items']:,} items ({told or 'none'}), {found['num_voted']:,} with votes"
    decided = found["decided"]
    yield (
        f"decided for one side {decided['one_side']:,}, ties {decided['tie']:,}, both bad "
        f"{decided['both_bad']:,}, level {decided['level']:,}"
    )
    if found["num_adjudicated"]:
        yield f"last word said on {found['num_adjudicated']:,}"
    if found["num_unknown"]:
        yield f"{found['num_unknown']:,} votes are on items that are not here, and count nowhere"
    yield from _people(found["annotators"])
    yield from _agreement(found["agreement"], found["num_disagreements"])
    yield from _models(found)
    yield from _circles(found["circles"])


def _people(annotators: list[dict[str, Any]]) -> Iterator[str]:
    if annotators:
        yield ""
    for one in annotators:
        parts = [f"{one['num_votes']:,} votes"]
        if one["num_imported"]:
            parts.append(f"{one['num_imported']:,} imported")
        if one["num_skipped"]:
            parts.append(f"{one['num_skipped']:,} skipped")
        if one["median_seconds"] is not None:
            parts.append(f"{one['median_seconds']:.1f} s each")
        parts += [f"ties {_share(one['ties'])}", f"both bad {_share(one['both_bad'])}"]
        if one["left"]["num_of"]:
            parts.append(f"left side {_share(one['left'])}")
        if one["consistent"]["num_of"]:
            parts.append(f"same vote again {_share(one['consistent'])} of {one['consistent']['num_of']:,}")
        yield f"{excerpt(one['name'], 60)}: {', '.join(parts)}"


def _share(share: Mapping[str, Any]) -> str:
    if share["value"] is None:
        return "-"
    if share["num"] == 0:
        return "none"
    return f"{share['value']:.1%} ({_interval(share['interval_95'], 100, '%')})"


def _interval(interval: tuple[float, float], scale: float = 1, unit: str = "") -> str:
    """Rounded outwards: the words never claim a narrower interval than the numbers do."""
    digits = 1 if unit else 2
    step = 10**digits
    low = math.floor(interval[0] * scale * step) / step
    high = math.ceil(interval[1] * scale * step) / step
    return f"{low:.{digits}f}{unit} to {high:.{digits}f}{unit}"


def _agreement(agreement: Mapping[str, Any], num_disagreements: int) -> Iterator[str]:
    alpha = agreement["alpha"]
    if alpha["num_items"] == 0:
        return
    yield ""
    yield f"agreement on {alpha['num_items']:,} items that several voted on"
    yield f"Krippendorff's alpha {_coefficient(alpha)}"
    if agreement["fleiss"] is not None:
        yield f"Fleiss' kappa {_coefficient(agreement['fleiss'])}"
    for pair in agreement["pairs"][:_MAX_PAIRS_OF_PEOPLE]:
        names = f"{excerpt(pair['first'], 40)} and {excerpt(pair['second'], 40)}"
        yield f"Cohen's kappa of {names} {_coefficient(pair['kappa'])}, {pair['kappa']['num_items']:,} items"
    if len(agreement["pairs"]) > _MAX_PAIRS_OF_PEOPLE:
        yield f"and of {len(agreement['pairs']) - _MAX_PAIRS_OF_PEOPLE:,} more pairs of people: see --json"
    if num_disagreements:
        yield f"{num_disagreements:,} disagreements wait for a last word"


def _coefficient(agreement: Mapping[str, Any]) -> str:
    if agreement["value"] is None:
        return f"none: {agreement['reason']}"
    interval = agreement["interval_95"]
    beside = agreement["reason"] if interval is None else f"95% interval {_interval(interval)}"
    return f"{agreement['value']:.2f} ({beside})"


def _models(found: Mapping[str, Any]) -> Iterator[str]:
    if found["contests"]:
        yield ""
    for contest in found["contests"]:
        yield excerpt(contest["sentence"], 1000)
        if contest["num_without_votes"]:
            yield f"  {contest['num_without_votes']:,} comparisons of the two wait for a vote"
    if found["ranking"] is not None:
        yield ""
        yield "Elo of the models, from a Bradley-Terry fit"
        for player in found["ranking"]["players"]:
            yield f"{player['elo']:>7.0f}  {excerpt(player['name'], 100)}{_strength(player)}"
        for note in found["ranking"]["notes"]:
            yield f"  {excerpt(note, 300)}"


def _strength(player: Mapping[str, Any]) -> str:
    if player["interval_95"] is None:
        return ""
    return f"  (log-odds {player['strength']:+.2f}, 95% interval {_interval(player['interval_95'])})"


def _circles(circles: Mapping[str, Any]) -> Iterator[str]:
    if not circles["num_prompts"]:
        return
    yield ""
    yield f"{circles['num_prompts']:,} prompts with three completions or more"
    if circles["num_triads"]:
        yield (
            f"{circles['num_circular']:,} of {circles['num_triads']:,} triads are circular "
            f"({circles['share_circular']:.1%}; tossed coins make 25%), "
            f"in {circles['num_prompts_circular']:,} prompts"
        )
    yield f"{circles['num_prompts_with_best']:,} prompts have a completion that beats all others"
