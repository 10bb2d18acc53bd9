"""Drift and benchmarks as a comparison asks for them: a shortfall of theirs does not lose the comparison."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from palate.engine import load_policy, load_trained
from palate.errors import CallError, WorkError
from palate.evaluate import unchanged
from palate.evaluate.contestants import Contestant
from palate.evaluate.unchanged import check_comparison_benchmarks, measured_benchmarks, measured_drift
from palate.pipeline.comparing import shortfall_of_comparison
from palate.recipe import CompareOptions, ModelOptions
from palate.records import Answer, Message
from palate.watcher import Watcher

PLAIN = ModelOptions(base="unused", adapter=None, device="cpu", dtype="float32")
PROMPT = (Message("user", "Say river"),)


def answers_of(name: str) -> dict[str, list[list[Answer]]]:
    return {name: [[Answer(PROMPT, "river stone", name, True)]]}


def test_drift_is_measured_unless_it_is_declined(base: Path) -> None:
    two = [Contestant("base", str(base)), Contestant("again", str(base))]
    found = measured_drift(answers_of("again"), two, (), CompareOptions(), PLAIN, Watcher())
    assert found.own_answers["again"].kl_per_token == 0
    declined = measured_drift(answers_of("again"), two, (), CompareOptions(drift=False), PLAIN, Watcher())
    assert declined.as_dict() == {"drift": {}, "perplexity": {}}
    assert declined.warnings == ()


def test_a_model_that_is_gone_is_a_warning(base: Path, tmp_path: Path) -> None:
    two = [Contestant("base", str(base)), Contestant("gone", str(tmp_path / "gone"))]
    found = measured_drift(answers_of("gone"), two, (), CompareOptions(), PLAIN, Watcher())
    assert found.own_answers == {}
    assert "Drift is not measured" in found.warnings[0]
    assert "gone" in found.warnings[0]


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
    found = measured_drift(answers, three, ["river stone"], CompareOptions(), PLAIN, Watcher())
    assert found.own_answers["lora"].kl_per_token > 1e-4
    ours, theirs = (found.own_answers[name].kl_per_token for name in ("lora", "one"))
    assert ours == pytest.approx(theirs, rel=1e-3)
    assert found.perplexity["lora"].value == pytest.approx(found.perplexity["one"].value, rel=1e-4)


def test_no_benchmarks_are_none() -> None:
    check_comparison_benchmarks(CompareOptions())
    assert measured_benchmarks([], CompareOptions(), PLAIN, 0, Watcher()) is None


def test_a_harness_that_falls_short_leaves_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    def falls_short(*_: object, **__: object) -> None:
        raise WorkError("lm-evaluation-harness fell short", where="tuned", why="ValueError: no data")

    monkeypatch.setattr(unchanged, "run_benchmarks", falls_short)
    found = measured_benchmarks([], CompareOptions(benchmarks="a,b"), PLAIN, 0, Watcher())
    assert found == {
        "tasks": [],
        "sentence": "The benchmarks are not measured: tuned: lm-evaluation-harness fell short: "
        "ValueError: no data.",
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
