"""Drift: exact divergences against softmax in float64, perplexity against transformers' own loss."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from palate.engine import Renderer, load_trained
from palate.engine.divergence import kl_divergence, next_token_logps
from palate.engine.head import LanguageHead
from palate.evaluate.contestants import Contestant
from palate.evaluate.drift import measure_drift
from palate.evaluate.passages import WINDOW, passages_of_texts
from palate.recipe import ModelOptions
from palate.records import Answer, Message, Messages
from tiny_run import WORDS, tokenizer, write_base

PLAIN = ModelOptions(base="unused", adapter=None, device="cpu", dtype="float32")
PROMPTS: list[Messages] = [(Message("user", f"Say {word}"),) for word in WORDS[:4]]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("other"), seed=5)


def said(name: str, per_prompt: int = 1) -> list[list[Answer]]:
    return [
        [
            Answer(prompt, " ".join(WORDS[place : place + 3 + sample]), name, True)
            for sample in range(per_prompt)
        ]
        for place, prompt in enumerate(PROMPTS)
    ]


def own_logits(folder: Path, ids: torch.Tensor) -> torch.Tensor:
    """By transformers alone, in float64 after its own forward pass."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model(input_ids=ids[None]).logits[0].double()


def by_hand(own: Path, base: Path, answers: list[list[Answer]]) -> tuple[float, int]:
    """The sum of KL(own || base) over all tokens of the answers, and how many these are."""
    policy = load_trained(str(own), PLAIN)
    renderer = Renderer(policy.tokenizer, "tokenizer", policy.stop_ids())
    total, num = 0.0, 0
    for answer in (one for of_prompt in answers for one in of_prompt):
        rendered = renderer.render(answer.prompt, (Message("assistant", answer.text),))
        ids = torch.from_numpy(rendered.branch.token_ids)
        p, b = (own_logits(folder, ids).softmax(-1) for folder in (own, base))
        for place in range(rendered.num_prompt - 1, len(ids) - 1):
            total += float((p[place] * (p[place] / b[place]).log()).sum())
            num += 1
    return total, num


def test_the_divergence_is_that_of_softmax_in_float64(base: Path, other: Path) -> None:
    answers = said("tuned", per_prompt=2)
    contestants = [Contestant("base", str(base)), Contestant("tuned", str(other))]
    found = measure_drift(contestants, {"tuned": answers}, model=PLAIN, batch_size=3)
    total, num = by_hand(other, base, answers)
    drift = found.own_answers["tuned"]
    assert drift.num_tokens == num
    assert drift.num_units == len(PROMPTS)
    assert drift.kl_per_token == pytest.approx(total / num, rel=1e-5)
    assert drift.interval_95 is not None
    assert drift.interval_95[0] < drift.kl_per_token < drift.interval_95[1]
    assert found.neutral_text == found.perplexity == {}


def test_the_direction_is_from_the_model_to_the_baseline(base: Path, other: Path) -> None:
    answers = said("x")
    one, two = Contestant("one", str(base)), Contestant("two", str(other))
    forth = measure_drift([one, two], {"two": answers}, model=PLAIN).own_answers["two"]
    back = measure_drift([two, one], {"one": answers}, model=PLAIN).own_answers["one"]
    assert back.num_tokens == forth.num_tokens
    assert back.kl_per_token != pytest.approx(forth.kl_per_token, rel=1e-3)
    assert back.kl_per_token == pytest.approx(by_hand(base, other, answers)[0] / back.num_tokens, rel=1e-5)


def test_a_model_has_not_drifted_from_itself(base: Path) -> None:
    contestants = [Contestant("base", str(base)), Contestant("again", str(base))]
    found = measure_drift(contestants, {"again": said("again")}, ["river stone bread"] * 2, model=PLAIN)
    for drift in (found.own_answers["again"], found.neutral_text["again"]):
        assert drift.kl_per_token == 0
        assert drift.interval_95 == (0, 0)
    assert found.perplexity["again"].ratio_to_base == 1
    assert found.perplexity["again"] == found.perplexity["base"]
    assert found.warnings == ()


