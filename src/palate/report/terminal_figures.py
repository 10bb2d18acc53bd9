"""The figures of a comparison in a terminal: tables there, `name: value` lines in a pipe.

Each fact has one row of cells, whichever of the two it becomes. Text of models and files is shown as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from palate.report.comparison import (
    Comparison,
    DriftOnText,
    JudgeCard,
    ModelStyle,
    PairAccuracy,
    PairedWinRate,
    Perplexity,
    Style,
)
from palate.report.phrases import ENGLISH
from palate.report.wording import number, percent, plural, visible, whole

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["FigureTable", "comparison_tables", "says_of_comparison"]

_MAX_WORSE = 3
_MAX_TELLING = 6
_MAX_CHARACTERS = 100
_MAX_WHY = 200
"""Two faults with their numbers fit."""

_FEARS = (
    ("mean_length", "characters on average", whole),
    ("unfinished_share", "cut off at the length limit", percent),
    ("cut_off_share", "ends inside a phrase", percent),
    ("repeating_share", "goes round in circles", percent),
    ("refusal_share", "declines", percent),
    ("empty_share", "says nothing", percent),
    ("distinct_1", "distinct-1", number),
    ("distinct_2", "distinct-2", number),
    ("distinct_3", "distinct-3", number),
    ("self_bleu", "self-BLEU", number),
)
_NOT_WORTH_A_ROW = ("cut_off_share", "repeating_share", "refusal_share", "empty_share", "unfinished_share")
"""Shares that have no row where every model's is 0."""


@dataclass(frozen=True, slots=True)
class FigureTable:
    """Rows of cells below column names; the first cell of a row is what it is about."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    prefix: str = ""
    """What a row's name does not say where it stands alone."""

    def print(self, console: Console) -> None:
        """As columns in a terminal, a line for each row elsewhere."""
        from rich.table import Table
        from rich.text import Text

        if not console.is_terminal:
            for first, *cells in self.rows:
                named = zip(self.columns[1:], cells, strict=True)
                said = ", ".join(f"{name} {cell}".strip() for name, cell in named if cell)
                console.print(Text(f"{self.prefix}{first}: {said}"), soft_wrap=True)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        for place, name in enumerate(self.columns):
            table.add_column(Text(name), overflow="fold", style="dim" if place == 0 else "")
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
        console.print()


def comparison_tables(comparison: Comparison) -> Iterator[FigureTable]:
    """Who wins, how several models rank, what answers are like, style, and benchmarks: what was measured."""
    if comparison.win_rates:
        yield _win_rates(comparison.win_rates)
    if comparison.pair_accuracy is not None and comparison.pair_accuracy.models:
        yield _pair_accuracy(comparison.pair_accuracy)
    if comparison.ranking:
        rows = tuple(
            # Level models differ by what rounding leaves, which would read as a figure: 1.12e−15.
            (_name(one.model), number(round(one.strength or 0.0, 9)), _range(one.interval_95))
            for one in comparison.ranking
        )
        yield FigureTable(("ranking", "strength", "95% interval"), rows, "ranking, ")
    answers = tuple(_of_answers(comparison))
    if answers:
        yield FigureTable(("answers", *map(_name, comparison.names)), answers)
    if comparison.style is not None and comparison.style.models:
        yield _style(comparison.style)
    if comparison.benchmarks is not None and comparison.benchmarks.tasks:
        tasks = tuple(
            (
                _name(f"{task.task} {task.metric}".strip()), number(task.base), number(task.tuned),
                number(task.difference), _range(task.interval_95),
            )
            for task in comparison.benchmarks.tasks
        )  # fmt: skip
        yield FigureTable(("benchmark", "base", "tuned", "difference", "95% interval"), tasks, "benchmark ")


