"""What a table of judgements says about a model, and what in the table weakens it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from palate.data.judgements import Judged, JudgementTable, read_judgements
from palate.errors import DataError
from palate.evaluate.fears.unfinished import unfinished_signs
from palate.evaluate.table_wording import as_sides, num_more_to_settle, sentence_on
from palate.statistics.judged import JudgedWinRate, judged_win_rate
from palate.statistics.sample_size import comparisons_for_interval
from palate.statistics.win_rates import interval_in_words

__all__ = ["TableWinRate", "table_win_rate"]

_FEW_PROMPTS = 30
_CHANCE = 0.05


@dataclass(frozen=True, slots=True)
class TableWinRate:
    """The win rate of a table's model, whole and without what weakens it."""

    table: JudgementTable
    figures: JudgedWinRate
    without_unfinished: JudgedWinRate | None
    """Without the rows in which an answer shows signs of being cut off; None where none does."""
    num_unfinished_own: int | None
    """Answers of the model with such signs; None where the table holds no texts."""
    num_unfinished_other: int | None
    sentence: str
    warnings: tuple[str, ...]
    within: float | None = None
    """Half the width of an interval that is wanted."""

    def as_dict(self) -> dict[str, Any]:
        """What `palate winrate --json` prints. Rates and errors are in 0..1."""
        counts, controlled = self.figures.counts, self.figures.length_controlled
        return {
            "source": self.table.source,
            "layout": self.table.layout,
            "of": self.table.of,
            "against": list(self.table.against),
            "judges": list(self.table.judges),
            "num_comparisons": counts.num_comparisons,
            "num_prompts": len({row.prompt for row in self.table.rows if row.score is not None}),
            "num_wins": counts.num_wins,
            "num_losses": counts.num_losses,
            "num_ties": counts.num_ties,
            "num_missing": counts.num_missing,
            "num_set_aside": len(self.table.set_aside),
            "num_other_models": self.table.num_other_models,
            "win_rate": self.figures.win_rate,
            "standard_error": self.figures.standard_error,
            "interval_95": list(self.figures.interval_95),
            "bootstrap_interval_95": _listed(self.figures.bootstrap_interval_95),
            "discrete_win_rate": self.figures.discrete_win_rate,
            "discrete_interval_95": list(counts.interval_95),
            "sign_test_p": counts.sign_test_p,
            "num_more_to_settle": num_more_to_settle(self.figures, self.table.rows),
            "within": None
            if self.within is None
            else {
                "half_width": self.within,
                "num_more": comparisons_for_interval(
                    replace(counts, interval_95=self.figures.interval_95), self.within
                ),
            },
            "length_controlled_win_rate": None if controlled is None else controlled.win_rate,
            "length_controlled_interval_95": None if controlled is None else _listed(controlled.interval_95),
            "length_coefficient": None if controlled is None else controlled.length_coefficient,
            "mean_length_shift": None if controlled is None else controlled.mean_shift,
            "num_unfinished": None
            if self.num_unfinished_own is None
            else {"of": self.num_unfinished_own, "against": self.num_unfinished_other},
            "without_unfinished": _brief(self.without_unfinished),
            "sentence": self.sentence,
            "warnings": list(self.warnings),
        }


def table_win_rate(
    path: str,
    *,
    of: str | None = None,
    against: str | None = None,
    judge: str | None = None,
    columns: Mapping[str, str] | None = None,
    within: float | None = None,
) -> TableWinRate:
    """Read a table of judgements and say how the model in it did.

    Args:
        path, of, against, judge, columns: as `palate.data.judgements.read_judgements` takes them.
        within: half the width of the 95% interval that is wanted, to say how many comparisons it still takes.

    Raises:
        CallError: `within` is no such width.
        DataError: as reading does; or no row holds a judgement.
    """
    if Path(path).name == "comparison.json":
        raise DataError(
            "this is a whole comparison, not a table of judgements",
            where=path,
            next="its win_rates stand in it, and a judge's verdicts in verdicts.jsonl beside it",
        )
    table = read_judgements(path, of=of, against=against, judge=judge, columns=columns)
    if not any(row.score is not None for row in table.rows):
        raise DataError(
            "no row holds a judgement that counts",
            where=path,
            why=f"{len(table.rows)} rows without a verdict, {len(table.set_aside)} set aside"
            + (f"; the first: {table.set_aside[0].reason}" if table.set_aside else ""),
        )
    figures = _figures(table.rows)
    signs = _signs(table.rows)
    kept = [row for row, shows in zip(table.rows, signs, strict=True) if not any(shows)]
    has_texts = any(row.own_text is not None for row in table.rows)
    own, other = (sum(shows[side] for shows in signs) for side in (0, 1))
    without = _figures(kept) if len(kept) < len(table.rows) else None
    others = " and ".join(table.against) if len(table.against) < 3 else f"{len(table.against)} others"
    return TableWinRate(
        table,
        figures,
        without,
        own if has_texts else None,
        other if has_texts else None,
        sentence_on(figures, table.rows, table.of, others),
        tuple(_warnings(table, figures, without, (own, other))),
        within,
    )


