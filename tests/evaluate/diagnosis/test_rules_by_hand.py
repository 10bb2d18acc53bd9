"""Curves written by hand, for what a run cannot easily be made to have: gaps, short ends, limits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palate.errors import PalateError
from palate.evaluate.diagnosis import RULES, diagnose, diagnose_run
from palate.evaluate.diagnosis.curves import Metrics, MetricsRow, Series, read_metrics
from palate.evaluate.diagnosis.facts import Facts
from palate.evaluate.diagnosis.trends import difference_z, later_part, mean_of, running_median, trend_of
from palate.recipe import parse_recipe

Values = Mapping[str, float]


def facts(*overrides: str, **pieces: Any) -> Facts:
    return Facts(recipe=parse_recipe("output: here", overrides), **pieces)


def curves(train: Sequence[Values], evaluation: Mapping[int, Values] | None = None) -> Metrics:
    return Metrics(
        tuple(MetricsRow(step, dict(values)) for step, values in enumerate(train, start=1)),
        tuple(MetricsRow(step, dict(values)) for step, values in (evaluation or {}).items()),
    )


def steps(num: int, **figures: Callable[[int], float]) -> list[Values]:
    """`num` steps whose figures are functions of the step."""
    return [{name: of(step) for name, of in figures.items()} for step in range(1, num + 1)]


def seen(rule: str, metrics: Metrics, about: Facts) -> Any:
    return RULES[rule].check(metrics, about)


def says(rule: str, metrics: Metrics, about: Facts) -> bool:
    found = seen(rule, metrics, about)
    return isinstance(found, list) and bool(found)


def test_a_slope_has_the_error_of_least_squares() -> None:
    """y = 0, 2, 1, 3 at 1..4: mean 1.5; slope = (-1.5*-1.5 + -.5*.5 + .5*-.5 + 1.5*1.5) / 5 = 0.8. The rest
    is -0.3, 0.9, -0.9, 0.3, of squares 1.8; its variance 1.8 / 2 over 5 gives an error of sqrt(0.18)."""
    found = trend_of(Series((1, 2, 3, 4), (0.0, 2.0, 1.0, 3.0)))
    assert found is not None
    assert (found.slope, found.standard_error) == pytest.approx((0.8, math.sqrt(0.18)))
    assert found.z == pytest.approx(0.8 / math.sqrt(0.18))


def test_gaps_are_left_out_of_slopes_and_means() -> None:
    gappy = Series((1, 2, 3, 4, 5), (0.0, math.nan, 2.0, 1.0, 3.0))
    assert trend_of(gappy) == trend_of(Series((1, 3, 4, 5), (0.0, 2.0, 1.0, 3.0)))
    mean = mean_of(gappy)
    assert mean is not None
    assert (mean.value, mean.num) == (1.5, 4)
    assert later_part(gappy, 0.5) == Series((4, 5), (1.0, 3.0))


def test_means_are_compared_by_both_errors() -> None:
    """Errors 3 and 4 make 5: ten above is two of them."""
    from palate.evaluate.diagnosis.trends import Mean

    assert difference_z(Mean(0.0, 3.0, 9), Mean(10.0, 4.0, 9)) == pytest.approx(2.0)


def test_a_running_median_takes_no_notice_of_one_step() -> None:
    import numpy as np

    assert running_median(np.array([1.0, 1.0, 9.0, 1.0, 1.0]), 3).tolist() == [1.0, 1.0, 1.0, 1.0, 1.0]


@given(st.lists(st.floats(-9, 9), max_size=30), st.sampled_from([1, 3, 7, 21]))
def test_a_running_median_is_the_median_of_what_stands_around(values: list[float], width: int) -> None:
    import numpy as np

    half = width // 2
    plain = [float(np.median(values[max(0, i - half) : i + half + 1])) for i in range(len(values))]
    assert running_median(np.array(values, dtype=float), width).tolist() == plain


@pytest.mark.parametrize(
    ("dtype", "kl", "wrong"),
    [("float32", 4e-7, False), ("float32", 6e-7, True), ("bfloat16", 4e-4, False), ("bfloat16", 5e-4, True)],
)
def test_how_far_a_reference_may_be_is_a_matter_of_the_dtype(dtype: str, kl: float, wrong: bool) -> None:
    """sqrt(2 kl): 0.00089 and 0.0011 nats about the limit of 0.001; 0.028 and 0.032 about that of 0.03."""
    metrics = curves(steps(1, kl=lambda s: kl, loss=lambda s: math.log(2)))
    assert says("wrong_reference", metrics, facts(lineage={"base": {"dtype": dtype}})) is wrong


def test_what_has_no_reference_is_not_held_against_one() -> None:
    metrics = curves(steps(30, kl=lambda s: 9.0 * s, loss=lambda s: 1.0))
    found = diagnose(metrics, facts("objective.type=simpo"))
    assert {"wrong_reference", "kl_runaway", "both_rewards_falling"} <= set(found.not_applicable)
    assert "simpo has no reference" in found.not_applicable["wrong_reference"]


def test_an_adapter_with_dropout_may_start_beside_its_reference() -> None:
    metrics = curves(steps(1, kl=lambda s: 0.1, loss=lambda s: 0.7))
    about = ("model.adapter.type=existing", "model.adapter.path=there")
    assert not says("wrong_reference", metrics, facts(*about))
    assert not says("wrong_reference", metrics, facts(*about, adapter={"lora_dropout": 0.1}))
    assert says("wrong_reference", metrics, facts(*about, adapter={"lora_dropout": 0.0}))


def test_a_run_that_was_resumed_elsewhere_has_no_first_step() -> None:
    later = Metrics(tuple(MetricsRow(step, {"kl": 1.0}) for step in range(5, 9)))
    assert seen("wrong_reference", later, facts()).why == "metrics.jsonl has no line of step 1"


def test_one_spike_is_named_and_a_noisy_norm_is_none() -> None:
    lone = curves(steps(40, grad_norm=lambda s: 30.0 if s == 25 else 1.0 + s % 3))
    (found,) = seen("gradient_spikes", lone, facts())
    assert (found.step, found.evidence["num_spikes"]) == (25, 1)
    assert not says("gradient_spikes", curves(steps(40, grad_norm=lambda s: 1.0 + s % 7)), facts())


def test_of_a_spike_that_was_clipped_no_other_limit_is_told() -> None:
    """A recipe that clips at 1 is not told to clip at 2."""
    lone = curves(steps(40, grad_norm=lambda s: 30.0 if s == 25 else 1.0))
    for limit, severity, value in ((1.0, "info", None), (20.0, "warning", 2.0), ("null", "warning", 2.0)):
        (found,) = seen("gradient_spikes", lone, facts(f"train.max_grad_norm={limit}"))
        assert (found.severity, found.recipe_value) == (severity, value)
        assert found.case == ("clipped" if severity == "info" else "not_clipped")


def test_a_step_of_many_digits_is_a_damaged_line(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("output: here\n")
    (tmp_path / "metrics.jsonl").write_text(
        json.dumps({"split": "train", "step": 10**22, "loss": 1.0}) + "\n\n"
    )
    with pytest.raises(PalateError, match="damaged"):
        diagnose_run(tmp_path)


def test_a_pair_that_is_still_to_be_learnt_is_no_spike() -> None:
    """Norms fall from 1 to 0.01 as pairs are learnt; one that is not brings 1.2 once more."""
    fell = curves(steps(60, grad_norm=lambda s: 1.2 if s == 50 else max(0.01, 1.0 - s / 10)))
    assert not says("gradient_spikes", fell, facts())


@pytest.mark.parametrize(("num_wrong", "early"), [(0, True), (1, False)])
def test_one_wrong_pair_late_in_the_epoch_is_enough_to_call_them_not_easy(
    num_wrong: int, early: bool
) -> None:
    metrics = curves(
        steps(
            30,
            rewards_accuracy=lambda s: 1 - num_wrong / 8 if s == 20 else 1.0,
            epoch=lambda s: s / 30,
        )
    )
    assert says("accuracy_one_early", metrics, facts()) is early


def test_a_last_batch_that_is_smaller_counts_no_pairs_that_are_not_there() -> None:
    """140 pairs in batches of 128: after the first step 12 are left, too few to call anything."""
    metrics = curves(
        steps(2, rewards_accuracy=lambda s: 0.0 if s == 1 else 1.0, epoch=lambda s: min(1.0, s * 0.9))
    )
    in_large_batches = "train.batch_size=128"
    assert not says(
        "accuracy_one_early", metrics, facts(in_large_batches, data={"train": {"num_pairs": 140}})
    )
    assert says("accuracy_one_early", metrics, facts(in_large_batches, data={"train": {"num_pairs": 256}}))


def test_pairs_that_are_right_in_a_second_epoch_only_are_not_easy() -> None:
    metrics = curves(steps(60, rewards_accuracy=lambda s: 0.75 if s <= 30 else 1.0, epoch=lambda s: s / 30))
    assert not says("accuracy_one_early", metrics, facts())


def test_smoothed_labels_have_no_loss_of_zero() -> None:
    metrics = curves(steps(40, loss=lambda s: 0.7 if s < 10 else 0.001))
    assert says("loss_at_zero", metrics, facts())
    (told,) = seen("loss_at_zero", metrics, facts())
    assert told.severity == "info" and told.recipe_value is None  # another schedule is another run: no number
    assert not says("loss_at_zero", metrics, facts("objective.label_smoothing=0.1"))
    assert not says("loss_at_zero", metrics, facts("objective.type=ipo"))


def noise(step: int) -> float:
    """Between -1 and 1, of mean nothing: the same at every call."""
    return math.sin(step * 12.9898) * math.cos(step * 78.233)


def falling(chosen: float, rejected: float, length: float = 20.0) -> Metrics:
    """Rewards of both sides falling to these, in nats, over sixty steps."""
    return curves(
        steps(
            60,
            rewards_chosen=lambda s: 0.1 * (chosen * s / 60 + noise(s) / 5),
            rewards_rejected=lambda s: 0.1 * (rejected * s / 60 + noise(s + 99) / 5),
            chosen_length=lambda s: length,
        )
    )


@pytest.mark.parametrize(
    ("chosen", "rejected", "length", "told"),
    [
        (-10.0, -20.0, 20.0, True),
        (2.0, -20.0, 20.0, False),  # the chosen side rises
        (-2.0, -20.0, 20.0, False),  # a little of it is usual
        (-10.0, -60.0, 20.0, False),  # the margin comes from the rejected side
        (-10.0, -20.0, 300.0, False),  # a thirtieth of a nat for each of 300 tokens
        (-15.0, -15.0, 20.0, False),  # both alike: no margin grows of it
        (-15.0, -10.0, 20.0, False),  # the chosen side falls faster: the labels are not learnt at all
    ],
)
def test_both_sides_have_to_fall_far(chosen: float, rejected: float, length: float, told: bool) -> None:
    assert says("both_rewards_falling", falling(chosen, rejected, length), facts()) is told


def rising(ends: Sequence[float]) -> Metrics:
    """Held-out losses every ten steps, while the training loss falls."""
    train = steps(
        10 * len(ends), loss=lambda s: 0.6 - s / 400 + noise(s) / 20, rewards_margin=lambda s: s / 9
    )
    return curves(train, {10 * (i + 1): {"loss": value} for i, value in enumerate(ends)})


@pytest.mark.parametrize(
    ("ends", "best"),
    [
        ([0.6, 0.5, 0.6, 0.8], 20),
        ([0.6, 0.5, 0.51, 0.505], None),  # a rise of 1%
        ([0.6, 0.55, 0.5, 0.9], None),  # one evaluation is not yet a rise
        ([0.6, math.nan, 0.5, math.nan, 0.7, 0.8], 30),
        ([0.6, 0.5], None),
    ],
)
def test_the_best_step_is_the_one_before_the_rise(ends: Sequence[float], best: int | None) -> None:
    about = facts(data={"eval": {"num_pairs": 400, "num_prompts": 200}})
    found = seen("over_optimisation", rising(ends), about)
    assert (
        [each.step for each in found] == [best]
        if best and isinstance(found, list)
        else not (isinstance(found, list) and found)
    )


def test_a_rise_within_the_error_of_a_small_held_out_set_is_not_told() -> None:
    """The same curve, on 200 prompts and on 2."""
    ends = [0.6, 0.5, 0.53, 0.55]
    many = facts(data={"eval": {"num_pairs": 400, "num_prompts": 200}})
    few = facts(data={"eval": {"num_pairs": 2, "num_prompts": 2}})
    assert says("over_optimisation", rising(ends), many)
    assert not says("over_optimisation", rising(ends), few)


def margins(right: int, wrong: int, size_of_wrong: float) -> dict[str, Any]:
    """Held-out pairs, each of a prompt of its own; margins about 1, and about as said where wrong."""
    sizes = [1.0 + noise(n) / 3 for n in range(right)]
    sizes += [-size_of_wrong * (1.0 + noise(n) / 3) for n in range(wrong)]
    return {"pairs": [{"prompt": str(n), "reward_margin": size} for n, size in enumerate(sizes)]}


@pytest.mark.parametrize(
    ("right", "wrong", "size", "told"),
    [
        (130, 70, 1.0, True),
        (130, 70, 0.3, False),  # hard pairs lie near 0
        (180, 20, 1.0, False),  # as people's labels are
        (100, 100, 1.0, False),  # nothing was learnt: another rule's
        (13, 7, 1.0, False),  # too few to tell
    ],
)
def test_labels_are_noisy_where_the_model_is_sure_they_are_wrong(
    right: int, wrong: int, size: float, told: bool
) -> None:
    metrics = curves(steps(40, rewards_accuracy=lambda s: 0.65 + noise(s) / 10))
    assert says("noisy_labels", metrics, facts(held_out=margins(right, wrong, size))) is told


def test_an_accuracy_that_still_grows_is_no_plateau() -> None:
    metrics = curves(steps(40, rewards_accuracy=lambda s: 0.4 + s / 100 + noise(s) / 50))
    assert not says("noisy_labels", metrics, facts(held_out=margins(130, 70, 1.0)))


def test_answers_that_grew_are_told_prompt_by_prompt() -> None:
    def comparison(times: float, num: int) -> dict[str, Any]:
        lengths = [100 + 10 * (n % 5) for n in range(num)]
        return {
            "samples": [
                {
                    "base": [{"text": "a" * length}],
                    "tuned": [{"text": "a" * round(length * times * (1 + noise(n) / 5))}],
                }
                for n, length in enumerate(lengths)
            ]
        }

    nothing = curves([])
    assert says("length_exploitation", nothing, facts(comparison=comparison(1.5, 30)))
    assert not says("length_exploitation", nothing, facts(comparison=comparison(1.05, 30)))
    assert not says("length_exploitation", nothing, facts(comparison=comparison(1.5, 5)))


def test_prompts_that_the_audit_saw_on_both_sides_are_an_error_unless_left_out() -> None:
    audit = {"findings": [{"check": "leak_prompt", "count": 7}]}
    left_out = {"reason": "not held out: its prompt is trained on", "count": 7}
    data: dict[str, Any] = {"eval": {"num_pairs": 30, "num_prompts": 30}}
    (found,) = seen("evaluation_leaked", curves([]), facts(audit=audit, data=data))
    assert (found.severity, found.sure) == ("error", "certain")
    data["eval"]["set_aside"] = [left_out]
    (found,) = seen("evaluation_leaked", curves([]), facts(audit=audit, data=data))
    assert found.severity == "warning"
    assert (found.case, found.evidence["num_eval_pairs"]) == ("left_out", 30)


@pytest.mark.parametrize(("num_prompts", "told"), [(40, True), (120, False)])
def test_forty_prompts_are_too_few_and_a_hundred_and_twenty_are_not(num_prompts: int, told: bool) -> None:
    held_out = margins(num_prompts * 3 // 4, num_prompts // 4, 1.0)
    assert says("evaluation_too_small", curves([]), facts(held_out=held_out)) is told


@pytest.mark.parametrize("num", [0, 1, 2, 5])
def test_of_a_run_that_has_hardly_begun_it_is_said_what_cannot_be_checked(num: int) -> None:
    figures = {name: (lambda s: 0.5) for name in ("loss", "rewards_margin", "rewards_accuracy", "grad_norm")}
    found = diagnose(curves(steps(num, **figures)), facts())
    assert not found.findings
    assert set(found.not_applicable) | set(found.rules_checked) == set(RULES)
    assert all(found.not_applicable.values())


def test_evidence_is_plain_json_whatever_it_was() -> None:
    import numpy as np

    from palate.evaluate.diagnosis import Finding
    from palate.evaluate.diagnosis.finding import Seen

    evidence = {"none": None, "endless": math.inf, "no": math.nan, "whole": np.float64(3.0), "part": 1 / 3}
    rule = replace(RULES["kl_runaway"], sentences={"so": "Of {whole:,} it is {part:.0%}, or {no:.2f}."})
    said = Finding.of(rule, Seen(case="so", severity="info", sure="hint", evidence=evidence))
    assert dict(said.evidence) == {"none": None, "endless": None, "no": None, "whole": 3, "part": 0.333333}
    assert [type(value) for value in said.evidence.values()] == [type(None)] * 3 + [int, float]
    assert said.sentence == "Of 3 it is 33%, or ?."


NUMBER = st.one_of(
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 1, 0.5, 1e-12, 1e308, -1e308, 2**70]),
)
FIGURES = (
    "loss", "rewards_chosen", "rewards_rejected", "rewards_margin", "rewards_accuracy", "kl", "grad_norm",
    "learning_rate", "epoch", "chosen_length", "rejected_length", "logps_chosen_per_token",
)  # fmt: skip
LINE = st.fixed_dictionaries(
    {"step": st.integers(0, 10**6), "split": st.sampled_from(["train", "eval"])},
    optional=dict.fromkeys(FIGURES, NUMBER),
)
OBJECTIVE = st.sampled_from(["dpo", "ipo", "kto", "simpo", "sft", "hinge", "plackett_luce", "reward"])
PIECE = st.sampled_from(
    ["null", "{}", "[]", '{"eval": null}', '{"eval": {"num_prompts": 3, "num_pairs": 0}}', '{"pairs": [1]}',
     '{"pairs": [{"prompt": null, "reward_margin": null}, {"prompt": 1, "reward_margin": 2}]}',
     '{"findings": [{"check": "leak_prompt"}, 3]}', '{"samples": [{"base": [{}], "tuned": 4}, null]}']
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINE, max_size=60), objective=OBJECTIVE, piece=PIECE, cut=st.booleans())
def test_no_metrics_file_breaks_it(
    tmp_path: Path, lines: list[dict[str, Any]], objective: str, piece: str, cut: bool
) -> None:
    """It says what is in a file, or in a sentence why it cannot be read."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text[:-5] if cut else text, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(f"output: here\nobjective: {{type: {objective}}}\n")
    (tmp_path / "evaluation").mkdir(exist_ok=True)
    for name in ("data.json", "audit.json", "lineage.json", "evaluation/held_out.json"):
        (tmp_path / name).write_text(piece)
    (tmp_path / "evaluation/comparison.json").write_text(piece)
    found = diagnose_run(tmp_path)
    assert set(found.not_applicable) | set(found.rules_checked) == set(RULES)
    json.dumps(found.as_dict(), allow_nan=False)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200))
