"""The sections of a report as plain values: what is said, before how it looks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from palate.report.checked import Interval
from palate.report.comparison import AnswerFigures, Comparison
from palate.report.curves import rewards_of
from palate.report.folder import DataSplit, Run, RunSummary
from palate.report.phrases import ENGLISH, Phrases
from palate.report.wording import bytes_, flat, number, percent, whole

__all__ = [
    "DataView",
    "Fact",
    "answer_figures",
    "data_views",
    "environment",
    "missing_pieces",
    "recipe_lines",
    "speed",
    "tiles",
]


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure with its name; `interval` and `point` are shares to draw against one half."""

    name: str
    value: str
    note: str = ""
    interval: Interval | None = None
    point: float | None = None


def tiles(run: Run, say: Phrases) -> list[Fact]:
    """The figures to know first, the strongest evidence before the rest."""
    found = [
        _win_rate_tile(run.comparison, say),
        _held_out_tile(run, say),
        _pairs_tile(run.comparison, say),
        _preferred_share_tile(run.summary, say),
        _length_tile(run.comparison, say),
        *_training_tiles(run.summary, say),
    ]
    return [tile for tile in found if tile is not None]


def _win_rate_tile(comparison: Comparison | None, say: Phrases) -> Fact | None:
    if comparison is None or comparison.win_rate is None or comparison.win_rate.win_rate is None:
        return None
    figures = comparison.win_rate
    interval, share = figures.interval_95, figures.win_rate
    name = say("tile_win_rate")
    if len(comparison.names) > 2:
        name = say("rate_row", of=comparison.tuned, against=comparison.base)
    counts = {"wins": figures.num_wins, "losses": figures.num_losses, "ties": figures.num_ties}
    note = say("list_semicolon").join((say("verdict_counts", **counts), say.interval(interval)))
    return Fact(name, percent(share), note, interval, share)


def _held_out_tile(run: Run, say: Phrases) -> Fact | None:
    name = say(f"tile_held_out_{rewards_of(run.objective)}")
    compared = run.comparison.held_out if run.comparison is not None else None
    held_out = compared or run.held_out
    if held_out is not None and held_out.reward_accuracy is not None:
        note = say("num_pairs", n=held_out.num_pairs)
        if held_out.interval_95 is not None:
            note = say("list_comma").join((note, say.interval(held_out.interval_95)))
        share = held_out.reward_accuracy
        return Fact(name, percent(share), note, held_out.interval_95, share)
    if run.summary is None or run.summary.eval is None or run.summary.eval.reward_accuracy is None:
        return None
    kind, count = _kind(run.summary), run.summary.num_pairs_eval
    pairs = "" if count is None else say(f"num_{kind}", n=count)
    return Fact(name, percent(run.summary.eval.reward_accuracy), pairs)


def _pairs_tile(comparison: Comparison | None, say: Phrases) -> Fact | None:
    found = comparison.pair_accuracy if comparison is not None else None
    if found is None or len(found.models) != 2:
        return None
    base, tuned = (own.accuracy.value for own in found.models.values())
    note = say("pairs_tile_note", n=found.num_pairs)
    return Fact(say("pairs_tile"), f"{percent(base)} → {percent(tuned)}", note)


def _kind(summary: RunSummary) -> str:
    """What one example is, by the kind of data a run learnt from."""
    return summary.data if summary.data in ("pairs", "labels", "rankings") else "examples"


def _preferred_share_tile(summary: RunSummary | None, say: Phrases) -> Fact | None:
    if summary is None or summary.preferred_share_before is None or summary.preferred_share_after is None:
        return None
    change = f"{percent(summary.preferred_share_before)} → {percent(summary.preferred_share_after)}"
    return Fact(say("tile_preferred_style"), change, say("tile_preferred_style_note"))


def _length_tile(comparison: Comparison | None, say: Phrases) -> Fact | None:
    if comparison is None or len(comparison.names) > 2 or not {"base", "tuned"} <= comparison.figures.keys():
        return None
    base, tuned = (comparison.figures[side].mean_length_characters for side in ("base", "tuned"))
    if base is None or tuned is None:
        return None
    return Fact(say("tile_length"), f"{whole(base)} → {whole(tuned)}", say("tile_length_note"))


def _training_tiles(summary: RunSummary | None, say: Phrases) -> list[Fact]:
    if summary is None:
        return []
    found = []
    steps = summary.num_steps
    if summary.eval is not None and summary.eval.loss is not None:
        best = "" if summary.best_step is None else say("best_step", step=summary.best_step)
        if best and steps is not None:
            best = say("best_step_of", step=summary.best_step, steps=steps)
        found.append(Fact(say("tile_eval_loss"), number(summary.eval.loss), best))
    if summary.num_pairs_train is not None:
        notes = [] if steps is None else [say("in_steps", n=steps)]
        notes += [] if summary.train_seconds is None else [say.duration(summary.train_seconds)]
        seen = summary.num_pairs_train if summary.num_pairs_seen is None else summary.num_pairs_seen
        trained_on = say(f"tile_{_kind(summary)}_trained_on")
        found.append(Fact(trained_on, whole(seen), say("list_comma").join(notes)))
    return found


