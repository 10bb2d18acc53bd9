"""Win rates and their intervals: by hand, against statsmodels, and by simulation."""

from __future__ import annotations

import math
import re
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from palate.records import Comparison, Message, Provenance, Verdict
from palate.statistics.win_rates import (
    Outcome,
    WinRate,
    bootstrap_interval,
    comparisons_needed,
    outcomes_of,
    sign_test,
    verdict_in_words,
    wilson_interval,
    win_rate,
)

counts = st.integers(0, 60)


def outcomes(wins: int, losses: int, ties: int = 0, missing: int = 0) -> list[Outcome]:
    return ["win"] * wins + ["loss"] * losses + ["tie"] * ties + [None] * missing


# --- counting -----------------------------------------------------------------------------------------


def test_by_hand() -> None:
    """(5 + 2/2) / (5 + 3 + 2) = 0.6; the three missing ones change nothing.

    Sign test on 5 of 8: P(X <= 3) + P(X >= 5) = 1 - C(8,4)/256 = 186/256.
    """
    result = win_rate(outcomes(5, 3, 2, 3))
    assert (result.num_wins, result.num_losses, result.num_ties, result.num_missing) == (5, 3, 2, 3)
    assert result.win_rate == pytest.approx(0.6)
    assert result.sign_test_p == pytest.approx(186 / 256)
    assert result.interval_95 == wilson_interval(5, 3, 2)


def test_missing_verdicts_are_no_evidence() -> None:
    """Promise 5: read as losses, or as ties, they would give another rate and interval."""
    with_missing, without = win_rate(outcomes(8, 2, 1, 50)), win_rate(outcomes(8, 2, 1))
    assert with_missing.win_rate == without.win_rate
    assert with_missing.interval_95 == without.interval_95
    assert with_missing.num_missing == 50


@pytest.mark.parametrize("missing", [0, 4])
def test_nothing_compared(missing: int) -> None:
    assert win_rate(outcomes(0, 0, 0, missing)) == WinRate(0, 0, 0, missing, None, (0.0, 1.0), 1.0, None)


def test_outcomes_of_both_sides() -> None:
    x, y = ((Message("assistant", text),) for text in "xy")
    comparison = Comparison((Message("user", "?"),), x, y, Provenance("test"))
    verdicts = [Verdict(comparison, "j", preferred) for preferred in ("a", "b", "tie", None)]
    assert outcomes_of(verdicts, "a") == ["win", "loss", "tie", None]
    assert outcomes_of(verdicts, "b") == ["loss", "win", "tie", None]


@given(counts, counts, counts)
def test_the_other_side_sees_the_mirror_image(wins: int, losses: int, ties: int) -> None:
    assume(wins + losses + ties)
    ours, theirs = win_rate(outcomes(wins, losses, ties)), win_rate(outcomes(losses, wins, ties))
    assert ours.win_rate is not None
    assert theirs.win_rate == pytest.approx(1 - ours.win_rate)
    assert theirs.interval_95[0] == pytest.approx(1 - ours.interval_95[1], abs=1e-9)
    assert theirs.sign_test_p == pytest.approx(ours.sign_test_p)
    assert theirs.num_more_to_settle == ours.num_more_to_settle


# --- the interval ---------------------------------------------------------------------------------------


@given(counts, counts)
def test_without_ties_it_is_wilsons(wins: int, losses: int) -> None:
    assume(wins + losses)
    expected = proportion_confint(wins, wins + losses, method="wilson")
    assert wilson_interval(wins, losses) == pytest.approx(expected, abs=1e-9)


