"""Baselines and length bias, against other ways to compute them."""

from __future__ import annotations

import numpy as np
import pytest
from auditing_rows import finding_of, make_clean_rows, pair
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from palate.data.audit.lengths import common_language_effect
from palate.data.audit.shares import clustered_share


def test_the_interval_of_independent_rows_is_wilsons():
    right = np.arange(50) < 33
    share = clustered_share(right, np.arange(50))
    assert share is not None
    assert share.design_effect == pytest.approx(50 / 49)  # clusters of one: only the small-sample factor
    assert (share.lower, share.upper) == pytest.approx(
        proportion_confint(33 * 49 / 50, 49, method="wilson"), abs=1e-12
    )


def test_copies_of_a_row_make_nothing_surer():
    """Ten rows of each prompt, all alike, are worth no more than one: the same interval as of the prompts."""
    prompts = np.arange(40) < 25
    once = clustered_share(prompts, np.arange(40))
    tenfold = clustered_share(np.repeat(prompts, 10), np.repeat(np.arange(40), 10))
    assert once is not None
    assert tenfold is not None
    assert (tenfold.lower, tenfold.upper) == pytest.approx((once.lower, once.upper))
    assert tenfold.design_effect == pytest.approx(10 * once.design_effect)


def test_all_alike_counts_every_cluster_once():
    share = clustered_share(np.ones(60, bool), np.repeat(np.arange(12), 5))
    assert share is not None
    assert share.lower == pytest.approx(proportion_confint(12, 12, method="wilson")[0])
    assert clustered_share(np.zeros(0, bool), np.zeros(0)) is None


def test_clustered_intervals_hold_the_truth():
    """Over 400 samples of 60 prompts with 8 rows each, near 95% of the intervals hold the true share."""
    rng = np.random.default_rng(5)
    num_held = 0
    for _ in range(400):
        chance = rng.beta(2, 2, 60)
        share = clustered_share((rng.random((60, 8)) < chance[:, None]).ravel(), np.repeat(np.arange(60), 8))
        assert share is not None
        num_held += share.lower <= 0.5 <= share.upper
    assert 0.91 <= num_held / 400 <= 0.985


def test_common_language_effect_is_mann_whitneys():
    rng = np.random.default_rng(3)
    liked, other = rng.integers(0, 30, 70), rng.integers(5, 33, 50)
    expected = stats.mannwhitneyu(liked, other).statistic / (70 * 50)
    assert common_language_effect(liked, other) == pytest.approx(expected)


def _two_titles(num: int, *, in_eval_right: int) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """`num` texts that win and `num` that lose in training; held out, the first `in_eval_right` win again."""
    winners, losers = ([f"{row['chosen']}" for row in make_clean_rows(num, seed)] for seed in (11, 12))
    train = [
        pair(row["prompt"], good, bad)
        for row, good, bad in zip(make_clean_rows(num, 13), winners, losers, strict=True)
    ]
    held_out = [
        pair(row["prompt"], *((good, bad) if place < in_eval_right else (bad, good)))
        for place, (row, good, bad) in enumerate(zip(make_clean_rows(num, 14), winners, losers, strict=True))
    ]
    return train, held_out


def test_a_text_that_won_in_training_predicts(audit_rows):
    train, held_out = _two_titles(60, in_eval_right=54)
    finding = finding_of(audit_rows(train, held_out), "counting_baseline")
    counting = finding.figures["counting"]
    assert (finding.severity, finding.count) == ("warning", 54)
    assert (counting["share"], counting["num"], counting["of"]) == (0.9, 54, 60)
    assert counting["lower"] == pytest.approx(proportion_confint(54, 60, method="wilson")[0], abs=0.005)
    assert finding.examples[0]["place"].endswith("eval.jsonl:1")


def test_as_good_as_a_coin_is_silence(audit_rows):
    train, held_out = _two_titles(60, in_eval_right=33)
    assert "counting_baseline" not in {finding.check for finding in audit_rows(train, held_out).findings}


