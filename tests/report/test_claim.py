"""The verdict says as much as the numbers allow, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import synthetic_run as synthetic

from palate.report.claim import Claim, claim_of, claim_of_comparison, interval_in_words
from palate.report.folder import Comparison, read_run
from palate.report.phrases import ENGLISH
from palate.report.sections import tiles
from palate.statistics import win_rates


def claim(num_wins: int, num_losses: int, num_ties: int = 0, num_missing: int = 0, **changed: Any) -> Claim:
    outcomes: list[win_rates.Outcome] = ["win"] * num_wins + ["loss"] * num_losses + ["tie"] * num_ties
    counted = win_rates.win_rate([*outcomes, *[None] * num_missing])
    figures = {name: getattr(counted, name) for name in counted.__slots__}
    content = synthetic.comparison() | {"win_rate": figures} | changed
    return claim_of_comparison(Comparison.model_validate(content))


def test_better_worse_and_open() -> None:
    assert (
        claim(30, 2).headline == "The tuned model answers better than the base model, by the judge “shorter”."
    )
    assert (
        claim(2, 30).headline == "The tuned model answers worse than the base model, by the judge “shorter”."
    )
    assert claim(17, 15).headline.startswith(
        "It is not settled whether the tuned model answers better than the base"
    )
    assert [claim(30, 2).tone, claim(2, 30).tone, claim(17, 15).tone] == ["better", "worse", "open"]


@pytest.mark.parametrize("num_wins", range(33))
def test_better_is_said_only_above_one_half_and_below_five_percent(num_wins: int) -> None:
    found = claim(num_wins, 32 - num_wins)
    counted = win_rates.win_rate(["win"] * num_wins + ["loss"] * (32 - num_wins))
    sure = counted.sign_test_p <= 0.05
    assert (found.tone == "better") == (counted.interval_95[0] > 0.5 and sure)
    assert (found.tone == "worse") == (counted.interval_95[1] < 0.5 and sure)


def test_where_interval_and_sign_test_disagree_nothing_is_settled() -> None:
    """5 wins of 5: Wilson's interval starts at 0.566, the exact test says 2 / 2^5 = 0.0625."""
    found = claim(5, 0)
    assert found.tone == "open"
    assert "not settled" in found.headline
    assert "borderline" in found.remarks[0]


def test_missing_verdicts_are_said() -> None:
    assert "3 comparisons have no verdict" in claim(20, 4, num_missing=3).remarks[0]


def test_missing_verdicts_that_could_undo_it_leave_it_open() -> None:
    assert claim(14, 2, num_missing=1).tone == "better"
    found = claim(14, 2, num_missing=6)
    assert found.tone == "open"
    assert "would not hold if all missing verdicts had gone the other way" in found.remarks[0]
    assert claim(2, 14, num_missing=1).tone == "worse"
    assert claim(2, 14, num_missing=6).tone == "open"


def test_no_verdict_at_all() -> None:
    found = claim(0, 0, num_missing=4)
    assert found.tone == "open"
    assert "Nothing can be said" in found.remarks[0]


def test_without_a_judge_the_claim_is_about_the_reward() -> None:
    found = claim_of_comparison(Comparison.model_validate(synthetic.comparison() | {"win_rate": None}))
    assert found.headline == (
        "Its reward prefers the chosen answer in 93% of 54 held-out pairs (95% interval 82.5% to 97.1%)."
    )
    assert found.remarks == (
        "The answers were not judged, so this says nothing about how they read. "
        "Next: palate compare RUN --judge-model MODEL, or palate annotate RUN.",
    )


def test_a_held_out_accuracy_that_chance_could_give_is_called_that() -> None:
    held_out = {"num_pairs": 20, "reward_accuracy": 0.6, "interval_95": [0.38, 0.78]}
    content = synthetic.comparison() | {"win_rate": None, "held_out": held_out}
    found = claim_of_comparison(Comparison.model_validate(content))
    assert found.tone == "open"
    assert "which chance alone could give" in found.headline


def test_an_unfinished_run_is_called_that(tmp_path: Path) -> None:
    run = synthetic.write_run(tmp_path / "run", num_steps=7)
    (run / "summary.json").unlink()
    (run / "evaluation" / "comparison.json").unlink()
    assert claim_of(read_run(run)).headline == "This run has not finished: 7 steps recorded so far."


def test_intervals_round_outwards() -> None:
    assert interval_in_words((0.50049, 0.93001)) == "95% interval 50.0% to 93.1%"


def several(*counts: tuple[int, int, int]) -> Claim:
    """Of models b, c, ... against a: wins, losses and missing verdicts of each."""
    names = ["a", *"bcdefgh"[: len(counts)]]
    rows = []
    for name, (num_wins, num_losses, num_missing) in zip(names[1:], counts, strict=True):
        outcomes: list[win_rates.Outcome] = ["win"] * num_wins + ["loss"] * num_losses
        counted = win_rates.win_rate([*outcomes, *[None] * num_missing])
        figures = {key: getattr(counted, key) for key in counted.__slots__}
        rows.append({"of": name, "against": "a", "sentence": "", **figures})
    content = {
        "base": "a", "tuned": "b", "models": names, "samples": [], "judge": "shorter", "win_rates": rows,
        "win_rate": {key: rows[0][key] for key in win_rates.WinRate.__slots__},
    }  # fmt: skip
    return claim_of_comparison(Comparison.model_validate(content))


def test_of_several_models_none_is_called_better_that_chance_may_show_among_so_many() -> None:
    """66 of 100 is p = 0.0018, and 61 of 100 p = 0.035: alone that is beyond chance, among five it is not."""
    level = (50, 50, 0)
    lucky = several((61, 39, 0), level, level, level, level)
    assert lucky.tone == "open" and "b, c, d, e and f answer better than a" in lucky.headline
    assert lucky.headline.startswith("It is not settled whether b")
    sure = several((66, 34, 0), (61, 39, 0), level, level, level)
    assert sure.headline.startswith("b answers better than a, by the judge “shorter”. It is not settled")
    assert several((34, 66, 0), level).headline.startswith("b answers worse than a")


def test_of_several_models_those_without_a_verdict_are_open() -> None:
    nothing = several((0, 0, 9), (0, 0, 9))
    assert (
        nothing.headline == "It is not settled whether b and c answer better than a, by the judge “shorter”."
    )
    one = several((0, 0, 9), (30, 2, 0))
    assert one.headline.startswith("c answers better than a") and "not settled whether b" in one.headline


@pytest.mark.parametrize(
    ("objective", "words", "tile"),
    [
        ("dpo", "its reward prefers the chosen answer", "Held-out reward accuracy"),
        ("sft", "the model finds the chosen answer the likelier one", "Held out: chosen is likelier"),
        ("orpo", "the model finds the chosen answer the likelier one", "Held out: chosen is likelier"),
        ("reward", "the model scores the chosen answer higher", "Held out: chosen scores higher"),
    ],
)
def test_held_out_accuracy_is_said_in_the_terms_of_the_objective(
    tmp_path: Path, objective: str, words: str, tile: str
) -> None:
    folder = synthetic.write_run(tmp_path / "run", num_steps=3)
    (folder / "evaluation" / "comparison.json").unlink()
    (folder / "recipe.yaml").write_text(f"objective: {{type: {objective}}}\n", encoding="utf-8")
    run = read_run(folder)
    assert words in claim_of(run).headline
    assert tile in [one.name for one in tiles(run, ENGLISH)]
