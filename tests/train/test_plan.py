"""A plan says what the run then does: steps, tokens, evaluations, checkpoints, memory, bytes on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from palate.data import read_records
from palate.engine import branch_logps, branch_scores, load_policy
from palate.engine.skeleton import load_skeleton
from palate.engine.tree import Branch
from palate.errors import ArtifactError
from palate.recipe import Recipe
from palate.train import RunFolder
from palate.train.checkpoint import checkpoint_bytes
from palate.train.live_memory import LiveMemory
from palate.train.plan import plan_run
from palate.train.row_memory import row_memory
from tiny_run import metrics, rows, run, tiny_recipe, write_base, write_rows

LABELS = [
    {"prompt": f"Say {word}", "completion": answer, "label": answer == word}
    for word in ("bread", "stone", "river", "winter", "copper")
    for answer in (word, "nothing at all")
]
RANKINGS = [
    {"prompt": f"Say {word} {i}", "completions": [word, f"{word} twice", f"well, {word}"], "ranks": [1, 2, 3]}
    for i, word in enumerate(("bread", "stone", "river", "winter", "copper", "garden"))
]


def planned(recipe: Recipe):
    held_out = read_records(recipe.data.eval) if recipe.data.eval is not None else None
    return plan_run(recipe, read_records(recipe.data.train), held_out)


def total(lines, key):
    return sum(line[key] for line in lines)


OVERRIDES = [
    [],
    ["train.epochs=0.4", "train.max_steps=null"],
    ["train.epochs=1.5", "train.max_steps=null", "train.evaluate_every=2", "train.checkpoint_every=1"],
    ["train.group_by_prompt=true", "train.batch_size=5", "train.keep_checkpoints=1"],
    ["train.layout=padded", "train.micro_batch_tokens=90"],
    ["objective.type=sft", "train.max_steps=3"],
    ["objective.type=reward", "model.dtype=bfloat16", "compare=null"],
    ["model.adapter=null", "model.dtype=bfloat16", "data.eval_fraction=0"],
    ["reference.sync_every=2", "train.micro_batch_tokens=64"],
]


@pytest.mark.parametrize("overrides", OVERRIDES, ids=[" ".join(o) or "plain" for o in OVERRIDES])
def test_the_run_does_what_was_planned(tmp_path: Path, base: Path, overrides: list[str]) -> None:
    data = write_rows(tmp_path / "rows.jsonl", rows(14, 3))
    check(tiny_recipe(tmp_path, base, *overrides, data=data))


@pytest.mark.parametrize(
    ("content", "overrides"),
    [
        (LABELS, ["objective.type=kto", "data.eval_fraction=0"]),
        (RANKINGS, ["objective.type=plackett_luce", "train.micro_batch_tokens=100"]),
    ],
    ids=["labels", "rankings"],
)
def test_whatever_the_data_are(tmp_path: Path, base: Path, content, overrides: list[str]) -> None:
    data = write_rows(tmp_path / "rows.jsonl", content)
    check(tiny_recipe(tmp_path, base, *overrides, data=data))


def check(recipe: Recipe) -> None:
    plan = planned(recipe)
    assert not Path(recipe.output).exists(), "a plan leaves nothing behind"
    summary, lines = run(recipe)
    trained = [line for line in lines if line["split"] == "train"]
    evaluated = [line for line in lines if line["split"] == "eval"]
    assert plan["num_steps"] == summary["num_steps"] == len(trained)
    assert plan["num_epochs"] == trained[-1]["epoch"]
    assert plan["num_evaluations"] == len(evaluated)
    tokens = plan["tokens"]
    for kind, found in (("train", trained), ("evaluation", evaluated)):
        times = len(evaluated) if kind == "evaluation" else 1
        assert tokens[kind]["computed"] * times == total(found, "tokens_computed")
        assert tokens[kind]["represented"] * times == total(found, "tokens_represented")
    assert tokens["train"]["sharing_factor"] == summary["sharing_factor"]
    assert (plan["num_pairs_train"], plan["num_pairs_eval"], plan["layout"]) == (
        summary["num_pairs_train"],
        summary["num_pairs_eval"],
        summary["layout"],
    )
    assert plan["num_rows_set_aside"] == summary["num_rows_set_aside"]
    checkpoints = sorted(RunFolder(recipe.output).checkpoints.iterdir())
    assert plan["num_checkpoints"] <= len(checkpoints) or len(checkpoints) >= recipe.train.keep_checkpoints
    assert len(checkpoints) <= plan["num_checkpoints_held"]
    found = checkpoint_bytes(checkpoints[-1])
    # The model is so small that names weigh as much as numbers: they are counted generously.
    assert found <= plan["disk"]["checkpoint"] <= found + 60_000


def test_bytes_of_a_larger_checkpoint_are_those_of_its_numbers(tmp_path: Path) -> None:
    large = write_base(tmp_path / "large", hidden_size=128, intermediate_size=512, num_hidden_layers=4)
    for name, overrides in (("adapter", ["model.adapter.rank=64"]), ("whole", ["model.adapter=null"])):
        overrides = [*overrides, "train.max_steps=1"]
        recipe = tiny_recipe(tmp_path, large, *overrides, name=name)
        plan = planned(recipe)
        run(recipe)
        (checkpoint,) = RunFolder(recipe.output).checkpoints.iterdir()
        assert checkpoint_bytes(checkpoint) == pytest.approx(plan["disk"]["checkpoint"], rel=0.02)


MODELS = [
    [],
    ["model.dtype=bfloat16"],
    ["model.adapter=null"],
    ["train.gradient_checkpointing=true"],
    ["objective.type=reward", "compare=null"],
    ["train.layout=padded"],
]


@pytest.mark.parametrize("overrides", MODELS, ids=[" ".join(o) or "plain" for o in MODELS])
def test_a_row_takes_what_it_takes_for_real(tmp_path: Path, base: Path, overrides: list[str]) -> None:
    """The same counting over the model without memory and over the real one. What the plan adds is what
    logsumexp holds inside, which counting does not see."""
    recipe = tiny_recipe(tmp_path, base, *overrides)
    how = {
        "head": recipe.objective.reads,
        "gradient_checkpointing": recipe.train.gradient_checkpointing,
    }
    branches = some_branches()
    plan = row_memory(load_skeleton(recipe.model, **how), branches, recipe.train.layout, gradient=True)
    policy = load_policy(recipe.model, **how)
    with LiveMemory() as live:
        if policy.is_reward_model:
            out = branch_scores(policy, branches, recipe.train.layout).scores_B
        else:
            out = branch_logps(policy, branches, recipe.train.layout).per_token_logps_S
        out.sum().backward()
    num_scored = sum(branch.num_scored for branch in branches)
    inside = 4 * num_scored * 300
    assert live.peak_bytes * 0.95 <= plan.peak <= live.peak_bytes * 1.03 + inside
    assert plan.gradients == sum(4 * p.numel() for p in policy.trainable_parameters())


def some_branches() -> list[Branch]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(3):
        prompt = torch.randint(3, 300, (70,), generator=generator)
        for length in (12, 9):  # equal ones would need no mask
            answer = torch.randint(3, 300, (length,), generator=generator)
            ids = torch.cat([prompt, answer]).numpy()
            made.append(Branch(ids, torch.arange(70 + length).ge(70).numpy()))
    return made


def test_the_skeleton_is_the_model_but_for_its_memory(tmp_path: Path, base: Path) -> None:
    recipe = tiny_recipe(tmp_path, base)
    made, real = load_skeleton(recipe.model).policy.model, load_policy(recipe.model).model
    assert [(n, type(m)) for n, m in made.named_modules()] == [(n, type(m)) for n, m in real.named_modules()]
    assert [(n, p.shape, p.dtype, p.requires_grad) for n, p in made.named_parameters()] == [
        (n, p.shape, p.dtype, p.requires_grad) for n, p in real.named_parameters()
    ]


def test_live_memory_counts_storages_once_and_lets_them_go() -> None:
    with LiveMemory() as live:
        a = torch.zeros(1000)
        view = a[10:]
        assert live.now_bytes == 4000
        b = a + 1
        assert (live.now_bytes, live.peak_bytes) == (8000, 8000)
        del a, b
        assert live.now_bytes == 4000, "the view still holds it"
        del view
        assert (live.now_bytes, live.peak_bytes) == (0, 8000)


def test_a_run_whose_checkpoints_cannot_fit_does_not_begin(tmp_path: Path, base: Path, monkeypatch) -> None:
    recipe = tiny_recipe(tmp_path, base)
    need = planned(recipe)["disk"]
    needed = need["checkpoints"] + need["result"]
    monkeypatch.setattr("palate.train.checkpoint.free_bytes", lambda path: needed - 1)
    with pytest.raises(ArtifactError, match="will not fit on this disk") as refused:
        run(recipe)
    assert "train.keep_checkpoints" in refused.value.next
    assert not (Path(recipe.output) / "metrics.jsonl").exists()
    monkeypatch.setattr("palate.train.checkpoint.free_bytes", lambda path: needed)
    assert run(recipe)[0]["status"] == "done"


def test_what_does_not_fit_is_said(tmp_path: Path, base: Path, monkeypatch) -> None:
    recipe = tiny_recipe(tmp_path, base)
    assert planned(recipe)["fits"] is True
    monkeypatch.setattr("palate.train.plan.available_memory_bytes", lambda device: 10_000_000)
    monkeypatch.setattr("palate.train.plan.free_bytes", lambda path: 1000)
    plan = planned(recipe)
    assert plan["fits"] is False
    memory, disk = plan["problems"]
    assert "memory" in memory["what"] and "0.01 GB is to be had" in memory["why"]
    assert "model.quantization={}" in memory["next"]
    assert "disk" in disk["what"] and "train.keep_checkpoints" in disk["next"]


def test_the_parts_add_up_and_the_plan_is_json(tmp_path: Path, base: Path) -> None:
    plan = planned(tiny_recipe(tmp_path, base))
    assert sum(plan["memory"].values()) == plan["peak_memory_bytes"] == max(plan["memory_phases"].values())
    assert plan["disk_bytes"] == plan["disk"]["total"]
    assert json.loads(json.dumps(plan)) == plan


def test_moments_in_eight_bits_are_planned_as_such(tmp_path: Path) -> None:
    large = write_base(tmp_path / "large", hidden_size=128, intermediate_size=512)
    sizes = {}
    for kind in ("adamw", "adamw_8bit"):
        recipe = tiny_recipe(
            tmp_path, large, "model.adapter=null", f"train.optimizer={kind}", "train.max_steps=1", name=kind
        )
        sizes[kind] = planned(recipe)["disk"]["checkpoint"]
        run(recipe)
        (checkpoint,) = RunFolder(recipe.output).checkpoints.iterdir()
        assert checkpoint_bytes(checkpoint) == pytest.approx(sizes[kind], rel=0.05)
    assert sizes["adamw_8bit"] < 0.6 * sizes["adamw"]
    assert metrics(tmp_path / "adamw", "train")
