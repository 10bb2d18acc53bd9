"""Promise 15: what `palate plan` says of memory is what the run then takes, within 15 percent.

Each in a process of its own, as people run them: the peak of a process is of all that it ever did.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tiny_run import WORDS, write_base, write_rows

MIDDLE = {
    "vocab_size": 16_384,
    "hidden_size": 384,
    "intermediate_size": 1024,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}
LARGE = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
"""SmolLM-135M's shape."""


def title_rows(num_prompts: int, num_words: int, seed: int = 0) -> list[dict[str, str]]:
    rng = random.Random(seed)

    def text(count: int) -> str:
        return " ".join(rng.choice(WORDS) for _ in range(count))

    made = []
    for number in range(num_prompts):
        prompt = f"{number} {text(num_words + rng.randrange(num_words // 2 + 1))}"
        titles = [text(4 + rng.randrange(6)) for _ in range(3)]
        made += [
            {"prompt": prompt, "chosen": titles[a], "rejected": titles[b]}
            for a, b in ((0, 1), (0, 2), (1, 2))
            if titles[a] != titles[b]
        ]
    return made


def palate(home: Path, *words: str) -> dict[str, Any]:
    environment = os.environ | {"PALATE_HOME": str(home), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "palate", *words, "--json"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ratio_of(tmp_path: Path, shape: dict[str, Any], num_words: int, *overrides: str) -> float:
    base = write_base(tmp_path / "base", initializer_range=0.02, **shape)
    data = write_rows(tmp_path / "rows.jsonl", title_rows(12, num_words))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"output: {tmp_path / 'run'}\nmodel: {{base: {base}, device: cpu, adapter: {{rank: 16}}}}\n"
        f"data: {{train: {{source: {data}}}, eval_fraction: 0}}\ncompare: null\n"
        "train: {batch_size: 8, max_steps: 3}\n"
    )
    plan = palate(tmp_path / "home", "plan", str(recipe), *overrides)
    summary = palate(tmp_path / "home", "train", str(recipe), *overrides)
    assert plan["num_steps"] == summary["num_steps"]
    assert plan["tokens"]["train"]["sharing_factor"] == summary["sharing_factor"]
    planned, measured = plan["peak_memory_bytes"], summary["peak_memory_bytes"]
    seen = f"{' '.join(overrides)}: planned {planned / 1e6:.0f} MB, measured {measured / 1e6:.0f} MB"
    sys.stdout.write(f"{seen}, {planned / measured:.3f}\n")  # pytest -s shows it
    return planned / measured


@pytest.mark.parametrize(
    ("num_words", "overrides"),
    [
        (40, ["model.dtype=float32"]),
        (40, ["model.dtype=float32", "model.adapter=null"]),
        (40, ["model.dtype=bfloat16", "objective.type=reward"]),
    ],
    ids=["fp32 adapter", "every weight", "reward model in bf16"],
)
def test_planned_memory_is_measured_memory(tmp_path: Path, num_words: int, overrides: list[str]) -> None:
    assert 0.85 <= ratio_of(tmp_path, MIDDLE, num_words, *overrides) <= 1.15


@pytest.mark.thorough
@pytest.mark.parametrize(
    "overrides",
    [
        ["model.dtype=bfloat16"],
        ["model.dtype=bfloat16", "model.adapter=null", "train.max_steps=2"],
        ["model.dtype=bfloat16", "model.quantization={}"],
        ["model.dtype=bfloat16", "train.gradient_checkpointing=true"],
    ],
    ids=["adapter", "every weight", "nf4", "gradient checkpointing"],
)
def test_that_of_a_135m_model_too(tmp_path: Path, overrides: list[str]) -> None:
    assert 0.85 <= ratio_of(tmp_path, LARGE, 40, *overrides) <= 1.15


def test_a_process_does_not_answer_for_the_one_that_started_it() -> None:
    """The system's own count of a process begins with its parent's."""
    ballast = bytearray(os.urandom(1)) * (600 * 2**20)
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import torch; from palate.train.memory import peak_memory_bytes;"
            "print(peak_memory_bytes(torch.device('cpu')))",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert 50 * 2**20 < int(said) < 600 * 2**20 <= len(ballast)
