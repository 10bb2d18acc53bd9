"""What needs no judge: a shortfall does not lose the comparison, and nothing is measured twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from palate.engine import load_policy, load_trained
from palate.errors import CallError, WorkError
from palate.evaluate import drift, pair_accuracy, without_judge
from palate.evaluate.contestants import Contestant
from palate.evaluate.pair_accuracy import HeldOutPairs
from palate.evaluate.without_judge import Measuring, check_comparison_benchmarks
from palate.pipeline.comparing import shortfall_of_comparison
from palate.recipe import CompareOptions, ModelOptions
from palate.records import Answer, Message, Pair, Provenance
from palate.watcher import Watcher
from tiny_run import write_base

PLAIN = ModelOptions(base="unused", adapter=None, device="cpu", dtype="float32")
PROMPT = (Message("user", "Say river"),)


def answers_of(name: str) -> dict[str, list[list[Answer]]]:
    return {name: [[Answer(PROMPT, "river stone", name, True)]]}


def of(models: list[Contestant], kept: Path | None = None, **options: Any) -> Measuring:
    return Measuring(models, CompareOptions(**options), PLAIN, Watcher(), kept=kept)


def test_drift_is_measured_unless_it_is_declined(base: Path) -> None:
    two = [Contestant("base", str(base)), Contestant("again", str(base))]
    found = of(two).drift(answers_of("again"), ())
    assert found["drift"]["again"]["kl_per_token"] == 0
    declined = of(two, drift=False).drift(answers_of("again"), ())
    assert declined == {"drift": {}, "perplexity": {}, "warnings": []}


def test_a_model_that_is_gone_is_a_warning(base: Path, tmp_path: Path) -> None:
    two = [Contestant("base", str(base)), Contestant("gone", str(tmp_path / "gone"))]
    found = of(two, tmp_path / "measured.json").drift(answers_of("gone"), ())
    assert found["drift"] == {}
    assert "Drift is not measured" in found["warnings"][0]
    assert "gone" in found["warnings"][0]
    assert not (tmp_path / "measured.json").exists(), "a shortfall is not kept"


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    """A LoRA adapter's folder, moved by chance."""
    policy = load_policy(ModelOptions(base=str(base), device="cpu", dtype="float32"))
    torch.manual_seed(2)
    for name, weight in policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    policy.save_weights(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapter_is_measured_against_its_base(base: Path, adapter: Path, tmp_path: Path) -> None:
    """Its drift is that of the same model merged into one."""
    merged = load_trained(str(adapter), PLAIN)
    folder = tmp_path / "merged"
    merged.model.merge_and_unload().save_pretrained(folder)
    merged.tokenizer.save_pretrained(folder)
    three = [Contestant("base", str(base)), Contestant("lora", str(adapter)), Contestant("one", str(folder))]
    answers = answers_of("lora") | answers_of("one")
    found = of(three).drift(answers, ["river stone"])
    ours, theirs = (found["drift"][name]["kl_per_token"] for name in ("lora", "one"))
    assert ours > 1e-4
    assert ours == pytest.approx(theirs, rel=1e-3)
    perplexity = found["perplexity"]
    assert perplexity["lora"]["value"] == pytest.approx(perplexity["one"]["value"], rel=1e-4)


def test_what_was_measured_of_the_same_models_and_texts_is_not_measured_again(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another text, another model or a damaged file measures anew; each kind has figures of its own."""
    file = tmp_path / "evaluation" / "measured.json"
    loaded: list[str] = []

    def counted(name: str, *given: Any, **how: Any) -> Any:
        loaded.append(name)
        return load_trained(name, *given, **how)

    for module in (drift, pair_accuracy):
        monkeypatch.setattr(module, "load_trained", counted)
    two = [Contestant("base", str(base)), Contestant("again", str(base))]
    said = (Message("assistant", "river"),), (Message("assistant", "stone"),)
    pairs = HeldOutPairs("here", (Pair(PROMPT, *said, Provenance("here")),))

    def measure(models: list[Contestant], **more: Any) -> tuple[int, dict[str, Any], Any]:
        loaded.clear()
        measuring = of(models, file)
        drifted = measuring.drift(answers_of("again"), more.get("neutral", ()))
        accuracy = measuring.pair_accuracy(more.get("pairs", pairs))
        return len(loaded), drifted, accuracy

    first = measure(two)
    assert first[0] == 4
    assert measure(two) == (0, *first[1:])
    assert measure(two, neutral=["river stone"])[0] == 2  # drift alone
    assert measure(two, neutral=["river stone"])[0] == 0
    turned = HeldOutPairs("here", (Pair(PROMPT, *said[::-1], Provenance("here")),))
    assert measure(two, neutral=["river stone"], pairs=turned)[0] == 2  # pairs alone
    other = write_base(tmp_path / "other", seed=5)
    moved = [Contestant("base", str(base)), Contestant("again", str(other))]
    assert measure(moved, neutral=["river stone"], pairs=turned)[0] == 4
    file.write_text("{")
    assert measure(moved, neutral=["river stone"], pairs=turned)[0] == 4
    file.write_text(json.dumps({"drift": 3, "pair_accuracy": {"key": 1}}))
    assert measure(moved, neutral=["river stone"], pairs=turned)[0] == 4


def test_no_benchmarks_are_none() -> None:
    check_comparison_benchmarks(CompareOptions())
    assert of([]).benchmarks() is None


def test_a_harness_that_falls_short_leaves_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    def falls_short(*_: object, **__: object) -> None:
        raise WorkError("lm-evaluation-harness fell short", where="tuned", why="ValueError: no data")

    monkeypatch.setattr(without_judge, "run_benchmarks", falls_short)
    found = of([], benchmarks="a,b").benchmarks()
    assert found is not None
    assert found == {
        "tasks": [],
        "sentence": "The benchmarks are not measured: tuned: lm-evaluation-harness fell short: "
        "ValueError: no data.",
        "chat_template": False,
    }
    error = shortfall_of_comparison({"judge": None, "benchmarks": found})
    assert error is not None
    assert error.exit_code == 1
    assert "ValueError: no data" in str(error)
    assert shortfall_of_comparison({"judge": None, "benchmarks": None}) is None


def test_a_folder_without_the_task_is_found_out_before_any_model_is_loaded(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    options = CompareOptions(benchmarks="a, b", benchmark_tasks=str(tmp_path))
    assert options.benchmark_names == ["a", "b"]
    with pytest.raises(CallError, match="it has none of a, b"):
        check_comparison_benchmarks(options)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"neutral_text": "a.txt", "drift": False}, "neutral_text has no effect"),
        ({"benchmark_tasks": "tasks"}, "benchmark_tasks has no effect"),
        ({"benchmark_limit": 3}, "benchmark_limit has no effect"),
    ],
)
def test_idle_options_are_refused(options: dict[str, object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        CompareOptions(**options)