def test_with_ties_it_is_tangos() -> None:
    """Tango 1998 on 12 wins ("b"), 2 losses ("c") and 30 ties.

    The endpoints solve (b - c - n d) / sqrt(n (2 q + d (1 - d))) = +-1.96, q being the most likely share of
    losses where the lead is d. Checked by putting them into the equation, with q found by brute force.
    """
    b, c, concordant = 12, 2, 30
    n = b + c + concordant
    low, high = wilson_interval(b, c, concordant)
    for p, sign in ((low, 1), (high, -1)):
        d = 2 * p - 1
        shares = np.linspace(max(0, -d), (1 - d) / 2, 2_000_001)[1:-1]
        likelihood = b * np.log(shares + d) + c * np.log(shares) + concordant * np.log(1 - d - 2 * shares)
        q = shares[likelihood.argmax()]
        score = (b - c - n * d) / math.sqrt(n * (2 * q + d * (1 - d)))
        assert score == pytest.approx(sign * 1.959964, abs=1e-4)


def test_all_ties_by_hand() -> None:
    """A lead d is allowed while n d <= z^2 (1 - d): |d| <= 3.8415 / 6.8415 = 0.5615, and p = (1 + d) / 2."""
    assert wilson_interval(0, 0, 3) == pytest.approx((0.5 - 0.28075, 0.5 + 0.28075), abs=1e-5)


@given(counts, counts, counts)
def test_an_interval_holds_its_rate_and_stays_in_bounds(wins: int, losses: int, ties: int) -> None:
    assume(wins + losses + ties)
    low, high = wilson_interval(wins, losses, ties)
    rate = (wins + ties / 2) / (wins + losses + ties)
    assert 0 <= low <= rate + 1e-12
    assert rate - 1e-12 <= high <= 1
    assert high - low > 0.01, "no finite number of comparisons is certainty"


@given(counts, counts, counts)
def test_ties_never_widen_it(wins: int, losses: int, ties: int) -> None:
    """A tie is surer than a coin flip: the same rate with the ties turned into wins and losses, half each."""
    assume(wins + losses + ties)
    narrow = wilson_interval(wins, losses, 2 * ties)
    wide = wilson_interval(wins + ties, losses + ties)
    assert narrow[0] >= wide[0] - 1e-9
    assert narrow[1] <= wide[1] + 1e-9


def coverage(n: int, win: float, tie: float) -> float:
    """The exact probability that the interval holds the true rate, over all outcomes of n comparisons."""
    rate, total = win + tie / 2, 0.0
    for ties in range(n + 1):
        weight = binom.pmf(ties, n, tie)
        if weight < 1e-9:
            continue
        wins = np.arange(n - ties + 1)
        chances = binom.pmf(wins, n - ties, win / (1 - tie))
        for w, chance in zip(wins.tolist(), chances.tolist(), strict=True):
            if chance > 1e-9:
                low, high = wilson_interval(w, n - ties - w, ties)
                total += weight * chance * (low <= rate <= high)
    return total


def test_coverage_is_what_it_says() -> None:
    """Exact, not sampled. Wilson's formula with ties as half wins fails above, the plug-in variance below."""
    grid = [
        (n, rate - tie / 2, tie)
        for n, rate, tie in product((20, 50), (0.05, 0.2, 0.5, 0.65, 0.95), (0.0, 0.1, 0.4))
        if tie / 2 <= min(rate, 1 - rate)
    ]
    covered = [coverage(*point) for point in grid]
    assert 0.94 <= np.mean(covered) <= 0.965
    assert min(covered) >= 0.915


# --- several answers to one prompt ------------------------------------------------------------------------


def test_repeated_answers_to_a_prompt_are_not_new_evidence() -> None:
    """Ten prompts, seven won and three lost, each judged eight times with the same result.

    Taken for independent, 56 of 80 would settle it. The interval is about that of 7 of 10, a little wider
    because ten prompts also have to say how much they vary; the sign test is that of 7 of 10: 0.34375.
    """
    results = [outcome for outcome in outcomes(7, 3) for _ in range(8)]
    prompts = [prompt for prompt in range(10) for _ in range(8)]
    naive, clustered = win_rate(results), win_rate(results, prompts)
    honest = win_rate(outcomes(7, 3))
    assert naive.is_settled
    assert not clustered.is_settled
    assert clustered.interval_95[0] <= honest.interval_95[0]
    assert clustered.interval_95[1] >= honest.interval_95[1]
    assert clustered.sign_test_p == pytest.approx(0.34375)
    assert clustered.num_more_to_settle is not None
    assert clustered.num_more_to_settle > 0


