"""A made-up comparison of two or three models with every part there, and what a diagnosis found.

    python tests/report/synthetic_comparison.py FOLDER

writes a whole run with them, to look at.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import synthetic_run as synthetic

WIN_RATE = (
    "num_wins", "num_losses", "num_ties", "num_missing", "win_rate", "interval_95", "sign_test_p",
    "num_more_to_settle",
)  # fmt: skip
MEASURES = ("words", "punctuation", "shapes", "delta")


def write_full_run(folder: Path, *, num_steps: int = synthetic.NUM_STEPS, num_models: int = 2) -> Path:
    """A run with findings and an audit, whose models were compared in every way."""
    synthetic.write_run(folder, num_steps=num_steps)
    synthetic.write_json(folder / "evaluation" / "comparison.json", full_comparison(num_models))
    synthetic.write_json(folder / "findings.json", findings())
    synthetic.write_json(folder / "audit.json", audit())
    return folder


def full_comparison(num_models: int = 2) -> dict[str, Any]:
    names = ["playground", "harbour", "harbour-long"][:num_models]
    content = synthetic.comparison() | {
        "models": names,
        "judge_kind": "llm",
        "judge": "innkeeper",
        "judge_card": judge_card(),
        "win_rates": [rate(name, names[0], place) for place, name in enumerate(names[1:])],
        "fears": {name: fears(place) for place, name in enumerate(names)},
        "fear_findings": [
            {
                "name": "mean_length",
                "model": "harbour",
                "sentence": "The answers of harbour are 48% shorter than those of playground (39% to 55%).",
                "severity": "warning",
                "evidence": {"ratio": 0.52},
            },
            {
                "name": "length_limit",
                "model": "harbour",
                "sentence": "1 of 16 answers of harbour ran into the length limit.",
                "severity": "info",
                "evidence": {"share": 0.0625},
            },
        ],
        "worse_prompts": [
            {
                "prompt": "What is a good first knot to learn?",
                "base": "In short, the bowline: it holds fast and still comes undone.",
                "tuned": "In short, the bowline. Do ask again, do ask again, do ask",
                "model": "harbour",
                "why": "it goes round in circles, where the base does not",
            }
        ],
        "drift": {
            name: {
                "kl_per_token": 0.21 * place,
                "interval_95": [0.18 * place, 0.24 * place],
                "neutral_text": {"kl_per_token": 0.013 * place, "interval_95": [0.01 * place, 0.016 * place]},
            }
            for place, name in enumerate(names)
            if place
        },
        "perplexity": {
            name: {"value": 12.4 + place, "interval_95": [11.9 + place, 13.0 + place]}
            for place, name in enumerate(names)
        },
        "style": style(names),
        "benchmarks": benchmarks(),
        "win_rate": {name: rate(names[1], names[0], 0)[name] for name in WIN_RATE},
        "verdict": "harbour is preferred to playground.",
        "warnings": ["2 of 16 verdicts are missing; the first: the reply named no side"],
    }
    if num_models > 2:
        content["ranking"] = [
            {
                "model": name,
                "strength": 0.8 - 0.7 * place,
                "interval_95": [0.2 - 0.7 * place, 1.4 - 0.7 * place],
            }
            for place, name in enumerate(reversed(names))
        ]
        content["ranking_notes"] = ["No interval for playground: it takes two prompts or more."]
        for sample in content["samples"]:
            long = [sample["tuned"][0] | {"text": sample["tuned"][0]["text"] + " Come again."}]
            sample["answers"] = {names[0]: sample["base"], names[1]: sample["tuned"], names[2]: long}
            sample["verdicts_of"] = {names[1]: [sample["verdict"]], names[2]: ["tie"]}
    return content


def rate(of: str, against: str, place: int) -> dict[str, Any]:
    counts = ((13, 2, 1), (8, 6, 2))[place]
    share = (counts[0] + counts[2] / 2) / 16
    return {
        "of": of,
        "against": against,
        **dict(zip(("num_wins", "num_losses", "num_ties"), counts, strict=True)),
        "num_missing": 2,
        "num_prompts": 16,
        "win_rate": share,
        "interval_95": [share - 0.2, min(share + 0.12, 0.98)],
        "bootstrap_interval_95": [share - 0.18, min(share + 0.11, 0.98)],
        "standard_error": 0.08,
        "sign_test_p": (0.0074, 0.79)[place],
        "num_more_to_settle": (0, 212)[place],
        "length_controlled_win_rate": share - 0.17,
        "length_controlled_interval_95": [share - 0.36, min(share + 0.02, 0.95)],
        "agreement_corrected_win_rate": min(share + 0.05, 0.99),
        "agreement_corrected_interval_95": [share - 0.2, 1.0],
        "sentence": f"{of} is preferred to {against}.",
        "warnings": ["16 prompts are few: the interval is as wide as that makes it."],
    }


def fears(place: int) -> dict[str, Any]:
    def share(value: float) -> dict[str, Any]:
        return {"value": value, "interval_95": [max(0.0, value - 0.05), value + 0.15]}

    return {
        "num_answers": 16,
        "num_prompts": 16,
        "unfinished_share": share(0.0625 * place),
        "repeating_share": share(0.0625 * place),
        "refusal_share": share(0.0),
        "mean_length": {"value": 140.0 - 60 * place, "interval_95": [131.0 - 60 * place, 149.0 - 60 * place]},
        "median_length": 139 - 61 * place,
        "distinct_1": {"value": 0.41 + 0.1 * place, "interval_95": [0.38 + 0.1 * place, 0.45 + 0.1 * place]},
        "self_bleu": 0.52 - 0.2 * place,
    }


def style(names: list[str]) -> dict[str, Any]:
    distances = {
        name: {
            measure: {
                "value": (0.31 - 0.12 * place) * (1 + 0.2 * number),
                "noise_floor": 0.14 * (1 + 0.2 * number),
                "noise_floor_95": 0.17 * (1 + 0.2 * number),
                "permutation_p": (0.001, 0.012, 0.3)[place],
                "num_units": 16,
            }
            for number, measure in enumerate(MEASURES)
        }
        for place, name in enumerate(names)
    }
    telling = [
        ("thank", 2.4),
        ("hope", 1.9),
        ("question", 1.6),
        ("today", 1.1),
        ("moon", -0.9),
        ("joint", -1.3),
    ]
    words = [
        {"feature": word, "log_odds": odds, "z": 2.2 * odds, "count_first": 14, "count_second": 3}
        for word, odds in telling
    ]
    return {
        "target": "notes/harbour-master",
        "models": {name: {"distances": distances[name], "telling_words": words} for name in names},
        "closer_p": {"words": 0.002, "delta": 0.04} if len(names) == 2 else {},
        "warnings": ["16 prompts are few: distances are noisy."],
    }


def benchmarks() -> dict[str, Any]:
    rows = [("arithmetic", 0.61, 0.6, 200), ("tides", 0.42, 0.47, 120), ("yes_or_no", 0.71, 0.66, 500)]
    return {
        "tasks": [
            {
                "task": task,
                "metric": "acc",
                "base": base,
                "tuned": tuned,
                "difference": tuned - base,
                "standard_error": 0.02,
                "interval_95": [tuned - base - 0.04, tuned - base + 0.04],
                "num_samples": num,
            }
            for task, base, tuned, num in rows
        ],
        "sentence": "On yes_or_no the tuned model is worse; on the others no difference is shown.",
    }


def judge_card() -> dict[str, Any]:
    def canary(name: str, num_failed: int, passed: bool | None) -> dict[str, Any]:
        return {"name": name, "what": "", "num_asked": 8, "num_failed": num_failed, "passed": passed}

    return {
        "judge": "innkeeper",
        "trusted": False,
        "withheld_because": None,
        "forced": False,
        "canaries": {
            "empty_answer": canary("empty_answer", 0, True),
            "gibberish": canary("gibberish", 0, True),
            "prompt_injection": canary("prompt_injection", 3, None),
        },
        "findings": [
            {
                "name": "position_bias",
                "what": "It prefers whatever it reads first.",
                "evidence": "The first answer won 71% of 32 looks (95% interval 53% to 84%).",
            }
        ],
        "warnings": ["No votes of yours were given: whether it agrees with you is not known."],
        "sentences": ["It gave 14 of 16 verdicts; missing: 2 unreadable.", "It passed 2 of 3 canaries."],
        "judges": [],
    }


def findings() -> dict[str, Any]:
    return {
        "findings": [
            {
                "rule": "length_exploitation",
                "severity": "warning",
                "sure": "likely",
                "step": 60,
                "case": "margin",
                "evidence": {
                    "last_step": 120,
                    "num_last_steps": 60,
                    "margin_per_token": 0.021,
                    "margin_share": 0.82,
                    "variance_explained": 0.61,
                    "mean_length_difference": 5.2,
                    "p": 0.0004,
                },
                "sentence": "Over the last 60 of 120 steps each token by which chosen sides are longer adds "
                "0.021 to the margin: 82% of it, and 61% of what the margin varies by from batch to batch "
                "(chosen sides are 5.2 tokens longer on average).",
                "meaning": "Longer is rewarded, whatever is said.",
                "remedy": "Take length out.",
                "recipe_key": "objective.logps",
                "recipe_value": "mean",
            },
            {
                "rule": "evaluation_too_small",
                "severity": "info",
                "sure": "certain",
                "step": None,
                "case": "wide",
                "evidence": {
                    "num_pairs": 54,
                    "num_prompts": 11,
                    "accuracy_low": 0.651,
                    "accuracy_high": 0.981,
                },
                "sentence": "54 held-out pairs of 11 prompts put the accuracy between 65.1% and 98.1%.",
                "meaning": "Two runs could differ by ten points and nobody would see it here.",
                "remedy": "Hold out more.",
                "recipe_key": "data.eval_fraction",
                "recipe_value": 0.3,
            },
        ],
        "rules_checked": ["length_exploitation", "evaluation_too_small", "gradient_spikes"],
        "rules_not_applicable": {"kl_runaway": "there is no kl in metrics.jsonl"},
        "best_step": 100,
    }


def audit() -> dict[str, Any]:
    return {
        "findings": [
            {
                "check": "length_bias",
                "severity": "warning",
                "count": 301,
                "meaning": "The preferred completion is the shorter one 88% of the time.",
                "remedy": "Balance them.",
            }
        ],
        "not_checked": {"label_agreement": "needs votes"},
        "allowed": [],
    }


if __name__ == "__main__":
    write_full_run(Path(sys.argv[1]), num_models=int(sys.argv[2]) if len(sys.argv) > 2 else 2)
