"""The smallest real run: a random model on disk, a file of pairs, a recipe, and training.

Not for the playground: nothing here means anything, and it is made in milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from palate.data import read_records, records_as
from palate.engine import Renderer, load_policy
from palate.objectives import objective_for
from palate.recipe import Recipe, parse_recipe
from palate.train import RunFolder, encode_records, train
from palate.train.batches import plan_batches
from palate.train.inputs import Source
from palate.train.loop import Trainer
from palate.train.memory import row_cost
from palate.train.optimizer import build_optimizer
from palate.train.resume import save
from palate.watcher import Watcher

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = ["river", "stone", "bread", "window", "lantern", "harbour", "winter", "copper", "garden", "letter"]


def tokenizer(bos: str | None = None) -> PreTrainedTokenizerFast:
    """Byte-level BPE with ChatML. It normalises (NFKC), so that two texts may have the same tokens."""
    bpe: Any = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFKC()
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    marks = ["<|pad|>", "<|im_start|>", "<|im_end|>", *([bos] if bos else [])]
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=marks,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=bos,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        chat_template=("{{ bos_token }}" if bos else "") + CHATML,
    )


def write_base(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A random Llama and its tokenizer, as a model folder."""
    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.1,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": 2,
    }
    LlamaForCausalLM(LlamaConfig(**(shape | changes))).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def rows(num_prompts: int = 12, completions_per_prompt: int = 2) -> list[dict[str, str]]:
    """Every earlier completion of a prompt preferred to every later one."""
    made = []
    for p in range(num_prompts):
        prompt = f"Say {WORDS[p % len(WORDS)]} {p}"
        answers = [
            f"{WORDS[(p + 3 * c) % len(WORDS)]} " * (1 + c) + str(c) for c in range(completions_per_prompt)
        ]
        made += [
            {"prompt": prompt, "chosen": answers[a], "rejected": answers[b]}
            for a in range(len(answers))
            for b in range(a + 1, len(answers))
        ]
    return made


def write_rows(path: Path, content: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8")
    return path


def tiny_recipe(
    folder: Path, base: Path, *overrides: str, name: str = "run", data: Path | None = None
) -> Recipe:
    """A recipe for a run in `folder`/`name`, of four steps unless the overrides say otherwise."""
    if data is None:
        data = folder / "rows.jsonl"
        if not data.exists():
            write_rows(data, rows())
    text = f"""
output: {folder / name}
model: {{base: {base}, adapter: {{rank: 4, alpha: 8}}}}
data: {{train: {{source: {data}}}, eval_fraction: 0.25}}
train:
  {{batch_size: 4, epochs: 9, max_steps: 4, learning_rate: 1.0e-3, schedule: constant, warmup_fraction: 0}}
compare: {{num_prompts: 2, max_new_tokens: 4}}
"""
    return parse_recipe(text, overrides)


def run(recipe: Recipe, watcher: Watcher | None = None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train; the summary and the lines of metrics.jsonl."""
    folder = RunFolder(recipe.output)
    folder.begin(recipe)
    held_out = read_records(recipe.data.eval) if recipe.data.eval is not None else None
    summary = train(recipe, read_records(recipe.data.train), held_out, folder, watcher)
    return summary, metrics(folder.path)


def metrics(folder: Path, split: str | None = None) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if split in (None, line["split"])]


def losses(lines: Sequence[dict[str, Any]]) -> list[float]:
    return [line["loss"] for line in lines if line["split"] == "train"]


def tiny_trainer(recipe: Recipe, *, layout: str = "tree") -> Trainer:
    """What the loop works with, for an objective without reference: built, and not yet run."""
    assert not recipe.objective.needs_reference
    torch.manual_seed(recipe.seed)
    policy = load_policy(recipe.model, seed=recipe.seed)
    renderer = Renderer(policy.tokenizer, recipe.data.template, policy.stop_ids())
    found = read_records(recipe.data.train)
    pairs = records_as(found.records, "pairs", where=found.source)
    examples = encode_records(pairs, renderer, recipe.data).examples
    folder = RunFolder(recipe.output)
    folder.begin(recipe)
    return Trainer(
        source=Source(policy, None, recipe.objective, layout),  # type: ignore[arg-type]
        objective=objective_for(recipe.objective),
        options=recipe.train,
        plan=plan_batches(examples, recipe.train, recipe.seed),
        eval_examples=examples[:3],
        row_cost=row_cost(policy, recipe.train),
        optimizer=build_optimizer(policy, recipe.train),
        folder=folder,
        watcher=Watcher(),
        save=save,
    )
