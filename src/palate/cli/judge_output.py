"""What `palate judge` shows: the headline or why there is none, the judge's figures, and what to mind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from palate.cli.asking_output import show_asking
from palate.cli.console import output_console, print_json
from palate.data.excerpts import excerpt
from palate.judge.findings import counted
from palate.pipeline.judging import Judged, Material, shortfall

__all__ = ["show_judged", "show_rehearsal"]

_MAX_CHARACTERS = 600
_Row = tuple[str, str, str, str]
"""Of a figure its name, its value, its interval, and what it rests on."""


def show_judged(judged: Judged, asked: Sequence[dict[str, Any]], as_json: bool) -> None:
    """The judge card and what was written, and an error where the work fell short.

    Raises:
        WorkError: as `palate.pipeline.judging.shortfall` says.
    """
    card = judged.card.as_dict()
    if as_json:
        made = None if judged.pairs is None else judged.pairs.as_dict()
        said = {**card, "material": judged.material.account(), "pairs": made, "asked": list(asked)}
        print_json({**said, "files": dict(judged.files)})
    else:
        console = output_console(soft_wrap=True)
        _show_card(card, console)
        for line in _of_material(judged):
            console.print(Text(line))
        if asked:
            show_asking(list(asked), console)
        for name, path in judged.files.items():
            console.print(Text(f"{name:>12}  {excerpt(path, 500)}"))
    error = shortfall(judged)
    if error is not None:
        raise error


def _show_card(card: Mapping[str, Any], console: Console) -> None:
    headline = card["headline"]
    opening = headline["sentence"] if headline else card["withheld_because"]
    _say(console, opening, "bold" if headline and not card["forced"] else "bold red")
    if card["forced"]:
        _say(console, "A canary failed: the headline is given because of --force.", "red")
    rows = list(_rows(card))
    if console.is_terminal:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("", "value", "95% interval", "of"):
            table.add_column(name, justify="left" if name in ("", "of") else "right")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print()
        console.print(table)
        console.print()
    else:
        for name, value, interval, rests_on in rows:
            of = f", {rests_on}" if rests_on else ""
            _say(console, f"{name}: {value}" + (f" ({interval})" if interval else "") + of)
    found = {finding["name"]: finding for finding in card["findings"]}
    for name, canary in card["canaries"].items():
        _show_canary(canary, found.get(name), console)
    for name, finding in found.items():
        if name not in card["canaries"]:
            _say(console, f"{name.replace('_', ' ')}: {finding['what']} ({finding['evidence']})", "red")
    for warning in card["warnings"]:
        _say(console, warning, "yellow")
    for juror in card["judges"]:
        _say(console, _of_juror(juror))


def _rows(card: Mapping[str, Any]) -> Iterator[_Row]:
    missing = ", ".join(f"{count:,} {name}" for name, count in card["missing_reasons"].items())
    given = f"{card['num_given']:,} of {card['num_asked']:,}"
    yield "verdicts given", given, "", f"missing: {missing}" if missing else ""
    place = card["win_rate_by_position"]
    flips = _of(card["num_both_orders"], "asked in both orders")
    yield (
        "position flips", _share(card["position_flip_rate"]), _between(card["position_flip_interval_95"]),
        flips or card["position_flip_reason"] or "",
    )  # fmt: skip
    yield (
        "shown first preferred", _share(place["first"]), _between(place["first_interval_95"]),
        _of(place["num_calls"], "looks"),
    )  # fmt: skip
    yield (
        "longer preferred", _share(card["longer_win_rate"]), _between(card["longer_win_rate_interval_95"]),
        _of(card["num_unequal_lengths"], "of unequal lengths"),
    )  # fmt: skip
    deviation = card["length_standard_deviation_characters"]
    yield (
        "length slope", _number(card["length_slope"]), _span(card["length_slope_interval_95"]),
        "" if card["length_slope"] is None else f"log-odds for {deviation:,.0f} characters more",
    )  # fmt: skip
    families = " and ".join(card["own_families"])
    yield (
        "own family preferred", _share(card["family_preference"]),
        _between(card["family_preference_interval_95"]),
        _of(card["num_own_against_others"], f"of {families} with others")
        or card["family_preference_reason"] or "",
    )  # fmt: skip
    yield (
        "kappa with votes", _number(card["kappa"]), _span(card["kappa_interval_95"]),
        _of(card["num_common"], "with votes") or "no votes on these comparisons",
    )  # fmt: skip
    if card["judges"]:
        reason = "" if card["krippendorff_alpha"] is not None else card["krippendorff_alpha_reason"]
        yield (
            "alpha among jurors", _number(card["krippendorff_alpha"]),
            _span(card["krippendorff_alpha_interval_95"]), reason or f"{len(card['judges'])} jurors",
        )  # fmt: skip


def _show_canary(canary: Mapping[str, Any], finding: Mapping[str, str] | None, console: Console) -> None:
    given = canary["num_asked"] - canary["num_missing"] - canary["num_forced"]
    name = canary["name"].replace("_", " ")
    if canary["passed"] is None:
        return  # a warning says why
    if canary["passed"]:
        slips = f"{given - canary['num_failed']} of {given} right"
        _say(console, f"✓  {name}: {slips}", "green")
    else:
        meaning = finding["what"] if finding else f"{canary['what']}."
        _say(console, f"✗  {name}: {canary['num_failed']} of {given} wrong. {meaning}", "red")


def _of_juror(card: Mapping[str, Any]) -> str:
    said = [f"{card['num_given']:,} of {card['num_asked']:,} given"]
    if card["position_flip_rate"] is not None:
        said.append(f"{_share(card['position_flip_rate'])} flipped")
    if card["kappa"] is not None:
        said.append(f"kappa {_number(card['kappa'])} {_span(card['kappa_interval_95'])}".rstrip())
    return f"juror {excerpt(card['judge'], 60)}: {', '.join(said)}"


def _of_material(judged: Judged) -> Iterator[str]:
    said = judged.material.account()
    if said["num_repeated"] or said["num_set_aside"]:
        yield (
            f"{counted(said['num_comparisons'], 'comparison')} judged, {said['num_repeated']:,} repeated "
            f"left out, {counted(said['num_set_aside'], 'row')} set aside"
        )
    if said["num_votes_set_aside"]:
        yield f"{counted(said['num_votes_set_aside'], 'row')} of votes set aside"
    if said["num_examples"]:
        examples = counted(said["num_examples"], "vote")
        yield f"examples: {examples}; no vote on their prompts measures the judge"
    if judged.pairs is not None:
        made = judged.pairs.as_dict()
        others = ", ".join(
            f"{made[f'num_{name}']:,} {name}"
            for name in ("ties", "flipped", "missing", "repeated", "conflicting")
            if made[f"num_{name}"]
        )
        yield f"{counted(made['num_pairs'], 'pair')} of {counted(made['num_verdicts'], 'verdict')}" + (
            f"; no pair: {others}" if others else ""
        )


def show_rehearsal(material: Material, rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """What judging would ask, and what it would cost at most."""
    costs = [row["max_cost"] for row in rows]
    total = None if None in costs else sum(costs)
    account = {
        "dry_run": True,
        "num_requests": sum(row["num_requests"] for row in rows),
        "num_stored": sum(row["num_stored"] for row in rows),
        "max_cost": total,
        "currency": next((row["currency"] for row in rows), ""),
        "material": material.account(),
        "models": list(rows),
    }
    if as_json:
        print_json(account)
        return
    console = output_console(soft_wrap=True)
    said = material.account()
    votes = counted(said["num_votes"], "vote")
    _say(console, f"{counted(said['num_comparisons'], 'comparison')}, {votes} to measure by")
    for row in rows:
        cost = "no price" if row["max_cost"] is None else f"{row['max_cost']:.4f} {row['currency']}".rstrip()
        tokens = f"{row['max_prompt_tokens']:,} + {row['max_completion_tokens']:,} tokens"
        stored = f", {row['num_stored']:,} in the store" if row["num_stored"] else ""
        asked = f"{row['num_requests']:,} requests{stored}, at most {tokens}"
        _say(console, f"{row['model']}: {asked}, cost {cost}")
    if not rows:
        _say(console, "no language model is asked, so nothing is sent")
    _say(console, "nothing was asked, and no verdict written", "dim")


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(excerpt(text, _MAX_CHARACTERS), style=style))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _between(interval: Sequence[float] | None) -> str:
    """Rounded outwards, as in the card's sentences."""
    return "" if interval is None else f"{math.floor(100 * interval[0])}% to {math.ceil(100 * interval[1])}%"


def _span(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"


def _of(count: int, what: str) -> str:
    return f"{count:,} {what}" if count else ""