def says_of_comparison(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Sentences with a style each: on the judge, findings, prompts to look at, telling words, warnings."""
    if comparison.judge_card is not None:
        yield from _of_judge(comparison.judge_card)
    for note in comparison.ranking_notes:
        yield f"ranking: {note}", "dim"
    for row in comparison.win_rates:
        if row.within is not None:
            takes = plural(row.within.num_more, "more comparison")
            pair = f"{_name(row.of)} against {_name(row.against)}"
            yield f"{pair}: within {row.within.half_width:.3g} either way takes {takes}, at this rate", ""
    for finding in comparison.fear_findings:
        yield finding.sentence, "yellow" if finding.severity != "info" else "dim"
    yield from _worth_a_look(comparison)
    if comparison.style is not None:
        if comparison.style.sentence:
            yield comparison.style.sentence, ""
        for name, model in comparison.style.models.items():
            yield from _telling(name, model)
    if comparison.pair_accuracy is not None and comparison.win_rates:
        yield comparison.pair_accuracy.sentence, ""
    if comparison.benchmarks is not None and comparison.benchmarks.sentence:
        yield comparison.benchmarks.sentence, ""
    warnings = list(_of_pairs(comparison.win_rates))
    warnings += [*comparison.warnings, *(comparison.style.warnings if comparison.style is not None else ())]
    if comparison.pair_accuracy is not None:
        warnings += comparison.pair_accuracy.warnings
    for warning in dict.fromkeys(warnings):
        yield f"note: {warning}", "yellow"


def _of_pairs(rows: Sequence[PairedWinRate]) -> Iterator[str]:
    """Warnings of two models each; where they do not hold for all, of which."""
    pairs: dict[str, list[str]] = {}
    for row in rows:
        for warning in row.warnings:
            pairs.setdefault(warning, []).append(f"{_name(row.of)} against {_name(row.against)}")
    for warning, own in pairs.items():
        yield warning if len(own) == len(rows) else f"{', '.join(own)}: {warning}"


def _of_judge(card: JudgeCard) -> Iterator[tuple[str, str]]:
    """What was found wrong with it: a win rate that a poor judge gives is no better than the judge."""
    if card.forced:
        yield f"{ENGLISH('judge_forced')} What {_name(card.judge)} prefers says nothing yet.", "yellow"
    for finding in card.findings:
        evidence = f" {finding.evidence}." if finding.evidence else ""
        yield f"the judge {_name(card.judge)}: {finding.what}{evidence}", "yellow"


def _worth_a_look(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Prompts by name. No claim is made of them: what one prompt shows may be chance."""
    for prompt in comparison.worse_prompts[:_MAX_WORSE]:
        whose = f" ({_name(prompt.model)})" if prompt.model and len(comparison.names) > 2 else ""
        yield f"worth a look{whose}: “{_brief(prompt.prompt)}”: {_brief(prompt.why, _MAX_WHY)}", ""
    if len(comparison.worse_prompts) > _MAX_WORSE:
        num = len(comparison.worse_prompts) - _MAX_WORSE
        yield f"({num:,} more in comparison.json; one prompt by itself may be chance)", "dim"


def _win_rates(rows: Sequence[PairedWinRate]) -> FigureTable:
    has_length = any(row.length_controlled_win_rate is not None for row in rows)
    has_agreement = any(row.agreement_corrected_win_rate is not None for row in rows)
    columns = ["", "win / tie / loss", "win rate", "sign test"]
    columns += ["at equal lengths"] * has_length + ["without the judge's errors"] * has_agreement
    return FigureTable(
        tuple(columns),
        tuple(
            (
                f"{_name(row.of)} against {_name(row.against)}",
                _counts(row),
                _rate(row.win_rate, row.interval_95),
                "" if row.sign_test_p is None or row.win_rate is None else _p(row.sign_test_p),
                *[_rate(row.length_controlled_win_rate, row.length_controlled_interval_95)] * has_length,
                *[_rate(row.agreement_corrected_win_rate, row.agreement_corrected_interval_95)]
                * has_agreement,
            )
            for row in rows
        ),
    )


def _pair_accuracy(found: PairAccuracy) -> FigureTable:
    columns = (
        f"{found.num_pairs:,} held-out pairs",
        "chosen side likelier per token",
        "as a whole",
        "gained / lost",
        "sign test",
        "moved towards chosen",
    )
    rows = []
    for name, own in found.models.items():
        cells = [
            _rate(own.accuracy.value, own.accuracy.interval_95),
            _rate(own.accuracy_of_sums.value, own.accuracy_of_sums.interval_95),
        ]
        gain = found.against_base.get(name)
        if gain is not None:
            moved = gain.reward_accuracy
            cells += [f"{gain.num_gained:,} / {gain.num_lost:,}", _p(gain.sign_test_p)]
            cells.append(_rate(moved.value, moved.interval_95))
        rows.append((_name(name), *cells, *[""] * (len(columns) - 1 - len(cells))))
    return FigureTable(columns, tuple(rows), "held-out pairs, ")


def _counts(row: PairedWinRate) -> str:
    said = f"{row.num_wins:,} / {row.num_ties:,} / {row.num_losses:,}"
    return said + (f", {row.num_missing:,} missing" if row.num_missing else "")


def _of_answers(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    scores = [comparison.figures.get(side) for side in ("base", "tuned")]
    if len(comparison.names) == 2 and any(one is not None and one.mean_score is not None for one in scores):
        yield ("mean score", *(number(None if one is None else one.mean_score) for one in scores))
    fears = [comparison.fears.get(name, {}) for name in comparison.names]
    for key, said, show in _FEARS:
        found = [of_model[key] for of_model in fears if key in of_model]
        if len(found) < len(fears) or (key in _NOT_WORTH_A_ROW and not any(one.value for one in found)):
            continue
        yield (said, *(f"{show(one.value)}{_bracketed(one.interval_95, key)}" for one in found))
    drifts = [(comparison.drift or {}).get(name) for name in comparison.names]
    if any(drifts):
        yield ("nats a token from the base", *map(_of_drift, drifts))
    neutral = [None if one is None else one.neutral_text for one in drifts]
    if any(neutral):
        yield ("the same on neutral text", *map(_of_drift, neutral))
    if comparison.perplexity:
        found_of = [comparison.perplexity.get(name) for name in comparison.names]
        yield ("perplexity", *("–" if one is None else number(one.value) for one in found_of))
        if any(one is not None and one.ratio_to_base is not None for one in found_of[1:]):
            yield ("times the base's", "–", *map(_of_perplexity, found_of[1:]))


def _of_drift(one: DriftOnText | None) -> str:
    return "–" if one is None else f"{number(one.kl_per_token)}{_bracketed(one.interval_95, '')}"


def _of_perplexity(one: Perplexity | None) -> str:
    """Against the baseline's, with the interval that tells them apart: it is paired by text."""
    if one is None or one.ratio_to_base is None:
        return "–"
    return f"{number(one.ratio_to_base)}{_bracketed(one.ratio_interval_95, '')}"


def _style(style: Style) -> FigureTable:
    """Distances from the target; of two models also how often chance alone would tell them so far apart."""
    models = style.models
    closer = style.closer_p if isinstance(style.closer_p, Mapping) else {}
    rows = []
    for measure in next(iter(models.values())).distances:
        found = [model.distances.get(measure) for model in models.values()]
        floor = next((one.noise_floor_95 for one in found if one is not None), None)
        cells = ["" if one is None else f"{number(one.value)} ({_p(one.permutation_p)})" for one in found]
        rows.append((measure, *cells, number(floor), *([_p(closer.get(measure))] if closer else [])))
    columns = (
        "distance in style",
        *map(_name, models),
        "noise up to",
        *(["between the two"] if closer else []),
    )
    return FigureTable(columns, tuple(rows), "distance in style, ")


def _p(p: float | None) -> str:
    if p is None:
        return "–"
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _telling(name: str, model: ModelStyle) -> Iterator[tuple[str, str]]:
    more = [word.feature for word in model.telling_words if (word.log_odds or 0) > 0][:_MAX_TELLING]
    less = [word.feature for word in model.telling_words if (word.log_odds or 0) < 0][:_MAX_TELLING]
    said = [
        f"{how} {', '.join(map(_name, words))}" for how, words in (("more", more), ("less", less)) if words
    ]
    if said:
        yield f"{_name(name)} says, beside the target, {'; '.join(said)}", "dim"


def _rate(rate: float | None, interval: tuple[float, float] | None) -> str:
    if rate is None:
        return "–"
    # As the sentences round: beside "44.9% to 55.0%" a "45% to 55%" would be another interval.
    low_high = "" if interval is None else f" ({ENGLISH.share_range(interval)})"
    return f"{rate:.1%}{low_high}"


def _range(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{number(interval[0])} to {number(interval[1])}"


def _bracketed(interval: tuple[float, float] | None, key: str) -> str:
    if interval is None:
        return ""
    show = percent if key.endswith("_share") else whole if key == "mean_length" else number
    return f" ({show(interval[0])} to {show(interval[1])})"


def _name(text: str) -> str:
    return _brief(text)


def _brief(text: str, most: int = _MAX_CHARACTERS) -> str:
    clean = " ".join(visible(text).split())
    return clean if len(clean) <= most else f"{clean[:most].rstrip()}…"