def test_one_prompt_says_nothing_about_others() -> None:
    assert win_rate(outcomes(20, 0), ["same"] * 20).interval_95 == (0.0, 1.0)


def test_prompts_asked_once_are_the_plain_case() -> None:
    assert win_rate(outcomes(8, 3, 2), list("abcdefghijklm")) == win_rate(outcomes(8, 3, 2))


def test_missing_verdicts_do_not_count_a_prompt() -> None:
    assert win_rate(["win", None, "loss", None], [0, 0, 1, 2]).interval_95 == wilson_interval(1, 1)


def test_ids_must_match_outcomes() -> None:
    with pytest.raises(ValueError, match="2 outcomes with 1 prompt ids"):
        win_rate(["win", "loss"], [0])


def test_clustered_coverage() -> None:
    """Prompts differ in how often they are won (a beta distribution); 4 answers each; 95% nominal.

    The interval that takes them for independent covers far less, and so does the bootstrap at 12 prompts.
    """
    generator = np.random.default_rng(0)
    num_runs, rate, num_answers = 400, 0.8, 4
    held = {"ours": 0, "naive": 0, "bootstrap": 0}
    for _ in range(num_runs):
        wins = generator.binomial(num_answers, generator.beta(rate, 1 - rate, size=12))
        results = [kind for w in wins.tolist() for kind in outcomes(w, num_answers - w)]
        prompts = [prompt for prompt in range(12) for _ in range(num_answers)]
        for name, (low, high) in (
            ("ours", win_rate(results, prompts).interval_95),
            ("naive", win_rate(results).interval_95),
            ("bootstrap", bootstrap_interval(results, prompts, num_resamples=400)),
        ):
            held[name] += low <= rate <= high
    share = {name: times / num_runs for name, times in held.items()}
    assert 0.92 <= share["ours"] <= 0.985
    assert share["naive"] < 0.85
    assert share["bootstrap"] < share["ours"]


def test_bootstrap_by_hand() -> None:
    """Two prompts, one always won, one always lost: a resample gives 0, 1/2 or 1, each end 1 time in 4."""
    assert bootstrap_interval(outcomes(4, 4), [0] * 4 + [1] * 4) == (0.0, 1.0)
    assert bootstrap_interval([]) == (0.0, 1.0)


def test_bootstrap_of_many_prompts_is_about_the_score_interval() -> None:
    results = outcomes(120, 60, 20)
    assert bootstrap_interval(results) == pytest.approx(wilson_interval(120, 60, 20), abs=0.01)


def test_bootstrap_repeats_with_its_seed() -> None:
    results = outcomes(13, 9, 3)
    assert bootstrap_interval(results, seed=1) == bootstrap_interval(results, seed=1)
    assert bootstrap_interval(results, seed=1, num_resamples=500) != bootstrap_interval(
        results, seed=2, num_resamples=500
    )


# --- tests and plans --------------------------------------------------------------------------------------


def test_sign_test_by_hand() -> None:
    """9 of 10: 2 * (10 + 1) / 1024."""
    assert sign_test(9, 1) == pytest.approx(22 / 1024)
    assert sign_test(0, 0) == 1


def test_comparisons_needed_by_hand() -> None:
    """60% without ties: N > 3.8415 / 0.2^2 = 96.04, so 97 in all; half of them ties: N > 48.02, so 49."""
    assert comparisons_needed(0.6, 50) == 47
    assert comparisons_needed(0.6, 0) == 97
    assert comparisons_needed(0.6, 97) == 0
    assert comparisons_needed(0.6, 0, tie_share=0.5) == 49
    assert comparisons_needed(0.6, 0, design_effect=2) == 193
    assert comparisons_needed(0.5, 1000) is None


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 100))
def test_nothing_more_is_needed_exactly_where_the_interval_leaves_half_out(
    wins: int, losses: int, ties: int
) -> None:
    assume(wins + losses + ties)
    result = win_rate(outcomes(wins, losses, ties))
    assert (result.num_more_to_settle == 0) == result.is_settled


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 20))
def test_as_many_as_it_asks_for_do_settle_it(wins: int, losses: int, ties: int) -> None:
    """If the shares stayed what they are: scaled up to the number asked for, the interval leaves 50% out."""
    assume(wins != losses)
    n = wins + losses + ties
    more = win_rate(outcomes(wins, losses, ties)).num_more_to_settle
    assert more is not None
    times = math.ceil((n + more) / n)
    low, high = wilson_interval(wins * times, losses * times, ties * times)
    assert low > 0.5 or high < 0.5


