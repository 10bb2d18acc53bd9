"""What the policy is compared with: itself before, another, an adapter it goes on from, a follower."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from palate.engine import Branch, branch_logps, load_policy
from palate.engine.reference import MovingReference
from palate.errors import ModelError, RecipeError
from palate.recipe import ModelOptions, parse_recipe
from tiny_run import losses, metrics, run, tiny_recipe, tokenizer, write_base

LN_2 = float(np.float32(math.log(2)))
FAST = ("train.learning_rate=1e-2", "compare=null")


def test_another_model_as_the_reference(tmp_path: Path, base: Path) -> None:
    """Policy and reference differ from the start; the reference's numbers are kept by its own name."""
    other = write_base(tmp_path / "other", seed=5)
    recipe = tiny_recipe(tmp_path, base, *FAST, f"reference.model={other}", name="against other")
    summary, lines = run(recipe)
    assert lines[0]["loss"] != pytest.approx(LN_2, abs=1e-3)
    assert lines[0]["kl"] > 0
    assert summary["num_reference_completions_computed"] > 0
    against_itself, _ = run(tiny_recipe(tmp_path, base, *FAST, name="against itself"))
    assert against_itself["num_reference_completions_computed"] > 0, "not the other's log-probabilities"
    again, _ = run(recipe.model_copy(update={"output": str(tmp_path / "again")}))
    assert again["num_reference_completions_computed"] == 0


def test_the_model_itself_by_name_is_no_other(tmp_path: Path, base: Path) -> None:
    _, lines = run(tiny_recipe(tmp_path, base, *FAST, f"reference.model={base}"))
    assert lines[0]["loss"] == pytest.approx(LN_2, abs=1e-6)


def test_another_tokenizer_is_refused(tmp_path: Path, base: Path) -> None:
    other = write_base(tmp_path / "other")
    tokenizer(bos="<|bos|>").save_pretrained(other)
    with pytest.raises(ModelError, match="another tokenizer"):
        run(tiny_recipe(tmp_path, base, *FAST, f"reference.model={other}"))


def test_an_adapter_to_go_on_from_is_its_own_reference(tmp_path: Path, base: Path) -> None:
    """Twice trained: the second training starts at ln 2 again, from where the first ended."""
    _, first = run(tiny_recipe(tmp_path, base, *FAST, name="first"))
    existing = f"model.adapter={{type: existing, path: {tmp_path / 'first'}}}"
    summary, second = run(tiny_recipe(tmp_path, base, *FAST, existing, name="second"))
    assert second[0]["loss"] == LN_2 and second[0]["kl"] == 0
    assert second[0]["logps_chosen"] != pytest.approx(first[0]["logps_chosen"], abs=1e-3)
    assert summary["num_reference_completions_computed"] > 0, "the base's would be another model's"
    assert losses(second)[-1] < LN_2


def test_a_following_reference_moves_by_the_papers_equation(tmp_path: Path, base: Path) -> None:
    """reference <- mixup * policy + (1 - mixup) * reference, every second step and at no other."""
    policy = load_policy(ModelOptions(base=str(base)))
    reference = MovingReference(policy, "tree", sync_every=2, mixup=0.25)
    branch = Branch(np.array([3, 4, 5, 6]), np.array([False, False, True, True]))
    weights = policy.trainable_parameters()
    start = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight in weights:
            weight += 0.5
    before = reference.logps([branch]).sums()
    moved = branch_logps(policy, [branch]).sums()
    assert not torch.allclose(before, moved)
    reference.after_step(1)
    assert torch.equal(reference.logps([branch]).sums(), before)
    reference.after_step(2)
    for weight, kept, now in zip(reference.tensors().values(), start, weights, strict=True):
        torch.testing.assert_close(weight, 0.25 * now.detach() + 0.75 * kept)
    assert all(torch.equal(w, s + 0.5) for w, s in zip(weights, start, strict=True)), "the policy stays"


def test_a_copy_as_reference_starts_every_stretch_at_ln_2(tmp_path: Path, base: Path) -> None:
    """With a mixup of 1 the reference becomes the policy, so each stretch begins where DPO begins."""
    options = ("reference={sync_every: 3, sync_mixup: 1.0}", "train.max_steps=7", "model.adapter.dropout=0")
    summary, lines = run(tiny_recipe(tmp_path, base, *FAST, *options))
    found = losses(lines)
    assert [found[0], found[3], found[6]] == [LN_2] * 3
    assert all(loss != pytest.approx(LN_2, abs=1e-4) for loss in (found[2], found[5]))
    assert summary["num_reference_completions_computed"] == 0, "it moves, so nothing of it is kept"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("objective: {type: sft}\nreference: {model: x}", "reference has no effect: objective sft"),
        ("reference: {sync_mixup: 0.5}", "sync_mixup has no effect without sync_every"),
        ("reference: {sync_every: 2, model: x}", "drop one"),
    ],
)
def test_idle_options_are_refused(options: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_recipe(f"output: x\n{options}\n")


def test_early_stopping_keeps_the_best(tmp_path: Path, base: Path) -> None:
    """Once the held-out loss no longer falls, the run ends after `patience` evaluations more."""
    options = (
        "train.early_stopping={patience: 2, min_improvement: 0.5}",
        "train.evaluate_every=1",
        "train.max_steps=40",
        "train.epochs=40",
    )
    summary, lines = run(tiny_recipe(tmp_path, base, *FAST, *options))
    assert summary["stopped_early"] and summary["num_steps"] == 3
    assert len(losses(lines)) == 3 and summary["status"] == "done"
    values = [line["loss"] for line in metrics(tmp_path / "run", "eval")]
    assert summary["best_step"] == 1 + values.index(min(values))


def test_an_adapter_as_reference_has_numbers_of_its_own(tmp_path: Path, base: Path) -> None:
    """Neither are the base's taken for its own, nor its own for the base's, whichever came first."""
    first, plain = run(tiny_recipe(tmp_path, base, *FAST, "train.max_steps=8", name="first"))
    assert first["status"] == "done"
    against = f"reference.model={tmp_path / 'first'}"  # a run's folder stands for its result
    summary, lines = run(tiny_recipe(tmp_path, base, *FAST, against, name="second"))
    assert summary["num_reference_completions_cached"] == 0
    assert lines[0]["loss"] != pytest.approx(LN_2, abs=1e-3)
    again, same = run(tiny_recipe(tmp_path, base, *FAST, "train.max_steps=8", "seed=0", name="third"))
    assert again["num_reference_completions_computed"] == 0
    assert same[0]["loss"] == plain[0]["loss"] == LN_2