def answer_figures(comparison: Comparison, say: Phrases = ENGLISH) -> list[tuple[str, str, str]]:
    """What the answers of two models are like: name, base, tuned."""
    if len(comparison.names) > 2:
        return []
    base, tuned = (comparison.figures.get(side, AnswerFigures()) for side in ("base", "tuned"))
    rows = [
        ("mean_score", base.mean_score, tuned.mean_score, number),
        ("mean_length", base.mean_length_characters, tuned.mean_length_characters, whole),
        ("finished", base.finished_share, tuned.finished_share, percent),
        ("distinct", base.distinct_share, tuned.distinct_share, percent),
    ]
    return [
        (say(f"figure_{name}"), show(a), show(b))
        for name, a, b, show in rows
        if a is not None or b is not None
    ]


@dataclass(frozen=True, slots=True)
class DataView:
    """One split of the data. `account` says whether rows in are rows kept plus rows set aside."""

    name: str
    split: DataSplit
    facts: tuple[Fact, ...]
    account: str
    adds_up: bool


def data_views(run: Run, say: Phrases) -> list[DataView]:
    if run.data is None:
        return []
    splits = (("training", run.data.train), ("evaluation", run.data.eval))
    return [_data_view(say(f"split_{name}"), split, say) for name, split in splits if split is not None]


def _data_view(name: str, split: DataSplit, say: Phrases) -> DataView:
    facts = [
        Fact(say("data_source"), say.known(split.source or "–")),
        Fact(say("data_layout"), split.layout or "–"),
        Fact(say("data_prompts"), whole(split.num_prompts)),
        Fact(say("data_pairs"), whole(split.num_pairs)),
        Fact(say("data_too_long"), whole(split.num_too_long)),
        Fact(say("data_boundary_merges"), whole(split.num_boundary_merges)),
    ]
    account, adds_up = _account(split, say)
    return DataView(name, split, tuple(fact for fact in facts if fact.value != "–"), account, adds_up)


def _account(split: DataSplit, say: Phrases) -> tuple[str, bool]:
    rows, kept, aside = split.num_rows, split.num_kept, split.num_set_aside
    if rows is None or kept is None or aside is None:
        return "", True
    account = say("account", n=rows, kept=kept, aside=aside)
    if rows != kept + aside:
        return say("account_wrong", account=account, missing=abs(rows - kept - aside)), False
    reasons = sum(reason.count for reason in split.set_aside)
    if reasons != aside:
        return say("account_reasons", account=account, reasons=reasons), False
    return account, True


def speed(run: Run, say: Phrases) -> list[Fact]:
    """How fast it went, and why."""
    summary = run.summary
    if summary is None:
        return []
    computed = summary.num_reference_completions_computed
    cached = summary.num_reference_completions_cached
    layout = summary.layout or "–"
    facts = [
        Fact(say("speed_pairs"), number(summary.pairs_per_second), say("speed_pairs_note")),
        Fact(say("speed_sharing"), f"{number(summary.sharing_factor)}×", say("speed_sharing_note")),
        Fact(say("speed_memory"), bytes_(summary.peak_memory_bytes)),
        Fact(say("speed_time"), say.duration(summary.train_seconds)),
        Fact(
            say("speed_layout"), layout, say(f"layout_{layout}_note") if layout in ("tree", "padded") else ""
        ),
        Fact(
            say("speed_tree_check"),
            number(summary.tree_check_max_abs_difference, 2),
            say("speed_tree_check_note"),
        ),
    ]
    if summary.needs_reference:
        note = say("speed_reference_note", cached=whole(cached))
        facts.append(Fact(say("speed_reference"), whole(computed), note))
    return [fact for fact in facts if not fact.value.startswith("–")]


_RECIPE_LINE = re.compile(r"^(\s*(?:- )?)([\w.-]+:)(?=\s|$)(.*)$")


def recipe_lines(text: str) -> list[tuple[str, str, str]]:
    """Each line as indent, key and rest, so that keys can be told from values at a glance."""
    found = [(_RECIPE_LINE.match(line), line) for line in text.rstrip("\n").split("\n")]
    return [match.group(1, 2, 3) if match else ("", "", line) for match, line in found]  # type: ignore[misc]


def environment(content: Mapping[str, Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What the run ran on, and the packages it ran with."""
    packages = content.get("packages")
    rest = {key: value for key, value in content.items() if key != "packages"}
    return flat(rest), flat(packages) if isinstance(packages, Mapping) else []


def missing_pieces(run: Run) -> list[str]:
    """Files that a whole run has and this folder has not; none of a folder that only compares models."""
    pieces = {
        "recipe.yaml": run.recipe,
        "environment.json": run.environment,
        "lineage.json": run.lineage,
        "metrics.jsonl": run.metrics,
        "data.json": run.data,
        "summary.json": run.summary,
        "evaluation/comparison.json": run.comparison,
    }
    return [name for name, piece in pieces.items() if piece is None and run.is_training]