def test_what_is_no_metrics_file_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(text, encoding="utf-8")
    try:
        diagnose_run(tmp_path)
    except PalateError as error:
        assert "metrics.jsonl" in str(error)


@pytest.mark.parametrize(
    ("away", "slope", "case"),
    [(3.5, 0.02, "growing"), (3.5, -0.02, None), (2.5, 0.02, None), (6, -0.02, "far"), (6, 0.02, "growing")],
)
def test_a_model_that_is_gone_is_told_of_whether_it_goes_on_or_not(
    away: float, slope: float, case: str | None
) -> None:
    """A distance of d nats is a kl of d^2 / 2; it is read over the last ten of forty steps. It is not there
    in the first ten."""
    metrics = curves(
        steps(40, kl=lambda s: 0.1 if s < 12 else (away + slope * (s - 35)) ** 2 / 2 + noise(s) / 100)
    )
    found = seen("kl_runaway", metrics, facts())
    assert [each.case for each in found] == ([case] if case else [])
    if case == "far":
        assert (found[0].recipe_key, found[0].recipe_value) == ("train.learning_rate", 5e-6)


def test_a_model_that_was_thrown_away_at_once_needs_smaller_steps_not_a_stronger_pull() -> None:
    metrics = curves(steps(40, kl=lambda s: 0.0 if s == 1 else 20.0 + s))
    (found,) = seen("kl_runaway", metrics, facts())
    assert (found.case, found.recipe_key) == ("far", "train.learning_rate")


