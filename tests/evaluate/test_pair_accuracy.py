"""Preference accuracy: against transformers' own forward pass in float64, and counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from palate.engine import Renderer, load_trained
from palate.evaluate import pair_accuracy as module
from palate.evaluate.contestants import Contestant
from palate.evaluate.pair_accuracy import HeldOutPairs, PairAccuracy, measure_pair_accuracy
from palate.evaluate.pair_reading import Sides
from palate.recipe import ModelOptions
from palate.records import Message, Pair, Provenance
from palate.statistics.win_rates import wilson_interval
from tiny_run import WORDS, write_base

PLAIN = ModelOptions(base="unused", adapter=None, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("other"), seed=5)


def pair(prompt: str, chosen: str, rejected: str) -> Pair:
    def said(text: str) -> tuple[Message, ...]:
        return (Message("assistant", text),)

    return Pair((Message("user", prompt),), said(chosen), said(rejected), Provenance("here"))


def some_pairs(num: int) -> tuple[Pair, ...]:
    return tuple(
        pair(
            f"Say {WORDS[n % 5]} {n // 3}",
            " ".join(WORDS[n % 7 : n % 7 + 1 + n % 3]),
            " ".join(WORDS[n % 4 : n % 4 + 3 - n % 3]) + " !",
        )
        for n in range(num)
    )


def logps_by_hand(folder: Path, pairs: Sequence[Pair]) -> list[tuple[tuple[float, int], tuple[float, int]]]:
    """By transformers alone: its own logits, in float64 after the forward pass."""
    policy = load_trained(str(folder), PLAIN)
    renderer = Renderer(policy.tokenizer, "tokenizer", policy.stop_ids())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    found = []
    for one in pairs:
        sides = []
        for completion in (one.chosen, one.rejected):
            rendered = renderer.render(one.prompt, completion)
            ids = torch.from_numpy(rendered.branch.token_ids)
            with torch.no_grad():
                logps = model(input_ids=ids[None]).logits[0].double().log_softmax(-1)
            places = range(rendered.num_prompt, len(ids))
            sides.append((sum(float(logps[p - 1, ids[p]]) for p in places), len(places)))
        found.append((sides[0], sides[1]))
    return found


def test_accuracies_are_those_of_the_models_own_logits(base: Path, other: Path) -> None:
    pairs = some_pairs(23)
    contestants = [Contestant("base", str(base)), Contestant("tuned", str(other))]
    found = measure_pair_accuracy(contestants, HeldOutPairs("here", pairs), model=PLAIN, batch_size=4)
    by_hand = {"base": logps_by_hand(base, pairs), "tuned": logps_by_hand(other, pairs)}
    right = {name: [c[0] / c[1] > r[0] / r[1] for c, r in sides] for name, sides in by_hand.items()}
    right_in_sum = {name: [c[0] > r[0] for c, r in sides] for name, sides in by_hand.items()}
    moved = [
        (c[0] - r[0]) > (b[0] - q[0])
        for (c, r), (b, q) in zip(by_hand["tuned"], by_hand["base"], strict=True)
    ]
    for name in ("base", "tuned"):
        assert found.accuracy[name].value == pytest.approx(sum(right[name]) / 23)
        assert found.accuracy_of_sums[name].value == pytest.approx(sum(right_in_sum[name]) / 23)
    gain = found.gains["tuned"]
    both = list(zip(right["tuned"], right["base"], strict=True))
    assert (gain.num_gained, gain.num_lost) == (both.count((True, False)), both.count((False, True)))
    assert gain.num_gained > 0 and gain.num_lost > 0, "the pairs tell the two models apart"
    assert gain.difference == pytest.approx((gain.num_gained - gain.num_lost) / 23)
    assert gain.reward_accuracy.value == pytest.approx(sum(moved) / 23)
    assert (found.num_pairs, found.num_prompts, found.num_left_out) == (23, len({p.prompt for p in pairs}), 0)


def test_the_order_of_pairs_and_the_size_of_batches_change_nothing(base: Path, other: Path) -> None:
    pairs = some_pairs(12)
    contestants = [Contestant("base", str(base)), Contestant("tuned", str(other))]
    one = measure_pair_accuracy(contestants, HeldOutPairs("here", pairs), model=PLAIN, batch_size=1)
    turned = measure_pair_accuracy(contestants, HeldOutPairs("here", pairs[::-1]), model=PLAIN, batch_size=5)
    assert one.as_dict() == turned.as_dict()


def test_a_pair_that_one_model_has_no_room_for_is_left_out_for_all(base: Path, tmp_path: Path) -> None:
    small = write_base(tmp_path / "small", seed=1, max_position_embeddings=48)
    pairs = (*some_pairs(6), pair("Say all", "river " * 60, "stone"))
    contestants = [Contestant("base", str(base)), Contestant("small", str(small))]
    found = measure_pair_accuracy(contestants, HeldOutPairs("here", pairs, ("a note",)), model=PLAIN)
    assert (found.num_pairs, found.num_left_out) == (6, 1)
    note, left_out, *_ = found.warnings
    assert note == "a note"
    assert left_out.startswith("1 of 7 pairs are left out for all models")
    assert "small: " in left_out and "the model has room for 48" in left_out


def test_where_no_pair_can_be_read_the_sentence_says_so(tmp_path: Path) -> None:
    small = write_base(tmp_path / "small", seed=1, max_position_embeddings=8)
    contestants = [Contestant("a", str(small)), Contestant("b", str(small))]
    found = measure_pair_accuracy(contestants, HeldOutPairs("here", some_pairs(3)), model=PLAIN)
    assert found.accuracy == {} and found.as_dict()["models"] == {}
    assert found.sentence.startswith("Preference accuracy is not measured: none of the pairs of here")


def counted(
    monkeypatch: pytest.MonkeyPatch, margins: dict[str, list[float]], pairs: Sequence[Pair]
) -> PairAccuracy:
    """Of models whose log-likelihoods are given: a chosen side of one token, a rejected side of two."""
    names = iter(margins)

    def scripted(*_: object) -> list[Sides | str]:
        return [((margin, 1), (0.0, 2)) for margin in margins[next(names)]]

    monkeypatch.setattr(module, "load_trained", lambda *_, **__: None)
    monkeypatch.setattr(module, "read_pairs", scripted)
    contestants = [Contestant(name, name) for name in margins]
    return measure_pair_accuracy(contestants, HeldOutPairs("here", tuple(pairs)))


def equally_long(num: int, per_prompt: int = 1) -> list[Pair]:
    return [pair(f"prompt {n // per_prompt}", f"aa{n}", f"bb{n}") for n in range(num)]


def test_the_difference_has_the_score_interval_of_paired_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """30 gained, 10 lost of 100: Tango's interval of (30 - 10) / 100, and McNemar's exact test."""
    base = [1.0] * 40 + [-1.0] * 60
    tuned = [1.0] * 30 + [-1.0] * 10 + [1.0] * 30 + [-1.0] * 30
    found = counted(monkeypatch, {"base": base, "tuned": tuned}, equally_long(100))
    gain = found.gains["tuned"]
    low, high = wilson_interval(30, 10, 60)
    assert gain.difference == pytest.approx(0.2)
    assert gain.difference_interval_95 == pytest.approx((2 * low - 1, 2 * high - 1))
    assert gain.sign_test_p == pytest.approx(0.0022, abs=1e-4)  # 2 * P(X <= 10), X ~ B(40, 1/2)
    assert found.sentence.startswith(
        "tuned goes by these preferences more often: tuned finds the chosen side likelier in 60.0% of 100 "
        "held-out pairs, base in 40.0%, +20.0 points (95% interval +7.9 to +31.7)"
    )
    assert found.warnings == ()


def test_no_difference_is_said_where_the_interval_holds_nought(monkeypatch: pytest.MonkeyPatch) -> None:
    base = [1.0] * 10 + [-1.0] * 10
    tuned = [1.0] * 12 + [-1.0] * 8
    found = counted(monkeypatch, {"base": base, "tuned": tuned}, equally_long(20))
    assert found.sentence.startswith("No difference is shown: ")
    assert found.sentence.endswith("holds 0).")


def test_pairs_of_one_prompt_are_no_independent_witnesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten prompts of ten pairs that go the same way say no more than ten pairs."""
    base = [-1.0] * 100
    tuned = ([1.0] * 10 + [-1.0] * 10) * 5
    alone = counted(monkeypatch, {"base": base, "tuned": tuned}, equally_long(100))
    together = counted(monkeypatch, {"base": base, "tuned": tuned}, equally_long(100, per_prompt=10))
    width = [
        one.accuracy["tuned"].interval_95[1] - one.accuracy["tuned"].interval_95[0]  # type: ignore[index]
        for one in (alone, together)
    ]
    assert width[1] > 2.5 * width[0]
    assert together.num_prompts == 10
    assert together.gains["tuned"].sign_test_p == pytest.approx(2 * 0.5**5)


