"""What both tools are given: rows, tokenizer, model, initial adapter, and the order of the rows.

All of it is written to one folder, once, before either tool starts. The order is Palate's own plan of the
run; the token ids are Palate's own too, and trl must arrive at the same ones by itself, or the comparison
stops.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["SIZES", "Settings", "Workload", "build_recipe", "build_tokenizer", "prepare", "read_settings"]

SIZES = {
    "135m": {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49_152,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 8192,
    },
}
"""Llama shapes: the 135M one is SmolLM-135M's."""

BATCH_SIZE = 8
LEARNING_RATE = 1e-4
LORA_RANK, LORA_ALPHA = 16, 32

PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"

# Nothing follows the last end token: trl would train on a newline there, Palate would not.
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' }}"
    "{% if not loop.last %}{{ '\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n<|im_start|>assistant\\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What one comparison is about. `data` is empty for the invented data set."""

    data: str
    limit: int | None
    num_steps: int
    num_warmup_steps: int
    size: str
    dtype: str
    num_threads: int
    max_length: int
    seed: int
    beta: float


@dataclass(frozen=True, slots=True)
class Workload:
    """A prepared folder: what both tools read."""

    folder: Path

    @property
    def model(self) -> Path:
        """Weights, configuration and tokenizer."""
        return self.folder / "model"

    @property
    def data(self) -> Path:
        """The invented rows, where no file was named."""
        return self.folder / "titles.jsonl"

    def rows(self, grouped: bool) -> Path:
        """The rows in the order of Palate's plan, with the token ids both tools must arrive at."""
        return self.folder / ("rows_grouped.json" if grouped else "rows.json")


def read_settings(folder: Path) -> Settings:
    """The settings that `prepare` left."""
    return Settings(**json.loads((folder / "settings.json").read_text(encoding="utf-8")))


def build_recipe(settings: Settings, workload: Workload, output: Path, *, grouped: bool) -> Any:
    """The Palate recipe of this comparison: no evaluation, no checkpoint before the end."""
    from palate.recipe import Recipe

    return Recipe.model_validate(
        {
            "output": str(output),
            "seed": settings.seed,
            "model": {
                "base": str(workload.model),
                "dtype": settings.dtype,
                "device": "cpu",
                "adapter": {"rank": LORA_RANK, "alpha": LORA_ALPHA},
            },
            "data": {
                "train": {"source": settings.data or str(workload.data), "limit": settings.limit},
                "eval_fraction": 0,
                "max_length": settings.max_length,
            },
            "objective": {"type": "dpo", "beta": settings.beta},
            "train": {
                "batch_size": BATCH_SIZE,
                "max_steps": settings.num_steps,
                "learning_rate": LEARNING_RATE,
                "schedule": "constant",
                "warmup_fraction": 0,
                "group_by_prompt": grouped,
                "checkpoint_every": settings.num_steps,
            },
            "compare": None,
        }
    )


