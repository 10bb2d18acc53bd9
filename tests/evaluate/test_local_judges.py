"""Judges of this machine: a reward model's scores, and the likelihood of a verdict's word."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from judging_scene import comparisons

from palate.engine import Renderer, load_trained
from palate.errors import ModelError
from palate.evaluate import LogprobJudge, RewardModelJudge
from palate.judge import load_rubric
from palate.recipe import ModelOptions
from palate.records import Comparison, Message, Messages, Verdict
from tiny_run import write_base

PLAIN = ModelOptions(base="unused", adapter=None, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of one label with the tiny base's tokenizer, saved as others save theirs."""
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    base = write_base(tmp_path_factory.mktemp("base"))
    config = AutoConfig.from_pretrained(base, num_labels=1)
    tokenizer = AutoTokenizer.from_pretrained(base)
    config.pad_token_id = tokenizer.pad_token_id
    torch.manual_seed(3)
    model = AutoModelForSequenceClassification.from_config(config)
    model.score.weight.data.normal_(0, 1)
    folder = tmp_path_factory.mktemp("reward")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def own_score(folder: Path, prompt: Messages, completion: Messages) -> float:
    """By the model's own forward pass over the rendered tokens, and nothing else."""
    policy = load_trained(str(folder), PLAIN, head="scores")
    branch = Renderer(policy.tokenizer, "tokenizer", policy.stop_ids()).render(prompt, completion).branch
    ids = torch.from_numpy(branch.token_ids)[None]
    with torch.no_grad():
        return float(policy.base_model(input_ids=ids, use_cache=False).logits[0, 0])


def test_a_reward_model_prefers_what_scores_higher(reward_model: Path) -> None:
    found = comparisons(5)
    judge = RewardModelJudge(str(reward_model), options=PLAIN, batch_size=3)
    verdicts = judge.judge(found)
    for comparison, verdict in zip(found, verdicts, strict=True):
        a = own_score(reward_model, comparison.prompt, comparison.completion_a)
        b = own_score(reward_model, comparison.prompt, comparison.completion_b)
        assert verdict.detail["score_a"] == pytest.approx(a, abs=1e-4)
        assert verdict.detail["score_b"] == pytest.approx(b, abs=1e-4)
        assert verdict.preferred == ("a" if a > b else "b")
    assert {v.preferred for v in verdicts} == {"a", "b"}, "both sides have to win for this to say anything"
    assert judge.name.startswith(f"{reward_model.name}@")


def test_each_completion_is_scored_once_and_sides_do_not_matter(
    reward_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import palate.evaluate.judges.reward as room

    scored = 0
    real = room.branch_scores

    def counting(policy: object, branches: Sequence[object], layout: object) -> object:
        nonlocal scored
        scored += len(branches)
        return real(policy, branches, layout)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "branch_scores", counting)
    found = comparisons(4)
    turned = [Comparison(c.prompt, c.completion_b, c.completion_a, c.provenance) for c in found]
    judge = RewardModelJudge(str(reward_model), options=PLAIN)
    first, second = judge.judge([*found, *found]), judge.judge(turned)
    assert scored == 8
    opposite = {"a": "b", "b": "a", "tie": "tie"}
    assert [opposite[str(v.preferred)] for v in first[:4]] == [v.preferred for v in second]


def test_what_does_not_fit_the_model_is_missing_with_its_reason(reward_model: Path) -> None:
    (short,) = comparisons(1)
    long = Comparison(
        short.prompt, (Message("assistant", "very " * 5000),), short.completion_b, short.provenance
    )
    missing, given = RewardModelJudge(str(reward_model), options=PLAIN).judge([long, short])
    assert (missing.preferred, missing.detail["problem"]) == (None, "failed")
    assert "room for" in missing.reason
    assert given.preferred is not None


def test_a_language_model_is_no_reward_model(base: Path) -> None:
    with pytest.raises(ModelError, match="no reward model"):
        RewardModelJudge(str(base), options=PLAIN).judge(comparisons(1))


def test_other_weights_have_another_name(reward_model: Path, base: Path) -> None:
    names = {RewardModelJudge(str(folder)).name.partition("@")[2] for folder in (reward_model, base)}
    assert len(names) == 2


def logprob_verdicts(base: Path, found: Sequence[Comparison], rubric: str = "preference") -> list[Verdict]:
    return LogprobJudge(str(base), load_rubric(rubric), options=PLAIN).judge(found)


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base, with room for a judge's question."""
    folder = write_base(tmp_path_factory.mktemp("roomy"))
    config = json.loads((folder / "config.json").read_text())
    config["max_position_embeddings"] = 16384
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_likeliest_word_of_each_order_is_the_verdict(roomy: Path) -> None:
    for verdict in logprob_verdicts(roomy, comparisons(3)):
        assert [call.shown_first for call in verdict.calls] == ["a", "b"]
        for call in verdict.calls:
            shares = call.detail["probabilities"]
            assert set(shares) == {"a", "b", "tie"}
            assert sum(shares.values()) == pytest.approx(1)
            assert call.preferred == max(shares, key=shares.get)
        means = verdict.detail["probabilities"]
        for side in ("a", "b", "tie"):
            both = [call.detail["probabilities"][side] for call in verdict.calls]
            assert means[side] == pytest.approx(sum(both) / 2)


def test_the_shares_are_those_of_the_models_own_forward_pass(roomy: Path) -> None:
    """log p(word and end | question), summed from plain logits, then a softmax over the words."""
    (comparison,) = comparisons(1)
    judge = LogprobJudge(str(roomy), load_rubric("preference"), options=PLAIN)
    (verdict,) = judge.judge([comparison])
    question = judge._question(comparison, "b")
    policy = load_trained(str(roomy), PLAIN)
    renderer = Renderer(policy.tokenizer, "tokenizer", policy.stop_ids())
    sums = []
    for word in ("first", "second", "tie"):
        branch = renderer.render(question, (Message("assistant", word),)).branch
        ids = torch.from_numpy(branch.token_ids)[None]
        with torch.no_grad():
            logps = policy.base_model(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
        places = [place for place, scored in enumerate(branch.scored) if scored]
        sums.append(sum(float(logps[place - 1, branch.token_ids[place]]) for place in places))
    first, second, tie = torch.tensor(sums).softmax(0).tolist()
    shares = verdict.calls[1].detail["probabilities"]
    assert [shares["b"], shares["a"], shares["tie"]] == pytest.approx([first, second, tie], abs=1e-3)


def test_turning_the_sides_turns_the_verdict(roomy: Path) -> None:
    found = comparisons(3)
    turned = [Comparison(c.prompt, c.completion_b, c.completion_a, c.provenance) for c in found]
    for one, other in zip(logprob_verdicts(roomy, found), logprob_verdicts(roomy, turned), strict=True):
        assert one.detail["probabilities"]["a"] == pytest.approx(other.detail["probabilities"]["b"], abs=1e-4)
        assert one.flipped == other.flipped


def test_a_question_too_long_is_missing(base: Path) -> None:
    (verdict,) = logprob_verdicts(base, comparisons(1))
    assert verdict.preferred is None
    assert {call.problem for call in verdict.calls} == {"failed"}
    assert "room for" in verdict.reason
