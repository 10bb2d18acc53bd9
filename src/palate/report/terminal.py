"""The essentials of a run in a terminal, and as plain lines where there is none.

A terminal gets columns and a little colour; a pipe or a file gets `name: value` lines without either. Text of
models and data is never read as markup, and its control characters come out as signs: no answer can steer the
terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from palate.report.checked import parse
from palate.report.claim import claim_of_comparison
from palate.report.comparison import Comparison, ModelAnswer, Sample
from palate.report.folder import RunSummary
from palate.report.terminal_figures import comparison_tables, says_of_comparison
from palate.report.wording import (
    EXAMPLE_NOUNS,
    bytes_,
    duration,
    number,
    percent,
    plural,
    signed,
    visible,
    whole,
)

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["render_comparison", "render_summary"]

MAX_CHARACTERS = 400
"""Of one answer; the whole of it is in comparison.json and in the report."""
MIN_COLUMN_WIDTH = 18
VERDICTS = {"win": "tuned better", "loss": "base better", "tie": "tie"}
VERDICT_STYLES = {"win": "green", "loss": "red", "tie": "dim"}
TONE_STYLES = {"better": "bold green", "worse": "bold red", "open": "bold"}


def render_comparison(comparison: Mapping[str, Any], console: Console, *, num_samples: int = 5) -> None:
    """Prints the first `num_samples` prompts with both models' answers, then what the comparison shows.

    `comparison` is laid out as `evaluation/comparison.json`. Raises ArtifactError where it is not.
    """
    found = parse(Comparison, comparison, "comparison")
    samples = found.samples[:num_samples]
    show = _print_sides if console.is_terminal else _print_sample_lines
    for place, sample in enumerate(samples, start=1):
        show(place, sample, found, console)
    if len(found.samples) > len(samples):
        more = plural(len(found.samples) - len(samples), "more prompt")
        _print(console, f"({more} in comparison.json)", "dim")
        _print(console)
    claim = claim_of_comparison(found)
    _print(console, claim.headline, TONE_STYLES[claim.tone])
    for remark in claim.remarks:
        _print(console, remark)
    if console.is_terminal:
        console.print()
    for table in comparison_tables(found):
        table.print(console)
    for sentence, style in says_of_comparison(found):
        _print(console, sentence, style)


def render_summary(summary: Mapping[str, Any], console: Console) -> None:
    """Prints what a finished run did, in a few lines.

    `summary` is laid out as `summary.json`. Raises ArtifactError where it is not.
    """
    rows = _summary_rows(parse(RunSummary, summary, "summary"))
    if not console.is_terminal:
        for name, value in rows:
            _print(console, f"{name}: {value}")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 3, 0, 0))
    for name, value in rows:
        table.add_row(Text(name, "dim"), Text(value))
    console.print(table)


def _summary_rows(summary: RunSummary) -> list[tuple[str, str]]:
    rows = [
        ("training", _training(summary)),
        ("data", _data(summary)),
        ("held out", _held_out(summary)),
        ("preferred style", _preferred_share(summary)),
        ("speed", _speed(summary)),
        ("reference", _reference(summary)),
    ]
    check = summary.tree_check_max_abs_difference
    if check is not None:
        rows.append(
            ("tree check", f"log-probabilities differ by at most {number(check, 2)} from the model's own")
        )
    return [(name, value) for name, value in rows if value]


def _joined(*parts: tuple[Any, str]) -> str:
    """The texts whose figure was measured."""
    return ", ".join(text for figure, text in parts if figure is not None)


def _training(summary: RunSummary) -> str:
    steps, seconds, best = summary.num_steps, summary.train_seconds, summary.best_step
    return _joined(
        (summary.status, visible(summary.status or "")),
        (steps, plural(steps or 0, "step") + (" (stopped early)" if summary.stopped_early else "")),
        (seconds, duration(seconds)),
        (best, f"best step {best}"),
    )


def _data(summary: RunSummary) -> str:
    train, held_out, aside = summary.num_pairs_train, summary.num_pairs_eval, summary.num_rows_set_aside
    noun, seen = EXAMPLE_NOUNS.get(summary.data, "example"), summary.num_pairs_seen
    partly = seen is not None and train is not None and seen < train
    return _joined(
        (
            train,
            f"{plural(train or 0, noun)} {f'to train on, {whole(seen)} seen' if partly else 'trained on'}",
        ),
        (held_out, f"{whole(held_out)} held out"),
        (aside, f"{plural(aside or 0, 'row')} set aside"),
    )


def _held_out(summary: RunSummary) -> str:
    found = summary.eval
    if found is None:
        return ""
    return _joined(
        (found.reward_accuracy, f"reward accuracy {percent(found.reward_accuracy)}"),
        (found.reward_margin, f"margin {signed(found.reward_margin)}"),
        (found.loss, f"loss {number(found.loss)}"),
    )


def _preferred_share(summary: RunSummary) -> str:
    before, after = summary.preferred_share_before, summary.preferred_share_after
    if before is None or after is None:
        return ""
    return f"{percent(before)} of answers before, {percent(after)} after"


def _speed(summary: RunSummary) -> str:
    rate, sharing, memory = summary.pairs_per_second, summary.sharing_factor, summary.peak_memory_bytes
    return _joined(
        (rate, f"{number(rate)} pairs/s"),
        (sharing, f"each computed token stands for {number(sharing)}"),
        (memory, f"peak memory {bytes_(memory)}"),
    )


def _reference(summary: RunSummary) -> str:
    if not summary.needs_reference:
        return ""
    computed, cached = summary.num_reference_completions_computed, summary.num_reference_completions_cached
    return _joined(
        (computed, f"{plural(computed or 0, 'completion')} computed"),
        (cached, f"{whole(cached)} from the cache"),
    )


def _print_sides(place: int, sample: Sample, comparison: Comparison, console: Console) -> None:
    """The prompt, its verdict, and the answers in columns of equal width; below each other where too many."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    heading = Text.assemble((f"{place}  ", "dim"), (_prompt(sample), "bold"))
    if sample.verdict is not None and len(comparison.names) == 2:
        heading.append(f"  {VERDICTS[sample.verdict]}", VERDICT_STYLES[sample.verdict])
    console.print(heading)
    answers = _answers(sample, comparison)
    if len(answers) * MIN_COLUMN_WIDTH > console.width:
        for name, said in answers:
            console.print(Padding(Text.assemble((f"{name}: ", "dim"), said), (0, 0, 0, 3)))
        console.print()
        return
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for _ in answers:
        table.add_column(ratio=1, overflow="fold")
    table.add_row(*(Text(name, "dim") for name, _ in answers))
    table.add_row(*(Text(said) for _, said in answers))
    console.print(Padding(table, (0, 0, 1, 3)))


