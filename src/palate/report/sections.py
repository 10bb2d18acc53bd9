"""The sections of a report as plain values: what is said, before how it looks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from palate.report.claim import interval_in_words
from palate.report.difference import Span, mark_differences
from palate.report.folder import (
    AnswerFigures,
    Comparison,
    DataSplit,
    Interval,
    ModelAnswer,
    Run,
    RunSummary,
    Sample,
)
from palate.report.wording import (
    EXAMPLE_NOUNS,
    bytes_,
    duration,
    flat,
    number,
    percent,
    plural,
    visible,
    whole,
)

__all__ = [
    "AnswerPair",
    "DataView",
    "Fact",
    "SampleView",
    "answer_figures",
    "data_views",
    "environment",
    "missing_pieces",
    "recipe_lines",
    "sample_views",
    "speed",
    "tiles",
]

MAX_SAMPLES = 200
MAX_CHARACTERS = 6000


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure with its name; `interval` and `point` are shares to draw against one half."""

    name: str
    value: str
    note: str = ""
    interval: Interval | None = None
    point: float | None = None


def tiles(run: Run) -> list[Fact]:
    """The figures to know first, the strongest evidence before the rest."""
    found = [
        _win_rate_tile(run.comparison),
        _held_out_tile(run),
        _preferred_share_tile(run.summary),
        _length_tile(run.comparison),
        *_training_tiles(run.summary),
    ]
    return [tile for tile in found if tile is not None]


def _win_rate_tile(comparison: Comparison | None) -> Fact | None:
    if comparison is None or comparison.win_rate is None or comparison.win_rate.win_rate is None:
        return None
    figures = comparison.win_rate
    interval, share = figures.interval_95, figures.win_rate
    return Fact("Win rate against the base", percent(share), interval_in_words(interval), interval, share)


def _held_out_tile(run: Run) -> Fact | None:
    held_out = run.comparison.held_out if run.comparison is not None else None
    if held_out is not None and held_out.reward_accuracy is not None:
        note = plural(held_out.num_pairs, "pair")
        if held_out.interval_95 is not None:
            note = f"{note}, {interval_in_words(held_out.interval_95)}"
        share = held_out.reward_accuracy
        return Fact("Held-out reward accuracy", percent(share), note, held_out.interval_95, share)
    if run.summary is None or run.summary.eval is None or run.summary.eval.reward_accuracy is None:
        return None
    noun, count = EXAMPLE_NOUNS.get(run.summary.data, "example"), run.summary.num_pairs_eval
    pairs = "" if count is None else plural(count, noun)
    return Fact("Held-out reward accuracy", percent(run.summary.eval.reward_accuracy), pairs)


def _preferred_share_tile(summary: RunSummary | None) -> Fact | None:
    if summary is None or summary.preferred_share_before is None or summary.preferred_share_after is None:
        return None
    change = f"{percent(summary.preferred_share_before)} → {percent(summary.preferred_share_after)}"
    return Fact("Preferred style", change, "share of answers, before → after")


def _length_tile(comparison: Comparison | None) -> Fact | None:
    if comparison is None or not {"base", "tuned"} <= comparison.figures.keys():
        return None
    base, tuned = (comparison.figures[side].mean_length_characters for side in ("base", "tuned"))
    if base is None or tuned is None:
        return None
    return Fact("Answer length", f"{whole(base)} → {whole(tuned)}", "characters on average, base → tuned")


def _training_tiles(summary: RunSummary | None) -> list[Fact]:
    if summary is None:
        return []
    found = []
    if summary.eval is not None and summary.eval.loss is not None:
        of = "" if summary.num_steps is None else f" of {summary.num_steps:,}"
        best = "" if summary.best_step is None else f"best step {summary.best_step:,}{of}"
        found.append(Fact("Evaluation loss", number(summary.eval.loss), best))
    if summary.num_pairs_train is not None:
        steps = "" if summary.num_steps is None else f"in {plural(summary.num_steps, 'step')}"
        time = "" if summary.train_seconds is None else f", {duration(summary.train_seconds)}"
        seen = summary.num_pairs_train if summary.num_pairs_seen is None else summary.num_pairs_seen
        noun = EXAMPLE_NOUNS.get(summary.data, "example").capitalize() + "s"
        found.append(Fact(f"{noun} trained on", whole(seen), f"{steps}{time}".strip(", ")))
    return found


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """An answer of each model, in spans; None where a model gave fewer answers."""

    base: ModelAnswer | None
    tuned: ModelAnswer | None
    base_spans: tuple[Span, ...]
    tuned_spans: tuple[Span, ...]

    @property
    def same(self) -> bool:
        return self.base is not None and self.tuned is not None and self.base.text == self.tuned.text


@dataclass(frozen=True, slots=True)
class SampleView:
    number: int
    sample: Sample
    pairs: tuple[AnswerPair, ...]


