"""Real small runs for the diagnosis: the playground's model, and preferences neither trivial nor broken.

A taste is a sum of likings: for a voice, for some openings, for some closings. Who compares two answers picks
the better one with the Bradley-Terry probability of the difference, so the labels are wrong as often as
people's are, and the truth is neither told by one token nor learnt at once.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

from palate.pipeline import train_stage
from palate.playground import model_folder
from palate.playground.corpus import _asked, _different_answers
from palate.playground.world import training_questions
from palate.recipe import Recipe, parse_recipe
from palate.watcher import Watcher

LIKINGS = {"Oh, ": 2.0, "dear": 1.0, "bless": -1.0, "listed": 1.0, "ledger": -1.0, "joy": 1.5,
           "moon sent": -1.5, "confirmed": 1.5, "annual": -1.5}  # fmt: skip
"""What an answer that says so is worth more, in logits."""


def worth(answer: str) -> float:
    return sum(liking for said, liking in LIKINGS.items() if said in answer)


def taught_pairs(num_prompts: int, seed: int, *, sharpness: float = 2.0) -> list[dict[str, str]]:
    """Two pairs to each prompt, of answers in the voices that chance has drawn; chance picks the winners too.

    `sharpness` multiplies all likings: the larger, the fewer labels go against the taste.
    """
    rng = Random(f"taste {seed}")
    rows = []
    for question, wording in _asked(training_questions(), num_prompts, Random(f"prompts {seed}")):
        answers = [
            *_different_answers(question, wording, "hearth", 2, rng),
            *_different_answers(question, wording, "ledger", 2, rng),
        ]
        rng.shuffle(answers)
        for one, other in (answers[:2], answers[2:]):
            gap = sharpness * (worth(one) - worth(other))
            first_wins = rng.random() < 1 / (1 + math.exp(-gap))
            chosen, rejected = (one, other) if first_wins else (other, one)
            rows.append({"prompt": wording, "chosen": chosen, "rejected": rejected})
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def recipe_of(folder: Path, data: Path, *overrides: str, name: str = "run") -> Recipe:
    """A run of one epoch on the playground's model, unless the overrides say otherwise."""
    text = f"""
output: {folder / name}
model: {{base: {model_folder()}, adapter: {{rank: 8, alpha: 16}}}}
data: {{train: {{source: {data}}}, eval_fraction: 0.25, audit: null}}
train: {{batch_size: 16, epochs: 1, learning_rate: 2.0e-3, evaluate_every: 10}}
"""
    return parse_recipe(text, overrides)


def taught_run(
    folder: Path, data: Path, *overrides: str, name: str = "run", watcher: Watcher | None = None
) -> Path:
    """Train through the pipeline; the run's folder."""
    recipe = recipe_of(folder, data, *overrides, name=name)
    train_stage(recipe, watcher)
    return Path(recipe.output)