def test_a_fault_that_another_one_explains_is_not_told_beside_it() -> None:
    """A model that jumps about is wrong on held-out pairs for that; and one that learns nothing needs no
    larger steps."""
    sure = {"rewards_accuracy": lambda s: 0.65 + noise(s) / 10}
    noisy = margins(130, 70, 1.0)
    steady = diagnose(curves(steps(40, loss=lambda s: 0.6, **sure)), facts(held_out=noisy))
    jumpy = diagnose(curves(steps(40, loss=lambda s: 0.7 if s == 1 else 3.0, **sure)), facts(held_out=noisy))
    assert [found.rule for found in steady.findings] == ["noisy_labels"]
    assert [found.rule for found in jumpy.findings] == ["learning_rate_high"]
    assert jumpy.not_applicable["noisy_labels"] == "what it would look at comes of learning_rate_high"
    small = {"rewards_margin": lambda s: s / 2000, "kl": lambda s: 1e-3}
    for right, rule in ((80, "learning_rate_low"), (60, "preference_not_learnt")):
        about = facts(held_out=margins(right, 120 - right, 1.0))
        found = diagnose(curves(steps(40, **small)), about)
        assert [each.rule for each in found.findings if each.rule.startswith(("l", "p"))] == [rule]


@pytest.mark.parametrize(
    ("fall", "scatter", "told"),
    [(4.0, 0.1, True), (2.0, 0.1, False), (4.0, 3.0, False), (8.0, 4.0, False), (-4.0, 0.1, False)],
)
def test_without_a_reference_chosen_completions_tell_it(fall: float, scatter: float, told: bool) -> None:
    metrics = curves(
        steps(40, logps_chosen_per_token=lambda s: -2.0 - (fall if s > 5 else 0.0) + scatter * noise(s))
    )
    found = seen("kl_runaway", metrics, facts("objective.type=simpo"))
    assert [each.case for each in found] == (["less_likely"] if told else [])
    if told:
        assert found[0].evidence["fall_per_token"] == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize(
    ("right", "wrong", "case"),
    [
        (60, 60, "coin"),  # 41 to 59%
        (65, 55, "not_shown"),  # 45 to 63%
        (72, 48, None),  # 51 to 68%
        (20, 80, "against_labels"),
        (16, 14, None),  # 36 to 70%: evaluation_too_small says it
        (9, 9, None),
    ],
)
def test_what_may_be_a_coin_is_told_by_one_rule_or_the_other(
    right: int, wrong: int, case: str | None
) -> None:
    metrics = curves(steps(40, kl=lambda s: 0.1))
    found = seen("preference_not_learnt", metrics, facts(held_out=margins(right, wrong, 1.0)))
    assert ([each.case for each in found] if isinstance(found, list) else []) == ([case] if case else [])
    if case:
        assert found[0].severity == ("warning" if case == "not_shown" else "error")