def sample_views(comparison: Comparison) -> list[SampleView]:
    """The samples in the order of the file, never chosen."""
    return [
        SampleView(
            place, sample, tuple(_pair(sample, i) for i in range(max(len(sample.base), len(sample.tuned), 1)))
        )
        for place, sample in enumerate(comparison.samples[:MAX_SAMPLES], start=1)
    ]


def _pair(sample: Sample, index: int) -> AnswerPair:
    base, tuned = (side[index] if index < len(side) else None for side in (sample.base, sample.tuned))
    if base is not None and tuned is not None:
        return AnswerPair(base, tuned, *mark_differences(shown(base.text), shown(tuned.text)))
    unmarked = [(Span(shown(answer.text), False),) if answer is not None else () for answer in (base, tuned)]
    return AnswerPair(base, tuned, *unmarked)


def shown(text: str) -> str:
    """As much of a text as a page wants, and a word about the rest."""
    clean = visible(text)
    if len(clean) <= MAX_CHARACTERS:
        return clean
    return f"{clean[:MAX_CHARACTERS]}… ({len(clean) - MAX_CHARACTERS:,} more characters in comparison.json)"


def answer_figures(comparison: Comparison) -> list[tuple[str, str, str]]:
    """What the answers are like: name, base, tuned."""
    base, tuned = (comparison.figures.get(side, AnswerFigures()) for side in ("base", "tuned"))
    rows = [
        ("Mean score", base.mean_score, tuned.mean_score, number),
        ("Mean length in characters", base.mean_length_characters, tuned.mean_length_characters, whole),
        ("Finished before the length limit", base.finished_share, tuned.finished_share, percent),
        ("Distinct answers", base.distinct_share, tuned.distinct_share, percent),
    ]
    return [(name, say(a), say(b)) for name, a, b, say in rows if a is not None or b is not None]


@dataclass(frozen=True, slots=True)
class DataView:
    """One split of the data. `account` says whether rows in are rows kept plus rows set aside."""

    name: str
    split: DataSplit
    facts: tuple[Fact, ...]
    account: str
    adds_up: bool


def data_views(run: Run) -> list[DataView]:
    if run.data is None:
        return []
    splits = (("Training", run.data.train), ("Evaluation", run.data.eval))
    return [_data_view(name, split) for name, split in splits if split is not None]


def _data_view(name: str, split: DataSplit) -> DataView:
    facts = [
        Fact("source", split.source or "–"),
        Fact("layout", split.layout or "–"),
        Fact("prompts", whole(split.num_prompts)),
        Fact("pairs", whole(split.num_pairs)),
        Fact("too long", whole(split.num_too_long)),
        Fact("boundary merges", whole(split.num_boundary_merges)),
    ]
    account, adds_up = _account(split)
    return DataView(name, split, tuple(fact for fact in facts if fact.value != "–"), account, adds_up)


def _account(split: DataSplit) -> tuple[str, bool]:
    rows, kept, aside = split.num_rows, split.num_kept, split.num_set_aside
    if rows is None or kept is None or aside is None:
        return "", True
    account = f"{plural(rows, 'row')} = {kept:,} kept + {aside:,} set aside"
    if rows != kept + aside:
        return f"{account} does not add up: {abs(rows - kept - aside):,} rows are unaccounted for", False
    reasons = sum(reason.count for reason in split.set_aside)
    if reasons != aside:
        return f"{account}, but the reasons below cover {reasons:,} of them", False
    return account, True


def speed(run: Run) -> list[Fact]:
    """How fast it went, and why."""
    summary = run.summary
    if summary is None:
        return []
    computed = summary.num_reference_completions_computed
    cached = summary.num_reference_completions_cached
    layout = {"tree": "every distinct token computed once", "padded": "every completion by itself"}
    facts = [
        Fact("Pairs per second", number(summary.pairs_per_second), "over the whole training"),
        Fact("Sharing factor", f"{number(summary.sharing_factor)}×", "tokens represented per token computed"),
        Fact("Peak memory", bytes_(summary.peak_memory_bytes)),
        Fact("Training time", duration(summary.train_seconds)),
        Fact("Layout", summary.layout or "–", layout.get(summary.layout or "", "")),
        Fact(
            "Tree against padded",
            number(summary.tree_check_max_abs_difference, 2),
            "largest difference of log-probabilities on the first batch",
        ),
        *(
            [
                Fact(
                    "Reference log-probabilities",
                    whole(computed),
                    f"completions computed, {whole(cached)} from the cache",
                )
            ]
            if summary.needs_reference
            else []
        ),
    ]
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
    """Files that a whole run has and this folder has not."""
    pieces = {
        "recipe.yaml": run.recipe,
        "environment.json": run.environment,
        "lineage.json": run.lineage,
        "metrics.jsonl": run.metrics,
        "data.json": run.data,
        "summary.json": run.summary,
        "evaluation/comparison.json": run.comparison,
    }
    return [name for name, piece in pieces.items() if piece is None]