def _figures(rows: Sequence[Judged]) -> JudgedWinRate:
    has_lengths = bool(rows) and all(
        row.own_length is not None and row.other_length is not None for row in rows
    )
    differences = [(row.own_length or 0.0) - (row.other_length or 0.0) for row in rows]
    return judged_win_rate(
        [row.score for row in rows], [row.prompt for row in rows], differences if has_lengths else None
    )


def _signs(rows: Sequence[Judged]) -> list[tuple[bool, bool]]:
    """For each row whether the model's answer, and the other's, looks cut off."""
    texts = [row.own_text or "" for row in rows] + [row.other_text or "" for row in rows]
    found = [bool(signs) for signs in unfinished_signs(texts)]
    return list(zip(found[: len(rows)], found[len(rows) :], strict=True))


def _warnings(
    table: JudgementTable,
    figures: JudgedWinRate,
    without: JudgedWinRate | None,
    unfinished: tuple[int, int],
) -> list[str]:
    said = []
    if not table.names_known:
        said.append(
            f'Nothing says who wrote which side: this is the win rate of side "{table.of}", whatever stood '
            "there."
        )
    if (withheld := _withheld(table)) is not None:
        said.append(withheld)
    if without is not None:
        said.append(_of_unfinished(table, figures, without, unfinished))
    if figures.is_soft and (sides := as_sides(figures, table.of)) is not None:
        said.append(sides)
    if figures.length_controlled is not None:
        said += figures.length_controlled.warnings
    prompts = Counter(row.prompt for row in table.rows if row.score is not None)
    if len(prompts) < _FEW_PROMPTS:
        few = "1 prompt is" if len(prompts) == 1 else f"{len(prompts)} prompts are"
        said.append(f"{few} few: the interval is as wide as that makes it.")
    if not table.positions_known:
        said.append(
            "The table does not say which side was shown first: a preference for a place cannot be told from "
            "one for a model."
        )
    if figures.counts.num_missing:
        num = figures.counts.num_missing
        few = "1 comparison has" if num == 1 else f"{num:,} comparisons have"
        said.append(
            f"{few} no verdict. If the missing ones are the hard ones, the rest is not a fair sample."
        )
    if table.set_aside:
        num, first = len(table.set_aside), table.set_aside[0]
        rows = "1 row holds" if num == 1 else f"{num:,} rows hold"
        said.append(
            f"{rows} no judgement that can be read and {'is' if num == 1 else 'are'} set aside; the first, "
            f"line {first.line}: {first.reason}"
        )
    return said


def _of_unfinished(
    table: JudgementTable, figures: JudgedWinRate, without: JudgedWinRate, unfinished: tuple[int, int]
) -> str:
    num_rows = len(table.rows)
    against = " and ".join(table.against)
    counts, own = without.counts, without.win_rate
    parts = [
        f"Answers look cut off or unclosed: {unfinished[0]} of {num_rows} of {table.of}, {unfinished[1]} of "
        f"{num_rows} of {against}"
    ]
    if _differ(unfinished, num_rows):
        worse = table.of if unfinished[0] > unfinished[1] else against
        parts.append(f", which {worse} may be losing by, and not by what it says")
    if own is None:
        return "".join(parts) + ". Without these rows nothing is left."
    before = figures.win_rate or 0.0
    parts.append(
        f". Without these rows: {counts.num_wins} of {counts.num_comparisons}, a win rate of "
        f"{own:.1%} instead of {before:.1%} ({interval_in_words(without.interval_95)}, sign test p = "
        f"{counts.sign_test_p:.3g})"
    )
    lost = _leaves_half_out(figures) and not _leaves_half_out(without)
    if lost or figures.counts.sign_test_p <= _CHANCE < counts.sign_test_p:
        parts.append(": what the table shows rests on them, in part")
    return "".join(parts) + "."


def _leaves_half_out(figures: JudgedWinRate) -> bool:
    low, high = figures.interval_95
    return not low <= 0.5 <= high


def _withheld(table: JudgementTable) -> str | None:
    """Why the judge whose verdicts these are is not to be believed, where the card beside them says so."""
    card_file = Path(table.source).with_name("judge_card.json")
    if table.layout != "verdicts" or not card_file.is_file():
        return None
    try:
        card = json.loads(card_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # the table is what was asked about, and it could be read
    if not isinstance(card, dict) or card.get("judge") not in table.judges:
        return None
    because = card.get("withheld_because")
    return f"The judge's card, beside this file, says: {because}" if because else None


def _differ(unfinished: tuple[int, int], num_rows: int) -> bool:
    """Whether one side shows such signs more often than chance (Fisher's exact test)."""
    from scipy.stats import fisher_exact

    first, second = unfinished
    result: Any = fisher_exact([[first, num_rows - first], [second, num_rows - second]])
    return bool(result.pvalue < _CHANCE)


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _brief(figures: JudgedWinRate | None) -> dict[str, Any] | None:
    if figures is None:
        return None
    counts = figures.counts
    return {
        "num_wins": counts.num_wins,
        "num_losses": counts.num_losses,
        "num_ties": counts.num_ties,
        "win_rate": figures.win_rate,
        "interval_95": list(figures.interval_95),
        "sign_test_p": counts.sign_test_p,
    }