def test_pairs_of_one_prompt_count_for_as_many_as_they_are_worth() -> None:
    """Twenty prompts of ten pairs: where a prompt's are all right or all wrong they are twenty witnesses;
    where each prompt has seven of ten right they are as good as alone."""
    alike = [(str(n), 1.0 if n % 2 else -1.0) for n in range(20) for _ in range(10)]
    apart = [(str(n), 1.0 if k < 7 else -1.0) for n in range(20) for k in range(10)]
    counts = [
        facts(
            held_out={"pairs": [{"prompt": prompt, "reward_margin": margin} for prompt, margin in pairs]},
            data={"eval": {"num_pairs": 200, "num_prompts": 20}},
        ).num_witnesses()
        for pairs in (alike, apart)
    ]
    assert counts[0] == pytest.approx(20, abs=1)
    assert counts[1] > 150  # the interval of 70% of 200 would be as wide, and a little wider than seen here
    assert facts(data={"eval": {"num_pairs": 200, "num_prompts": 20}}).num_witnesses() == 20
    assert facts().num_witnesses() is None


def test_beside_gradients_that_died_a_spike_is_measured_against_the_first() -> None:
    """0.05 at first, 0.5 at step 4, and 1e-9 from then on: ten times, not five hundred million."""
    metrics = curves(steps(40, grad_norm=lambda s: 0.5 if s == 4 else 0.05 if s < 6 else 1e-9))
    (found,) = seen("gradient_spikes", metrics, facts("train.max_grad_norm=null"))
    assert found.evidence["times_the_usual"] == pytest.approx(10)