def test_counting_smooths_and_leaves_draws_undecided(audit_rows, clean_rows):
    """In training A has 1 win of 1 (2/3), B 2 of 3 (3/5), C none of 2 (1/4), D is new (1/2)."""
    text = {name: f"Completion {name * 3} said." for name in "ABCDE"}
    wins = ["AC", "BC", "BE", "EB"]
    train = [
        *clean_rows,
        *(pair(f"Prompt number {n * 7}?", text[a], text[b]) for n, (a, b) in enumerate(wins)),
    ]
    right = ["AB", "AD", "BD", "DC", "BC"] * 8
    held_out = [pair(f"Held out {n * 7}?", text[a], text[b]) for n, (a, b) in enumerate([*right, "DE"])]
    counting = finding_of(audit_rows(train, held_out), "counting_baseline").figures["counting"]
    assert (counting["num"], counting["of"]) == (40, 40)  # E has 1 of 2: a draw with D


def test_one_win_of_one_is_less_than_nine_of_ten(audit_rows, clean_rows):
    """Smoothed 2/3 against 10/12; unsmoothed it would be 1 against 0.9."""
    once, often, loser = "Completion that won once.", "Completion that won often.", "Completion that lost."
    pairs = [(once, loser), *[(often, loser)] * 9, (loser, often)]
    train = [*clean_rows, *(pair(f"Prompt number {n * 7}?", a, b) for n, (a, b) in enumerate(pairs))]
    held_out = [pair(f"Held out {n * 7}?", often, once) for n in range(30)]
    counting = finding_of(audit_rows(train, held_out), "counting_baseline").figures["counting"]
    assert (counting["num"], counting["of"]) == (30, 30)


def _of_length(seed: int, longer: int, num: int) -> list[dict[str, str]]:
    """`num` pairs of which the first `longer` have a chosen side twice as long."""
    rows = make_clean_rows(num, seed)
    for place, row in enumerate(rows):
        short, long = sorted((row["chosen"], row["rejected"]), key=len)
        long = long + " " + short
        row["chosen"], row["rejected"] = (long, short) if place < longer else (short, long)
    return rows


def test_chosen_that_are_longer(audit_rows):
    rows = _of_length(3, longer=48, num=60)
    finding = finding_of(audit_rows(rows), "length_bias")
    difference = np.array([len(row["chosen"]) - len(row["rejected"]) for row in rows])
    share = finding.figures["share_longer"]
    assert (finding.severity, finding.count, finding.num_kept) == ("warning", 48, 48)
    assert (share["num"], share["of"]) == (48, 60)
    assert finding.figures["mean_difference_characters"] == pytest.approx(difference.mean())
    assert finding.figures["effect_size"] == pytest.approx(difference.mean() / difference.std(ddof=1))
    assert sum(finding.figures["histogram"]["counts"]) == 60


def test_chosen_that_are_shorter(audit_rows):
    finding = finding_of(audit_rows(_of_length(3, longer=6, num=60)), "length_bias")
    assert finding.count == 54
    assert finding.figures["effect_size"] < 0


def test_a_small_imbalance_is_silence(audit_rows):
    found = audit_rows(_of_length(3, longer=33, num=60)).findings
    assert "length_bias" not in {finding.check for finding in found}


def test_one_length_more_every_time_has_no_deviation(audit_rows):
    rows = [{**row, "chosen": row["rejected"][::-1] + "x"} for row in make_clean_rows(30, 5)]
    finding = finding_of(audit_rows(rows), "length_bias")
    assert (finding.figures["effect_size"], finding.figures["mean_difference_characters"]) == (None, 1.0)


def test_desirable_labels_that_are_longer(audit_rows):
    rows = [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for row in _of_length(3, longer=60, num=60)
        for side in ("chosen", "rejected")
    ]
    finding = finding_of(audit_rows(rows), "length_bias")
    long, short = ([len(r["completion"]) for r in rows if r["label"] is good] for good in (True, False))
    assert finding.count == sum(length > np.median(short) for length in long) <= len(long)
    expected = stats.mannwhitneyu(long, short).statistic / 60**2
    assert finding.figures["common_language_effect"] == pytest.approx(expected)