def prepare(settings: Settings, folder: Path, *, grouped: bool) -> dict[str, Any]:
    """Write everything both tools need; returns facts about the data."""
    from palate.data import read_records, records_as
    from palate.engine import Renderer, load_policy
    from palate.train.batches import plan_batches
    from palate.train.example_set import encode_records

    workload = Workload(folder)
    if not settings.data:
        _write_lines(workload.data, invented_titles(settings.seed))
    recipe = build_recipe(settings, workload, folder / "unused", grouped=False)
    found = read_records(recipe.data.train)
    pairs = records_as(found.records, "pairs", where=found.source)
    tokenizer = build_tokenizer(message.content for pair in pairs for message in (*pair.prompt, *pair.chosen))
    _save_model(settings, tokenizer, workload.model)
    examples = encode_records(pairs, Renderer(tokenizer), recipe.data).examples
    by_id = {pair.id: pair for pair in pairs}
    num_steps = min(settings.num_steps, len(examples) // BATCH_SIZE)
    if num_steps <= settings.num_warmup_steps:
        raise SystemExit(
            f"{len(examples)} usable pairs: too few for {settings.num_warmup_steps} steps of warm-up and one"
        )
    settings = Settings(**{**asdict(settings), "num_steps": num_steps})
    (folder / "settings.json").write_text(json.dumps(asdict(settings)), encoding="utf-8")
    for by_prompt in (False, True) if grouped else (False,):
        options = build_recipe(settings, workload, folder / "unused", grouped=by_prompt).train
        plan = plan_batches(examples, options, settings.seed)
        order = [example for step in range(num_steps) for example in plan.batch(step)]
        workload.rows(by_prompt).write_text(
            json.dumps([_row(example, by_id[example.id]) for example in order]), encoding="utf-8"
        )
    _save_initial_adapter(load_policy(recipe.model, seed=settings.seed).model, folder / "adapter.safetensors")
    lengths = sorted(len(side) for example in examples for side in example.branches)
    return {
        "num_pairs_usable": len(examples),
        "num_prompts": len({example.prompt_id for example in examples}),
        "median_tokens": lengths[len(lengths) // 2],
        "longest_tokens": lengths[-1],
        "vocabulary_used": len(tokenizer),
        "num_steps": num_steps,
    }


def build_tokenizer(texts: Iterable[str], vocab_size: int = 8192) -> Any:
    """A byte-level BPE trained on the data's own text, so that no network is needed.

    Line breaks are tokens of their own: none merges with the beginning of an answer, and every tool finds the
    same boundary between prompt and completion.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe: Any = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in (PAD, START, END)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START],
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
    )


def invented_titles(seed: int, num_ideas: int = 100) -> Iterator[dict[str, str]]:
    """Title-like pairs: for each idea five titles, and all ten pairs of them."""
    rng = random.Random(seed)
    things = [
        "bread",
        "tents",
        "kayaks",
        "clocks",
        "bicycles",
        "gardens",
        "maps",
        "kites",
        "violins",
        "ponds",
    ]
    moods = [
        "quiet",
        "broken",
        "ancient",
        "tiny",
        "hidden",
        "borrowed",
        "frozen",
        "wooden",
        "cheap",
        "honest",
    ]
    patterns = (
        "Why Nobody Tells You the Truth About {0}",
        "I Tried {0} for Thirty Days and This Is What Happened",
        "{0}: From the First Mistake to the Last",
        "The Only Guide to {0} You Will Ever Need",
        "Five Things I Wish I Had Known About {0}",
        "How {0} Changed the Way I Spend My Mornings",
    )
    ideas = [f"{mood} {thing}" for mood in moods for thing in things]
    for idea in rng.sample(ideas, num_ideas):
        prompt = (
            "Given the video idea write an engaging title.\n\n"
            f"**Video Idea**: {idea}\n\n"
            "**Additional Guidance**:\n- The title should be between 30 and 75 characters long\n"
            "- Only return the title, nothing else!"
        )
        titles = [pattern.format(idea.title()) for pattern in rng.sample(patterns, 5)]
        for better in range(5):
            for worse in range(better + 1, 5):
                yield {"prompt": prompt, "chosen": titles[better], "rejected": titles[worse]}


def _row(example: Any, pair: Any) -> dict[str, Any]:
    sides = {}
    for name, branch in zip(("chosen", "rejected"), example.branches, strict=True):
        sides[f"{name}_ids"], sides[f"{name}_scored"] = branch.token_ids.tolist(), branch.scored.tolist()
    messages = {
        name: [message.as_dict() for message in getattr(pair, name)]
        for name in ("prompt", "chosen", "rejected")
    }
    return {**messages, **sides}


def _save_model(settings: Settings, tokenizer: Any, folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        **SIZES[settings.size],
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(settings.seed)
    model = LlamaForCausalLM(config).to(getattr(torch, settings.dtype))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _save_initial_adapter(model: Any, file: Path) -> None:
    """The adapter Palate starts from; trl's is set to the same."""
    from safetensors.torch import save_file

    save_file({name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}, file)


def _write_lines(file: Path, rows: Iterable[dict[str, str]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