@pytest.mark.parametrize(
    "line",
    ['{"split": "train", "step": 2, "loss": 1' + "0" * 400 + "}", '{"split": "train", "step": 2}\ufeff'],
)
def test_lines_that_only_look_odd_are_read_or_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text(f'\ufeff{{"split": "train", "step": 1, "loss": 1.0}}\n{line}\n', encoding="utf-8")
    if line.endswith("}"):
        found = read_metrics(file)
        assert found is not None and found.train[0].values["loss"] == 1.0
        assert math.isnan(found.train[1].values["loss"])
    else:
        with pytest.raises(PalateError, match="damaged"):
            read_metrics(file)


def test_a_line_nested_without_end_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("[" * 100_000 + "\n{}\n")
    with pytest.raises(PalateError, match="nested too deeply"):
        read_metrics(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize(
    ("begins", "ends", "told"),
    [(0.48, 0.48, True), (0.3, 0.5, False)],  # the base had it at 30%: it is on its way
)
def test_a_reward_model_that_tells_nothing_apart_is_told_of_too(
    begins: float, ends: float, told: bool
) -> None:
    evaluations: dict[int, Values] = {
        step: {"rewards_accuracy": value, "rewards_chosen": value, "rewards_rejected": 0.1 * step}
        for step, value in ((10, begins), (30, ends))
    }
    metrics = curves(steps(30, loss=lambda s: 0.69), evaluations)
    about = facts("objective.type=reward", held_out=margins(60, 60, 1.0))
    assert says("preference_not_learnt", metrics, about) is told


def test_small_steps_are_told_how_much_larger_ones_would_do() -> None:
    """At 1e-5 it has moved by a thousandth of the 0.05 that show: more than a hundredfold is not told."""
    for moved, value in ((5e-4, 1e-3), (5e-5, 1e-3), (9.9e-4, 5.1e-4)):
        metrics = curves(steps(20, kl=lambda s, moved=moved: moved**2 / 2, grad_norm=lambda s: 0.1))
        (found,) = seen("adapter_not_moving", metrics, facts("train.learning_rate=1e-5"))
        assert found.recipe_value == pytest.approx(value)


@pytest.mark.parametrize(
    ("option", "advice"),
    [
        ("objective.type=dpo", ("warning", "objective.label_smoothing", 0.29)),
        ("objective.label_smoothing=0.25", ("info", "data.train", None)),
        ("objective.type=ipo", ("info", "data.train", None)),
        ("objective.type=simpo", ("warning", "objective.type", "ipo")),
    ],
)
def test_what_was_done_about_noisy_labels_is_not_told_again(option: str, advice: tuple[Any, ...]) -> None:
    """130 of 200 are 58.2 to 71.3% by Wilson: at the least 28.7% are the wrong way round."""
    metrics = curves(steps(40, rewards_accuracy=lambda s: 0.65 + noise(s) / 10))
    (found,) = seen("noisy_labels", metrics, facts(option, held_out=margins(130, 70, 1.0)))
    assert (found.severity, found.recipe_key, found.recipe_value) == advice
