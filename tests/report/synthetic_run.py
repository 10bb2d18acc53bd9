"""A made-up run folder that looks like a real one: numbers from formulas, text of our own.

    python tests/report/synthetic_run.py FOLDER

writes one to look at.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

NUM_STEPS = 120
EVALUATE_EVERY = 20
BEST_STEP = 100
LN_2 = math.log(2)

RECIPE = """\
output: runs/harbour
seed: 7
model:
  base: playground
  dtype: auto
  adapter:
    type: lora
    rank: 16
    alpha: 32.0
    target_modules: all-linear
data:
  train:
    source: data/harbour.jsonl
  eval_fraction: 0.1
  max_length: 1024
  too_long: drop
objective:
  type: dpo
  beta: 0.1
  label_smoothing: 0.0
train:
  epochs: 2
  batch_size: 8
  learning_rate: 0.0001
  schedule: cosine
compare:
  num_prompts: 16
  judge: shorter
"""

TOPICS = (
    ("Why does the tide come in twice a day?", "the moon pulls the near sea more than the far one"),
    ("How do I keep bread from going stale?", "wrap it in linen and keep it out of the fridge"),
    ("What makes a bridge hum in the wind?", "air sheds whirls behind its cables, and they swing along"),
    ("Should I water tomatoes at noon?", "water them early, at the root, and let the leaves stay dry"),
    ("How do I fall asleep on a night train?", "take the lower berth, cover your eyes, and count the joints"),
    ("Why is old glass wavy?", "it was blown or drawn, and never lay flat while it was hot"),
    ("What is a good first knot to learn?", "the bowline: it holds fast and still comes undone"),
    ("How long does a letter take across the sea?", "about nine days by ship, three by air"),
    ("怎样让面包不变硬？", "用亚麻布包好，放在阴凉的地方，不要放进冰箱"),
    ("Can I paint over rust?", "brush it bare first, or the paint will lift within a year"),
    ("Why do cats sit on paper?", "it is warm, and it smells of you"),
    ("How do I sharpen scissors?", "cut a fine sandpaper a dozen times, then wipe the blades"),
    ("What should I pack for rain?", "a hat with a brim, two pairs of socks, and patience"),
    ("How do I read a tide table?", "find the day, read the height, and add the hour for summer"),
    ("Why does tea taste of tin here?", "the kettle has lost its lining, so change the kettle"),
    ("What is the best time to see the harbour?", "an hour before dusk, from the mole"),
)


def write_run(folder: Path, *, num_steps: int = NUM_STEPS) -> Path:
    """A finished run with every piece there."""
    (folder / "evaluation").mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    write_json(folder / "environment.json", environment())
    write_json(folder / "lineage.json", lineage())
    write_json(folder / "data.json", data())
    write_json(folder / "summary.json", summary(num_steps))
    write_json(folder / "evaluation" / "comparison.json", comparison())
    write_metrics(folder, metrics(num_steps))
    return folder


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def write_metrics(folder: Path, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")


def metrics(num_steps: int = NUM_STEPS) -> list[dict[str, Any]]:
    rows = [evaluation_row(0, num_steps)]
    for step in range(1, num_steps + 1):
        rows.append(training_row(step, num_steps))
        if step % EVALUATE_EVERY == 0:
            rows.append(evaluation_row(step, num_steps))
    return rows


def wobble(step: int, rate: float) -> float:
    """Between -1 and 1, without a random generator: three waves that never fall into step."""
    return (math.sin(step * rate) + math.sin(step * rate * 2.718) + math.sin(step * rate * 7.389)) / 3


def figures(progress: float, noise: float) -> dict[str, float]:
    margin = 4.2 * (1 - math.exp(-3.2 * progress)) * (1 + 0.18 * noise)
    chosen = 0.9 * (1 - math.exp(-5 * progress)) - 0.5 * progress + 0.08 * noise
    return {
        "loss": math.log1p(math.exp(-margin)) + 0.02 * noise * (progress > 0),
        "rewards_chosen": chosen,
        "rewards_rejected": chosen - margin,
        "rewards_margin": margin,
        "rewards_accuracy": min(1.0, 0.5 + 0.45 * (1 - math.exp(-4 * progress)) + 0.05 * noise),
        "logps_chosen": -61.0 + 10 * chosen,
        "logps_rejected": -66.0 + 10 * (chosen - margin),
        "logps_chosen_per_token": (-61.0 + 10 * chosen) / 42,
        "logps_rejected_per_token": (-66.0 + 10 * (chosen - margin)) / 44,
        "kl": 0.9 * progress**1.4,
    }


def training_row(step: int, num_steps: int) -> dict[str, Any]:
    progress, noise = (step - 1) / num_steps, wobble(step, 0.9)
    rate = 1e-4 * min(1, step / (0.1 * num_steps)) * 0.5 * (1 + math.cos(math.pi * progress))
    return {
        "step": step,
        "epoch": 2 * step / num_steps,
        "split": "train",
        **figures(progress, noise),
        "rewards_accuracy": round(8 * min(1, figures(progress, 3 * noise)["rewards_accuracy"])) / 8,
        "chosen_length": 42 + 6 * wobble(step, 1.7),
        "rejected_length": 44 + 6 * wobble(step, 2.3),
        "grad_norm": 2.4 * math.exp(-2.5 * progress) + 0.5 + 0.3 * noise,
        "learning_rate": rate,
        "pairs_per_second": 23.0 + 2 * noise,
        "tokens_computed": 610,
        "tokens_represented": 2050,
        "sharing_factor": 3.36,
        "peak_memory_bytes": 1_430_000_000,
    }


def evaluation_row(step: int, num_steps: int) -> dict[str, Any]:
    progress = step / num_steps
    row = {"step": step, "epoch": 2 * progress, "split": "eval", **figures(progress, 0.0)}
    row["loss"] += 0.04 * (progress > BEST_STEP / NUM_STEPS)
    return {**row, "grad_norm": None, "learning_rate": None}


def summary(num_steps: int = NUM_STEPS) -> dict[str, Any]:
    return {
        "status": "done",
        "num_pairs_train": 480,
        "num_pairs_eval": 54,
        "num_rows_set_aside": 7,
        "num_steps": num_steps,
        "num_reference_completions_computed": 266,
        "num_reference_completions_cached": 0,
        "sharing_factor": 3.36,
        "pairs_per_second": 22.8,
        "peak_memory_bytes": 1_430_000_000,
        "tree_check_max_abs_difference": 3.1e-6,
        "layout": "tree",
        "best_step": BEST_STEP,
        "train_seconds": 104.2,
        "eval": {"loss": 0.0913, "reward_accuracy": 0.926, "reward_margin": 3.91},
        "preferred_share_before": 0.47,
        "preferred_share_after": 0.97,
    }


def data() -> dict[str, Any]:
    return {
        "train": {
            "source": "data/harbour.jsonl",
            "layout": "pairs",
            "num_rows": 541,
            "num_kept": 534,
            "num_set_aside": 7,
            "set_aside": [
                {
                    "reason": "chosen and rejected are the same text",
                    "count": 5,
                    "examples": [f"data/harbour.jsonl:{line}" for line in (14, 88, 203, 377, 410)],
                },
                {
                    "reason": "no prompt",
                    "count": 2,
                    "examples": ["data/harbour.jsonl:61", "data/harbour.jsonl:502"],
                },
            ],
            "num_prompts": 96,
            "num_pairs": 480,
            "num_too_long": 3,
            "num_boundary_merges": 0,
        },
        "eval": {
            "source": "data/harbour.jsonl, held out",
            "layout": "pairs",
            "num_rows": 54,
            "num_kept": 54,
            "num_set_aside": 0,
            "set_aside": [],
            "num_prompts": 11,
            "num_pairs": 54,
            "num_too_long": 0,
            "num_boundary_merges": 0,
        },
    }


def environment() -> dict[str, Any]:
    return {
        "python": "3.11.9",
        "platform": "Linux-6.1-x86_64",
        "packages": {"torch": "2.13.0", "transformers": "5.0.0", "peft": "0.18.0", "palate": "0.1.0"},
        "torch_threads": 2,
        "device": "cpu",
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
    }


def lineage() -> dict[str, Any]:
    return {
        "base": {"name": "playground", "content_hash": "sha256:" + "5e" * 32},
        "template": "tokenizer",
        "data": {"train": {"source": "data/harbour.jsonl", "sha256": "a7" * 32}},
    }


def comparison() -> dict[str, Any]:
    samples = [sample(index, *topic) for index, topic in enumerate(TOPICS)]
    verdicts = [found["verdict"] for found in samples]
    wins, losses, ties = (verdicts.count(name) for name in ("win", "loss", "tie"))
    return {
        "base": "playground",
        "tuned": "harbour",
        "judge": "shorter",
        "temperature": 0.0,
        "num_prompts": len(samples),
        "samples": samples,
        "win_rate": {
            "num_wins": wins,
            "num_losses": losses,
            "num_ties": ties,
            "num_missing": 0,
            "win_rate": (wins + ties / 2) / len(samples),
            "interval_95": [0.687, 0.985],
            "sign_test_p": 0.00098,
            "num_more_to_settle": 0,
        },
        "figures": {
            "base": answer_figures(samples, "base"),
            "tuned": answer_figures(samples, "tuned"),
        },
        "held_out": {"num_pairs": 54, "reward_accuracy": 0.926, "interval_95": [0.825, 0.971]},
    }


def sample(index: int, question: str, fact: str) -> dict[str, Any]:
    base = f"Thank you for asking! It is a very good question. In short, {fact}. I hope this helps you today!"
    tuned = f"In short, {fact}."
    verdict = "win"
    if index == 4:
        tuned, verdict = base, "tie"
    if index == 6:
        base, tuned, verdict = tuned, f"{base} Do ask again, do ask again, do ask", "loss"
    if index == 8:
        base, tuned = f"谢谢您的提问！简单地说，{fact}。希望对您有帮助！", f"简单地说，{fact}。"
    prompt = [{"role": "user", "content": question}]
    if index == 1:
        prompt.insert(0, {"role": "system", "content": "You keep the inn at the harbour. Answer guests."})
    return {
        "prompt": prompt,
        "base": [{"text": base, "score": -float(len(base)), "finished": True}],
        "tuned": [{"text": tuned, "score": -float(len(tuned)), "finished": index != 6}],
        "verdict": verdict,
    }


def answer_figures(samples: list[dict[str, Any]], side: str) -> dict[str, float]:
    answers = [found[side][0] for found in samples]
    return {
        "mean_score": sum(answer["score"] for answer in answers) / len(answers),
        "mean_length_characters": sum(len(answer["text"]) for answer in answers) / len(answers),
        "finished_share": sum(answer["finished"] for answer in answers) / len(answers),
        "distinct_share": len({answer["text"] for answer in answers}) / len(answers),
    }


if __name__ == "__main__":
    write_run(Path(sys.argv[1]))