# --- words --------------------------------------------------------------------------------------------------


def test_words_for_a_settled_comparison() -> None:
    assert verdict_in_words(win_rate(outcomes(40, 10))) == (
        "tuned is preferred to base: tuned has a win rate of 80.0% over 50 comparisons "
        "(95% interval 66.9% to 88.8%)."
    )


def test_words_name_the_other_side_when_it_won() -> None:
    words = verdict_in_words(win_rate(outcomes(10, 40)), "new", "old")
    assert words.startswith("old is preferred to new: new has a win rate of 20.0%")


def test_words_for_an_open_comparison() -> None:
    assert verdict_in_words(win_rate(outcomes(27, 23, 0, 2))) == (
        "No difference is shown: tuned has a win rate of 54.0% over 50 comparisons, and the 95% interval "
        "40.3% to 67.1% holds 50%. At this rate about 551 more comparisons would settle it. "
        "2 comparisons have no verdict and are not counted."
    )


def test_words_for_level_sides_do_not_call_them_equal() -> None:
    words = verdict_in_words(win_rate(outcomes(5, 5)))
    assert "which does not prove them equal" in words
    assert "more comparison" not in words


@pytest.mark.parametrize(("missing", "why"), [(0, "nothing was compared"), (4, "all 4 verdicts are missing")])
def test_words_for_nothing(missing: int, why: str) -> None:
    words = verdict_in_words(win_rate(outcomes(0, 0, 0, missing)))
    assert words == f"Nothing can be said about tuned and base: {why}."


def test_words_say_what_missing_verdicts_could_undo() -> None:
    """33 of 50 leaves 50% out; with four more counted against, 33 of 54 does not. 45 of 50 stands anyway."""
    warning = "It would not hold if all missing verdicts had gone the other way."
    assert warning in verdict_in_words(win_rate(outcomes(33, 17, 0, 4)))
    assert warning in verdict_in_words(win_rate(outcomes(17, 33, 0, 4)))
    assert warning not in verdict_in_words(win_rate(outcomes(33, 17)))
    assert warning not in verdict_in_words(win_rate(outcomes(45, 5, 0, 4)))


def test_words_say_when_the_exact_test_is_less_sure() -> None:
    """60 of 100: the score interval begins at 50.2%, the exact test gives p = 0.057."""
    words = verdict_in_words(win_rate(outcomes(60, 40)))
    assert words.startswith("tuned may be preferred to base: ")
    assert "p = 0.06): this is borderline" in words


@given(counts, counts, counts, st.integers(0, 5))
def test_words_never_say_more_than_the_interval(wins: int, losses: int, ties: int, missing: int) -> None:
    result = win_rate(outcomes(wins, losses, ties, missing))
    words = verdict_in_words(result)
    low, high = result.interval_95
    is_sure = result.sign_test_p <= 0.05
    assert ("is preferred to" in words) == (is_sure and (low > 0.5 or high < 0.5))
    assert ("may be preferred to" in words) == (not is_sure and (low > 0.5 or high < 0.5))
    assert words.startswith(("tuned is preferred to base", "tuned may be preferred")) == (low > 0.5)
    assert ("no verdict" in words or "missing" in words) == (missing > 0)
    if result.win_rate is not None:
        said = re.search(r"interval (\S+)% to (\S+)%", words)
        assert said is not None
        assert float(said[1]) <= 100 * low + 1e-9
        assert float(said[2]) >= 100 * high - 1e-9
