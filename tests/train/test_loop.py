"""The loop: what it computes, what it refuses, and what it leaves behind."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from palate.errors import DataError, TrainingError
from palate.recipe import Recipe, SourceOptions
from palate.train import RunFolder
from palate.train.loop import Trainer, evaluate, run_steps
from palate.train.metrics import Meter
from tiny_run import losses, metrics, rows, run, tiny_recipe, tiny_trainer, write_rows

LN_2 = float(np.float32(math.log(2)))
SFT = "objective={type: sft}"


@pytest.mark.parametrize("layout", ["tree", "padded"])
def test_a_fresh_adapter_starts_at_ln_2_exactly(tmp_path: Path, base: Path, layout: str) -> None:
    _, lines = run(tiny_recipe(tmp_path, base, f"train.layout={layout}", "model.adapter.dropout=0.0"))
    first = lines[0]
    assert (first["step"], first["split"]) == (1, "train")
    assert first["loss"] == LN_2
    assert (first["rewards_margin"], first["rewards_accuracy"], first["kl"]) == (0, 0.5, 0)


def test_so_does_full_fine_tuning(tmp_path: Path, base: Path) -> None:
    summary, lines = run(tiny_recipe(tmp_path, base, "model.adapter=null"))
    assert lines[0]["loss"] == LN_2
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    assert summary["eval"]["loss"] < LN_2


@pytest.mark.parametrize("objective", ["{type: dpo}", "{type: ipo}", "{type: sft}"])
def test_the_loss_falls(tmp_path: Path, base: Path, objective: str) -> None:
    recipe = tiny_recipe(
        tmp_path, base, f"objective={objective}", "train.max_steps=20", "train.learning_rate=1e-2"
    )
    found = losses(run(recipe)[1])
    assert len(found) == 20
    assert np.mean(found[-3:]) < 0.9 * found[0]


def test_label_smoothing_does_something(tmp_path: Path, base: Path) -> None:
    """Smoothed by e, the loss is (1 - e) * loss(margin) + e * loss(-margin), margin for margin."""
    steps = ("train.max_steps=6", "train.batch_size=1", "train.learning_rate=1e-2")
    _, lines = run(tiny_recipe(tmp_path, base, "objective.label_smoothing=0.3", *steps))
    for line in lines:
        if line["split"] == "train":
            margin = line["rewards_margin"]
            plain, swapped = math.log1p(math.exp(-margin)), math.log1p(math.exp(margin))
            assert line["loss"] == pytest.approx(0.7 * plain + 0.3 * swapped, rel=1e-5)
    assert abs(lines[-2]["rewards_margin"]) > 0.01


def test_every_promised_figure_is_logged(tmp_path: Path, base: Path) -> None:
    summary, lines = run(tiny_recipe(tmp_path, base, "train.evaluate_every=2"))
    both = {
        "step", "epoch", "split", "loss", "rewards_chosen", "rewards_rejected", "rewards_margin",
        "rewards_accuracy", "logps_chosen", "logps_rejected", "logps_chosen_per_token",
        "logps_rejected_per_token", "chosen_length", "rejected_length", "kl", "tokens_computed",
        "tokens_represented", "sharing_factor",
    }  # fmt: skip
    train_only = {"grad_norm", "learning_rate", "pairs_per_second", "peak_memory_bytes"}
    assert [(line["step"], line["split"]) for line in lines] == [
        (1, "train"), (2, "train"), (2, "eval"), (3, "train"), (4, "train"), (4, "eval"),
    ]  # fmt: skip
    for line in lines:
        assert both <= set(line), line
        assert train_only <= set(line), "one set of keys, so that every line is a row of one table"
        absent = {name for name, value in line.items() if value is None}
        assert absent <= (train_only if line["split"] == "eval" else set())
    assert summary["num_steps"] == 4
    assert {
        "status", "num_pairs_train", "num_pairs_eval", "num_rows_set_aside", "num_steps",
        "num_reference_completions_computed", "num_reference_completions_cached", "sharing_factor",
        "pairs_per_second", "peak_memory_bytes", "tree_check_max_abs_difference", "best_step", "eval",
    } <= set(summary)  # fmt: skip
    assert set(summary["eval"]) == {"loss", "reward_accuracy", "reward_margin"}


def test_sft_needs_no_reference_and_is_still_evaluated_on_both_sides(tmp_path: Path, base: Path) -> None:
    summary, lines = run(tiny_recipe(tmp_path, base, SFT))
    assert summary["num_reference_completions_computed"] == summary["num_reference_completions_cached"] == 0
    training, held_out = lines[0], lines[-1]
    assert training["rewards_rejected"] is None and training["kl"] is None
    assert training["loss"] == pytest.approx(-training["logps_chosen_per_token"])
    assert held_out["split"] == "eval"
    assert held_out["loss"] == pytest.approx(-held_out["logps_chosen_per_token"])
    assert held_out["rewards_margin"] == pytest.approx(held_out["logps_chosen"] - held_out["logps_rejected"])
    assert 0 <= held_out["rewards_accuracy"] <= 1


def test_not_a_number_stops_before_the_weights_change(tmp_path: Path, base: Path) -> None:
    trainer = tiny_trainer(tiny_recipe(tmp_path, base, SFT))
    objective, calls = trainer.objective, 0

    def poisoned(pairs: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        result = objective(pairs)
        return result * math.nan if calls == 3 else result

    trainer.objective = poisoned
    trainer.row_cost = type(trainer.row_cost)(1e9, math.inf, 10**6)  # one row a step
    steps: list[list[torch.Tensor]] = []
    step = trainer.optimizer.step

    def recorded(*args: Any) -> Any:
        result = step(*args)
        steps.append([p.detach().clone() for p in trainer.source.policy.trainable_parameters()])
        return result

    trainer.optimizer.step = recorded  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="the loss is nan at step 3") as caught:
        run_steps(trainer)
    assert "learning_rate" in caught.value.next
    assert len(steps) == 2
    for kept, now in zip(steps[-1], trainer.source.policy.trainable_parameters(), strict=True):
        assert torch.equal(kept, now)
    assert [line["step"] for line in metrics(trainer.folder.path)] == [1, 2]


def test_an_infinite_gradient_stops_too(tmp_path: Path, base: Path) -> None:
    trainer = tiny_trainer(tiny_recipe(tmp_path, base, SFT))
    objective = trainer.objective
    # A finite loss whose slope is infinite: sqrt(x - x) = 0.
    trainer.objective = lambda pairs: objective(pairs) + (pairs.chosen - pairs.chosen.detach()).sqrt()
    with pytest.raises(TrainingError, match="gradient norm is"):
        run_steps(trainer)


def evaluate_at(trainer: Trainer, step: int) -> bool:
    trainer.progress.step = step
    return evaluate(trainer)


def test_a_failed_evaluation_is_said_not_logged(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny_trainer(tiny_recipe(tmp_path, base, SFT))
    trainer.objective = lambda pairs: pairs.chosen * math.nan
    with pytest.raises(TrainingError, match="loss on held-out data is nan at step 7"):
        evaluate_at(trainer, 7)
    assert trainer.progress.best_step is None


@pytest.mark.parametrize(("metric", "best"), [("loss", 3), ("rewards_accuracy", 2), ("rewards_margin", 4)])
def test_the_best_step_by_each_metric(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, metric: str, best: int
) -> None:
    """Ties go to the earlier step; a figure that is not there is worse than any."""
    trainer = tiny_trainer(tiny_recipe(tmp_path, base, SFT, f"train.best_metric={metric}"))
    script = {
        1: {"loss": 0.7, "rewards_accuracy": 0.5, "rewards_margin": None},
        2: {"loss": 0.6, "rewards_accuracy": 0.9, "rewards_margin": -1.0},
        3: {"loss": 0.4, "rewards_accuracy": 0.9, "rewards_margin": 1.0},
        4: {"loss": 0.5, "rewards_accuracy": 0.8, "rewards_margin": 3.0},
    }
    for step, figures in script.items():
        monkeypatch.setattr(Meter, "figures", lambda self, by, figures=figures: dict(figures))
        evaluate_at(trainer, step)
    assert trainer.progress.best_step == best
    assert trainer.progress.best_figures == script[best]
    assert trainer.folder.read("evaluation/held_out.json")["step"] == best


def test_gradients_are_clipped_and_the_norm_before_is_told(tmp_path: Path, base: Path) -> None:
    def norms(limit: str) -> tuple[list[float], list[float]]:
        trainer = tiny_trainer(tiny_recipe(tmp_path, base, SFT, f"train.max_grad_norm={limit}", name=limit))
        seen: list[float] = []
        step = trainer.optimizer.step

        def recorded(*args: Any) -> Any:
            grads = [p.grad for p in trainer.source.policy.trainable_parameters() if p.grad is not None]
            seen.append(math.sqrt(sum(float(g.square().sum()) for g in grads)))
            return step(*args)

        trainer.optimizer.step = recorded  # type: ignore[method-assign]
        run_steps(trainer)
        return seen, [line["grad_norm"] for line in metrics(trainer.folder.path, "train")]

    reached, told = norms("0.01")
    assert reached == pytest.approx([0.01] * 4, rel=1e-3)
    free, told_free = norms("null")
    assert free == pytest.approx(told_free, rel=1e-4)
    assert told[0] == pytest.approx(told_free[0], rel=1e-5)
    assert min(told_free) > 0.1


def test_evaluating_changes_nothing(tmp_path: Path, base: Path) -> None:
    """Dropout draws the same numbers whether or not there were evaluations in between."""
    dropout = ("model.adapter.dropout=0.3", "train.max_steps=6", "train.learning_rate=1e-2")
    _, often = run(tiny_recipe(tmp_path, base, *dropout, "train.evaluate_every=1", name="often"))
    _, once = run(tiny_recipe(tmp_path, base, *dropout, "train.evaluate_every=100", name="once"))
    _, none = run(tiny_recipe(tmp_path, base, "model.adapter.dropout=0", *dropout[1:], name="none"))
    assert losses(often) == losses(once)
    assert losses(often) != losses(none), "dropout does something in training"
    assert len(often) == 12 and len(once) == 7


def test_evaluating_leaves_mode_and_gradients_alone(tmp_path: Path, base: Path) -> None:
    trainer = tiny_trainer(tiny_recipe(tmp_path, base, SFT, "model.adapter.dropout=0.3"))
    state = torch.get_rng_state()
    for step in (1, 2):
        evaluate_at(trainer, step)
    figures = [
        {k: v for k, v in line.items() if k not in ("step", "epoch", "peak_memory_bytes")}
        for line in metrics(trainer.folder.path)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert figures[0] == figures[1], "no dropout while evaluating"
    assert trainer.source.policy.model.training
    assert all(p.grad is None for p in trainer.source.policy.trainable_parameters())


def test_the_same_run_twice_is_the_same_run(tmp_path: Path, base: Path) -> None:
    dropout = "model.adapter.dropout=0.1"
    first = run(tiny_recipe(tmp_path, base, dropout, name="a"))[1]
    again = run(tiny_recipe(tmp_path, base, dropout, name="b"))[1]
    other = run(tiny_recipe(tmp_path, base, dropout, "seed=1", name="c"))[1]
    assert losses(first) == losses(again) != losses(other)
    weights = [(tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("num_prompts", "overrides", "num_steps"),
    [
        (1, [], 4),
        (1, ["train.max_steps=1"], 1),
        (6, ["data.eval_fraction=0"], 4),
        (6, ["train.batch_size=1000", "train.max_steps=null", "train.epochs=2"], 2),
        (40, ["train.max_steps=null", "train.epochs=0.3"], 2),
    ],
    ids=["one pair", "one step", "nothing held out", "one big batch", "a third of an epoch"],
)
def test_small_and_odd_runs(
    tmp_path: Path, base: Path, num_prompts: int, overrides: list[str], num_steps: int
) -> None:
    data = write_rows(tmp_path / "few.jsonl", rows(num_prompts))
    summary, lines = run(tiny_recipe(tmp_path, base, *overrides, data=data))
    assert (summary["status"], summary["num_steps"]) == ("done", num_steps)
    assert summary["num_pairs_train"] + summary["num_pairs_eval"] == num_prompts
    assert (summary["eval"] is None) == (summary["num_pairs_eval"] == 0)
    assert len(losses(lines)) == num_steps
    assert RunFolder(tmp_path / "run").trained.is_dir()


def test_pairs_trained_on_are_not_held_out(tmp_path: Path, base: Path) -> None:
    """What overlaps the training file is set aside; if all does, it is an error."""
    write_rows(tmp_path / "rows.jsonl", rows(6))
    mixed = write_rows(tmp_path / "mixed.jsonl", [*rows(8), {"prompt": "?", "chosen": "a", "rejected": ""}])
    summary, _ = run(with_eval(tiny_recipe(tmp_path, base), mixed))
    assert (summary["num_pairs_train"], summary["num_pairs_eval"], summary["num_rows_set_aside"]) == (6, 2, 7)
    account = RunFolder(tmp_path / "run").read("data.json")["eval"]
    assert (account["num_rows"], account["num_kept"], account["num_set_aside"]) == (9, 2, 7)
    assert {"not held out: its prompt is trained on"} < {item["reason"] for item in account["set_aside"]}
    with pytest.raises(DataError, match="nothing is left to evaluate on") as caught:
        run(with_eval(tiny_recipe(tmp_path, base, name="same"), tmp_path / "rows.jsonl"))
    assert "6 x not held out" in caught.value.why


def with_eval(recipe: Recipe, source: Path) -> Recipe:
    data = recipe.data.model_copy(update={"eval": SourceOptions(source=str(source))})
    return recipe.model_copy(update={"data": data})


def test_nothing_left_to_train_on_says_why(tmp_path: Path, base: Path) -> None:
    with pytest.raises(DataError, match="nothing is left to train on") as caught:
        run(tiny_recipe(tmp_path, base, "data.max_length=5"))
    assert "9 x too long: more than 5 tokens" in caught.value.why


def test_an_attempt_that_was_cut_off_leaves_no_trace_in_the_next(tmp_path: Path, base: Path) -> None:
    recipe = tiny_recipe(tmp_path, base)
    folder = RunFolder(recipe.output)
    folder.begin(recipe)
    folder.log({"step": 99, "split": "train"})
    for name in ("adapter", "evaluation"):
        (folder.path / name).mkdir(parents=True)
    (folder.path / "evaluation" / "comparison.json").write_text("{}")
    _, lines = run(recipe)
    assert [line["step"] for line in lines if line["split"] == "train"] == [1, 2, 3, 4]
    assert not folder.has("evaluation/comparison.json")


def test_the_prompts_held_out_are_kept(tmp_path: Path, base: Path) -> None:
    """Whoever compares later asks these, whatever has become of the data since."""
    summary, _ = run(tiny_recipe(tmp_path, base))
    kept = RunFolder(tmp_path / "run").read("evaluation/prompts.json")["prompts"]
    assert len(kept) == summary["num_pairs_eval"] == 3
    assert kept[0][0]["role"] == "user"
    held_out = RunFolder(tmp_path / "run").read("evaluation/held_out.json")
    assert held_out["step"] == summary["best_step"]
    assert len(held_out["pairs"]) == 3


def test_the_loop_names_no_algorithm() -> None:
    import palate.train.loop

    source = Path(palate.train.loop.__file__).read_text().lower()
    assert not any(name in source for name in ("dpo", "ipo", "sft"))
    body = source.partition("def run_steps")[2].partition("\ndef ")[0]
    assert body.count("\n") <= 40, "the loop reads on one screen"