def test_perplexity_is_exp_of_transformers_own_loss(base: Path, other: Path) -> None:
    text = " ".join(WORDS * 3)
    contestants = [Contestant("base", str(base)), Contestant("tuned", str(other))]
    found = measure_drift(contestants, {}, [text], model=PLAIN)
    ids = tokenizer()(text, return_tensors="pt")["input_ids"]
    losses = {}
    for name, folder in (("base", base), ("tuned", other)):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        with torch.no_grad():
            losses[name] = float(model(input_ids=ids, labels=ids).loss)
        assert found.perplexity[name].value == pytest.approx(math.exp(losses[name]), rel=1e-4)
        assert found.perplexity[name].num_tokens == ids.shape[1] - 1
        assert found.perplexity[name].interval_95 is None  # one text says nothing of another
    ratio = found.perplexity["tuned"].ratio_to_base
    assert ratio == pytest.approx(math.exp(losses["tuned"] - losses["base"]), rel=1e-4)


def test_long_texts_are_read_in_windows_and_stay_one_unit(base: Path) -> None:
    policy = load_trained(str(base), PLAIN)
    long = " ".join(WORDS * 200)
    num_tokens = len(policy.tokenizer(long)["input_ids"])
    assert num_tokens > 2 * WINDOW
    passages = passages_of_texts(policy, ["river stone", long, "", "a"])
    assert set(passages.units) == {0, 1}
    assert max(map(len, passages.branches)) == WINDOW
    num_windows = passages.units.count(1)
    scored = sum(b.num_scored for b, unit in zip(passages.branches, passages.units, strict=True) if unit)
    assert scored == num_tokens - num_windows  # but for the first of each window


def test_other_tokens_have_no_divergence(base: Path, tmp_path: Path) -> None:
    stranger = write_base(tmp_path / "stranger", vocab_size=301)
    own = tokenizer()
    own.add_tokens(["<extra>"])
    own.save_pretrained(stranger)
    contestants = [Contestant("base", str(base)), Contestant("stranger", str(stranger))]
    found = measure_drift(contestants, {"stranger": said("stranger")}, ["river stone"], model=PLAIN)
    assert "stranger" not in found.own_answers | found.neutral_text | found.perplexity
    assert found.warnings == ("The drift of stranger is not measured: it has other tokens than base.",)
    assert "base" in found.perplexity


def test_empty_answers_are_not_read(base: Path, other: Path) -> None:
    answers = said("tuned")
    answers[1] = [Answer(PROMPTS[1], " ", "tuned", True)]
    contestants = [Contestant("base", str(base)), Contestant("tuned", str(other))]
    found = measure_drift(contestants, {"tuned": answers}, model=PLAIN)
    assert found.own_answers["tuned"].num_units == len(PROMPTS) - 1


def test_what_the_file_holds(base: Path, other: Path) -> None:
    contestants = [Contestant("base", str(base)), Contestant("tuned", str(other))]
    texts = ["river stone bread", "window lantern harbour winter"]
    plain = measure_drift(contestants, {"tuned": said("tuned")}, texts, model=PLAIN).as_dict()
    assert set(plain["drift"]) == {"tuned"}
    assert set(plain["drift"]["tuned"]) == {
        "kl_per_token", "interval_95", "num_tokens", "num_units", "neutral_text",
    }  # fmt: skip
    assert isinstance(plain["drift"]["tuned"]["neutral_text"]["interval_95"], list)
    assert set(plain["perplexity"]) == {"base", "tuned"}
    assert plain["perplexity"]["base"]["ratio_to_base"] == 1


@given(st.lists(st.floats(-4, 4), min_size=5, max_size=5), st.lists(st.floats(-4, 4), min_size=5, max_size=5))
def test_a_divergence_is_never_negative_and_chunks_do_not_matter(p: list[float], q: list[float]) -> None:
    """Two heads that pass on their states: KL of softmax(p) and softmax(q), worked out by plain sums."""
    head = LanguageHead(torch.nn.Identity(), object())
    head.module.out_features = 5  # type: ignore[assignment]
    own, theirs = (torch.tensor([values, values], dtype=torch.float32) for values in (p, q))
    found = kl_divergence(head, own, head, theirs, torch.device("cpu"))
    weights = [[math.exp(value) for value in values] for values in (own[0].tolist(), theirs[0].tolist())]
    shares = [[weight / sum(of_one) for weight in of_one] for of_one in weights]
    expected = sum(a * math.log(a / b) for a, b in zip(*shares, strict=True))
    assert found.tolist() == pytest.approx([expected] * 2, abs=1e-9)
    assert float(found.min()) >= -1e-12
    assert float(next_token_logps(head, own, torch.device("cpu")).exp().sum(-1)[0]) == pytest.approx(1)