def _print_sample_lines(place: int, sample: Sample, comparison: Comparison, console: Console) -> None:
    _print(console, f"prompt {place}: {_one_line(_prompt(sample))}")
    roles = ["base", "tuned"] if len(comparison.names) == 2 else []
    for turn, (name, said) in enumerate(_answers(sample, comparison)):
        role = f"{roles[turn]} ({name})" if roles else name
        _print(console, f"{role}: {_one_line(said)}")
    if sample.verdict is not None and len(comparison.names) == 2:
        _print(console, f"verdict: {VERDICTS[sample.verdict]}")
    _print(console)


def _prompt(sample: Sample) -> str:
    """What was asked last; the turns before it are in the report."""
    return _shortened(sample.prompt[-1].content) if sample.prompt else "(no prompt)"


def _answers(sample: Sample, comparison: Comparison) -> list[tuple[str, str]]:
    """Each model's name and first answer; of several the others are counted."""
    return [
        (visible(name), _said(comparison.answers_of(sample, place)))
        for place, name in enumerate(comparison.names)
    ]


def _said(answers: Sequence[ModelAnswer]) -> str:
    if not answers:
        return "(no answer)"
    answer = answers[0]
    text = _shortened(answer.text) or "(empty)"
    text = text if answer.finished else f"{text} (cut off at the length limit)"
    return text if len(answers) == 1 else f"{text} (and {len(answers) - 1} more)"


def _shortened(text: str) -> str:
    clean = visible(text).strip()
    return clean if len(clean) <= MAX_CHARACTERS else f"{clean[:MAX_CHARACTERS].rstrip()}…"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _print(console: Console, text: str = "", style: str = "") -> None:
    from rich.text import Text

    # A pipe gets one line per fact, however long; a terminal wraps at words.
    console.print(
        Text(visible(text), style if console.is_terminal else ""), soft_wrap=not console.is_terminal
    )
