"""Runs with one fault each, of a random model: a second or so of real training, through the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from palate.pipeline import train_stage
from palate.recipe import parse_recipe
from palate.watcher import Watcher
from tiny_run import WORDS, write_base, write_rows

Rows = list[dict[str, str]]


def marked(num: int, *, flipped: float = 0.0, seed: int = 0) -> Rows:
    """The chosen side says "bread" and the rejected "stone", but for a share of pairs the other way round."""
    rng = Random(seed)
    rows = []
    for prompt in prompts(num):
        first, second, third = rng.sample(WORDS, 3)
        one, other = f"{first} bread {second}", f"{second} stone {third}"
        if rng.random() < flipped:
            one, other = other, one
        rows.append({"prompt": prompt, "chosen": one, "rejected": other})
    return rows


def by_chance(num: int, seed: int = 0) -> Rows:
    """Nothing tells the sides apart."""
    rng = Random(seed)
    sides = [[" ".join(rng.sample(WORDS, 3)) for _ in range(2)] for _ in range(num)]
    return [
        {"prompt": prompt, "chosen": one, "rejected": other}
        for prompt, (one, other) in zip(prompts(num), sides, strict=True)
    ]


def longer(num: int, seed: int = 0) -> Rows:
    """The longer side is chosen, by whatever words."""
    rng = Random(seed)
    return [
        {
            "prompt": prompt,
            "chosen": " ".join(rng.choices(WORDS, k=rng.randint(4, 30))),
            "rejected": " ".join(rng.choices(WORDS, k=rng.randint(2, 4))),
        }
        for prompt in prompts(num)
    ]


def with_odd_ones(rows: Rows, *places: int) -> Rows:
    """Some chosen sides become one sign over and over, as a broken export or a broken model writes it."""
    rng = Random(3)
    odd = [dict(row) for row in rows]
    for place in places:
        odd[place]["chosen"] = chr(rng.randint(0x4E00, 0x9000)) * 150
    return odd


def turned(rows: Rows) -> Rows:
    """Other prompts, and the sides the wrong way round."""
    return [
        {"prompt": f"{row['prompt']}?", "chosen": row["rejected"], "rejected": row["chosen"]} for row in rows
    ]


def respaced(rows: Rows) -> Rows:
    """The same pairs under prompts that differ by a space, backwards."""
    return [{**row, "prompt": f"{row['prompt']} "} for row in reversed(rows)]


def prompts(num: int) -> list[str]:
    return [f"Say {WORDS[place % len(WORDS)]} {place}" for place in range(num)]


@dataclass
class Workshop:
    """Makes runs in a folder, each once, all of one seed."""

    folder: Path
    seed: int = 0
    bases: dict[int, Path] = field(default_factory=dict)
    made: dict[str, Path] = field(default_factory=dict)

    def base(self, seed: int = 0) -> Path:
        if seed not in self.bases:
            self.bases[seed] = write_base(self.folder / f"base-{seed}", seed)
        return self.bases[seed]

    def run(
        self,
        name: str,
        rows: Rows,
        *overrides: str,
        num_steps: int,
        learning_rate: float,
        held_out: Sequence[dict[str, Any]] | None = None,
        watcher: Watcher | None = None,
        audit: str = "null",
    ) -> Path:
        """The folder of a finished run of batches of four with DPO, unless the overrides say otherwise."""
        if name in self.made:
            return self.made[name]
        data = write_rows(self.folder / f"{name}.jsonl", rows)
        held = "eval_fraction: 0.25"
        if held_out is not None:
            held = f"eval: {{source: {write_rows(self.folder / f'{name}-eval.jsonl', held_out)}}}"
        text = f"""
output: {self.folder / name}
seed: {self.seed}
model: {{base: {self.base()}, adapter: {{rank: 4, alpha: 8}}}}
data: {{train: {{source: {data}}}, audit: {audit}, {held}}}
train:
  {{batch_size: 4, epochs: 9, max_steps: {num_steps}, learning_rate: {learning_rate}, schedule: constant,
    warmup_fraction: 0, evaluate_every: 10}}
"""
        train_stage(parse_recipe(text, overrides), watcher)
        self.made[name] = self.folder / name
        return self.made[name]
