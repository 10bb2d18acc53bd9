"""The same training as trl's: ten steps of Palate's `train` and of trl's DPOTrainer lose the same.

Both start from the same weights, adapter included, and take the same rows in the same order, which is
Palate's plan of the run. Everything else is left to each: tokens, masks, log-probabilities, reference, loss,
gradients, clipping, AdamW. The steps are large enough for losses to move, gradients are clipped and weights
decay, so that a difference in any of these would show.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import trl

from palate.data import read_records, records_as
from palate.engine import Renderer, load_policy
from palate.recipe import Recipe
from palate.records import Pair
from palate.train import encode_records
from palate.train.batches import plan_batches
from tiny_run import losses, metrics, rows, run, tiny_recipe, tokenizer, write_base, write_rows

# What transformers has to say about options that trl sets.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

NUM_STEPS = 10
CLIP, DECAY = 0.5, 0.1
# trl scores whatever a template writes after the answer, a line break for instance; Palate scores up to the
# end token. This one writes nothing there, so that both score the same tokens.
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' }}"
    "{% if not loop.last %}{{ '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\n<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_base(tmp_path_factory.mktemp("base"), hidden_size=64, intermediate_size=96)
    plain = tokenizer()
    plain.chat_template = CHATML
    plain.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(["train.layout=tree"], id="tree"),
        pytest.param(["train.layout=tree", "train.group_by_prompt=true"], id="tree, grouped"),
        pytest.param(["train.layout=tree", "train.micro_batch_tokens=40"], id="tree, micro-batches"),
        pytest.param(["train.layout=padded"], id="padded"),
    ],
)
def test_ten_losses_are_those_of_trl(tmp_path: Path, base: Path, overrides: list[str]) -> None:
    ours, theirs = trajectories(tmp_path, base, overrides)
    assert len(ours) == len(theirs) == NUM_STEPS
    assert max(ours) - min(ours) > 0.1, "losses that do not move prove nothing"
    assert max(line["grad_norm"] for line in metrics(tmp_path / "run", "train")) > CLIP, "nothing was clipped"
    assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize(
    "changed", [{"beta": 0.11}, {"learning_rate": 9e-3}, {"max_grad_norm": 5.0}, {"weight_decay": 0.0}]
)
def test_a_difference_in_one_setting_would_show(
    tmp_path: Path, base: Path, changed: dict[str, float]
) -> None:
    """Otherwise agreement above would mean little."""
    ours, theirs = trajectories(tmp_path, base, [], changed)
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) > 1e-4


def trajectories(
    folder: Path, base: Path, overrides: list[str], theirs: dict[str, Any] | None = None
) -> tuple[list[float], list[float]]:
    """Palate's losses and trl's; `theirs` are settings that only trl is given."""
    write_rows(folder / "rows.jsonl", rows(8, completions_per_prompt=5))
    recipe = tiny_recipe(
        folder,
        base,
        "data.eval_fraction=0",
        "train.batch_size=8",
        f"train.max_steps={NUM_STEPS}",
        "train.learning_rate=1e-2",
        f"train.max_grad_norm={CLIP}",
        f"train.weight_decay={DECAY}",
        *overrides,
    )
    _, lines = run(recipe)
    return losses(lines), trl_losses(recipe, folder / "trl", theirs or {})


def trl_losses(recipe: Recipe, output: Path, changed: dict[str, Any]) -> list[float]:
    """What trl's DPOTrainer loses at each step."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer

    adapter = recipe.model.adapter
    assert adapter is not None
    settings = {
        "beta": recipe.objective.reward_scale,
        "learning_rate": recipe.train.learning_rate,
        "max_grad_norm": recipe.train.max_grad_norm,
        "weight_decay": recipe.train.weight_decay,
    }
    trainer = trl.DPOTrainer(
        model=recipe.model.base,
        args=trl.DPOConfig(
            output_dir=str(output),
            model_init_kwargs={"dtype": "float32"},
            per_device_train_batch_size=recipe.train.batch_size,
            max_steps=NUM_STEPS,
            lr_scheduler_type="constant",
            train_sampling_strategy="sequential",
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            save_strategy="no",
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
            **(settings | changed),
        ),
        train_dataset=Dataset.from_list(
            [
                {
                    name: [message.as_dict() for message in getattr(pair, name)]
                    for name in ("prompt", "chosen", "rejected")
                }
                for pair in planned_pairs(recipe)
            ]
        ),
        processing_class=AutoTokenizer.from_pretrained(recipe.model.base),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM",
            r=adapter.rank,
            lora_alpha=adapter.alpha,
            target_modules=adapter.target_modules,
        ),
    )
    start_from(trainer.model, recipe)
    trainer.train()
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


def planned_pairs(recipe: Recipe) -> list[Pair]:
    """The pairs of the run, in the order in which Palate takes them."""
    policy = load_policy(recipe.model, seed=recipe.seed)
    renderer = Renderer(policy.tokenizer, recipe.data.template, policy.stop_ids())
    found = read_records(recipe.data.train)
    pairs = records_as(found.records, "pairs", where=found.source)
    examples = encode_records(pairs, renderer, recipe.data).examples
    plan = plan_batches(examples, recipe.train, recipe.seed)
    by_id = {pair.id: pair for pair in pairs}
    return [by_id[example.id] for step in range(plan.num_steps) for example in plan.batch(step)]


def start_from(model: torch.nn.Module, recipe: Recipe) -> None:
    """Give a peft model the adapter that Palate starts from."""
    ours = dict(load_policy(recipe.model, seed=recipe.seed).model.named_parameters())
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert trained.keys() == {name for name, p in ours.items() if p.requires_grad}
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(ours[name])