def test_an_exact_tie_is_half_right(monkeypatch: pytest.MonkeyPatch) -> None:
    found = counted(monkeypatch, {"base": [0.0, 1.0], "tuned": [0.0, 1.0]}, equally_long(2))
    assert found.accuracy["base"].value == 0.75
    assert found.gains["tuned"].reward_accuracy.value == 0.5


@pytest.mark.parametrize("which", ["longer", "shorter"])
def test_pairs_that_length_alone_decides_are_told(monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    sides = ("a long answer", "brief")
    chosen, rejected = sides if which == "longer" else sides[::-1]
    lopsided = [pair(f"p{n}", chosen, rejected) for n in range(9)] + [pair("p", "same", "size")]
    found = counted(monkeypatch, {"base": [1.0] * 10, "tuned": [1.0] * 10}, lopsided)
    assert found.longer_chosen_share == pytest.approx(0.95 if which == "longer" else 0.05)
    (said,) = found.warnings
    assert said.startswith(f"In 95% of the pairs the chosen side is the {which} one")


def test_scores_that_disagree_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chosen sides of one token at -1.5, rejected ones of two at `r`: per token and in sum differ."""
    monkeypatch.setattr(module, "load_trained", lambda *_, **__: None)
    of_model: dict[str, list[Sides | str]] = {
        "base": [((-1.5, 1), (-2.0, 2))] * 30,  # in sum right, per token wrong
        "tuned": [((-2.5, 1), (-1.0, 2))] * 30,  # both wrong
        "turned": [((-1.0, 2), (-0.9, 1))] * 30,  # in sum wrong, per token right
    }
    names = iter(of_model)
    monkeypatch.setattr(module, "read_pairs", lambda *_: of_model[next(names)])
    found = measure_pair_accuracy(
        [Contestant(name, name) for name in of_model], HeldOutPairs("here", tuple(equally_long(30)))
    )
    assert found.gains["tuned"].difference == 0 and found.gains["tuned"].difference_of_sums == -1
    assert found.gains["turned"].difference == 1 and found.gains["turned"].difference_of_sums == -1
    (said,) = found.warnings
    assert said.startswith(
        "turned: per token the difference is +100.0 points, by whole answers -100.0 points"
    )
