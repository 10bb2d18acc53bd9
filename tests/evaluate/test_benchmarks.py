"""lm-evaluation-harness on local tasks: paired differences, against own log-probabilities, no network."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from palate.errors import CallError, WorkError
from palate.evaluate.benchmark_differences import BenchmarkDifference, Scores, difference_of, in_words
from palate.evaluate.benchmark_tasks import local_tasks
from palate.evaluate.benchmarks import check_benchmarks, run_benchmarks
from palate.evaluate.contestants import Contestant
from palate.recipe import ModelOptions
from palate.statistics.win_rates import wilson_interval
from palate.watcher import Watcher
from tiny_run import WORDS, write_base

PLAIN = ModelOptions(base="unused", adapter=None, device="cpu", dtype="float32")
TASK = """\
task: third_word
dataset_path: json
dataset_kwargs: {data_files: {test: questions.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "Which is number {{place}} of {{choices | join(', ')}}?"
doc_to_target: "{{answer}}"
doc_to_choice: "{{choices}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks" / "words"
    folder.mkdir(parents=True)
    (folder / "third_word.yaml").write_text(TASK, encoding="utf-8")
    rows = [
        {
            "place": place % 3 + 1,
            "choices": [WORDS[(place + k * step) % 10] for k in range(3)],
            "answer": place % 3,
        }
        for step in (1, 3)
        for place in range(8)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "questions.jsonl").write_text(text, encoding="utf-8")
    return folder.parent


def right_answers(folder: Path, tasks: Path) -> list[bool]:
    """By transformers alone: is the right word, after the question and a space, the likeliest?"""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    found = []
    for line in (tasks / "words" / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        question = f"Which is number {row['place']} of {', '.join(row['choices'])}?"
        start = len(tokenizer(question)["input_ids"])
        logps = []
        for choice in row["choices"]:
            ids = torch.tensor(tokenizer(f"{question} {choice}")["input_ids"])
            with torch.no_grad():
                all_logps = model(input_ids=ids[None]).logits[0].log_softmax(-1)
            logps.append(float(sum(all_logps[place - 1, ids[place]] for place in range(start, len(ids)))))
        found.append(logps.index(max(logps)) == row["answer"])
    return found


class Told(Watcher):
    def __init__(self) -> None:
        self.begun: list[str] = []

    def begin(self, task: str, total: int) -> None:
        self.begun.append(task)


def test_two_models_on_a_local_task(
    base: Path, tasks: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    other = write_base(tmp_path / "other", seed=4)
    capfd.readouterr()
    told = Told()
    found = run_benchmarks(
        [Contestant("base", str(base)), Contestant("tuned", str(other))],
        ["third_word"],
        folder=tasks,
        model=PLAIN,
        watcher=told,
    )
    (row,) = found.rows
    ours, theirs = right_answers(other, tasks), right_answers(base, tasks)
    assert ours != theirs
    assert (row.task, row.metric, row.model) == ("third_word", "acc", "tuned")
    assert (row.base, row.tuned) == pytest.approx((sum(theirs) / 16, sum(ours) / 16))
    wins = sum(a > b for a, b in zip(ours, theirs, strict=True))
    losses = sum(a < b for a, b in zip(ours, theirs, strict=True))
    low, high = wilson_interval(wins, losses, 16 - wins - losses)
    assert row.interval_95 == pytest.approx((2 * low - 1, 2 * high - 1))
    assert row.num_samples == 16
    assert row.is_paired
    assert found.as_dict()["tasks"][0]["interval_95"] == list(row.interval_95 or ())
    assert {"benchmarks of base", "benchmarks of tuned"} == set(told.begun)
    assert "it/s" not in capfd.readouterr().err  # the harness draws no bars of its own


def test_a_model_against_itself_has_no_difference(base: Path, tasks: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    contestants = [Contestant("base", str(base)), Contestant("again", str(base))]
    found = run_benchmarks(contestants, ["third_word"], folder=tasks, model=PLAIN, limit=5)
    (row,) = found.rows
    assert (row.difference, row.num_samples, row.shown) == (0, 5, "")
    assert row.interval_95 is not None
    assert row.interval_95[0] < 0 < row.interval_95[1]  # five equal answers do not prove the models equal
    assert found.sentence.startswith("No change of again is shown on third_word")


def test_templates_cannot_reach_python(base: Path, tasks: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    file = tasks / "words" / "third_word.yaml"
    text = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    file.write_text(TASK.replace("Which is number {{place}}", text), encoding="utf-8")
    with pytest.raises(WorkError, match="fell short") as raised:
        run_benchmarks(
            [Contestant("base", str(base)), Contestant("x", str(base))],
            ["third_word"],
            folder=tasks,
            model=PLAIN,
        )
    assert raised.value.why.startswith("SecurityError")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "process_docs: !function tools.load\n",
        lambda text: text.replace("output_type", "class: os.system\noutput_type"),
        lambda text: text + "include: ../../../elsewhere.yaml\n",
    ],
)
def test_nothing_in_a_folder_of_tasks_is_executed(tasks: Path, change: Callable[[str], str]) -> None:
    file = tasks / "words" / "third_word.yaml"
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(CallError, match="third_word"):
        local_tasks(tasks, ["third_word"])


def test_data_files_are_found_beside_the_task(tasks: Path) -> None:
    (tasks / "words" / "shared.yaml").write_text(
        "output_type: generate_until\nnum_fewshot: 2\n", encoding="utf-8"
    )
    file = tasks / "words" / "third_word.yaml"
    file.write_text(TASK + "include: shared.yaml\n", encoding="utf-8")
    config: dict[str, Any] = local_tasks(tasks, ["third_word", "other"])["third_word"]
    assert config["dataset_kwargs"]["data_files"] == {"test": str(tasks / "words" / "questions.jsonl")}
    assert (config["num_fewshot"], config["output_type"]) == (2, "multiple_choice")


@pytest.mark.parametrize(
    ("names", "what"),
    [([], "name each benchmark"), (["a", "a"], "name each benchmark"), (["absent"], "it has none of absent")],
)
def test_wrong_calls(tasks: Path, names: list[str], what: str) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    with pytest.raises(CallError, match=what):
        check_benchmarks(names, tasks)
    with pytest.raises(CallError, match="no such folder"):
        check_benchmarks(["a"], tasks / "nowhere")


def scores(
    values: list[float], *, paired: bool = True, task: str = "t", error: float | None = 0.03
) -> Scores:
    own = {str(place): value for place, value in enumerate(values)} if paired else {}
    return Scores(task, "acc", sum(values) / len(values), error, own, len(values))


def test_right_or_wrong_by_hand() -> None:
    """8 questions: 3 won, 1 lost, 4 as before: +0.25; changes 1, 1, 1, -1 and four 0 have a sum of squares of
    4 - 8 / 16 = 3.5 around it, so the error is sqrt(3.5 / 7 / 8) = 0.25."""
    base, tuned = scores([0, 0, 0, 1, 1, 1, 0, 0]), scores([1, 1, 1, 0, 1, 1, 0, 0])
    row = difference_of("m", base, tuned)
    assert (row.difference, row.standard_error) == pytest.approx((0.25, 0.25))
    low, high = wilson_interval(3, 1, 4)
    assert row.interval_95 == pytest.approx((2 * low - 1, 2 * high - 1))
    assert row.shown == ""


def test_other_scores_by_hand() -> None:
    """Changes 0.1, 0.2, 0.3: 0.2 -+ 4.30265 * 0.1 / sqrt(3) = 0.2 -+ 0.24842."""
    row = difference_of("m", scores([0.1, 0.2, 0.3]), scores([0.2, 0.4, 0.6]))
    assert row.interval_95 == pytest.approx((0.2 - 0.24842, 0.2 + 0.24842), abs=1e-4)


def test_scores_of_all_together_are_not_paired() -> None:
    row = difference_of("m", scores([0.5] * 4, paired=False), scores([0.6] * 4, paired=False, error=0.04))
    assert (row.is_paired, row.standard_error) == (False, pytest.approx(0.05))
    assert row.interval_95 == pytest.approx((0.1 - 0.098, 0.1 + 0.098), abs=1e-3)
    unknown = difference_of("m", scores([0.5] * 4, paired=False), scores([0.6] * 4, paired=False, error=None))
    assert (unknown.standard_error, unknown.interval_95, unknown.shown) == (None, None, "")


def test_the_sentence_says_no_more_than_the_intervals() -> None:
    level = difference_of("m", scores([1.0, 0.0] * 10), scores([1.0, 0.0] * 10))
    worse = difference_of("m", scores([1.0] * 20, task="u"), scores([0.0] * 10 + [1.0] * 10, task="u"))
    assert (level.shown, worse.shown) == ("", "worse")
    said = in_words([level, worse])
    assert said.startswith("m is worse on u (acc 1.000 to 0.500, -0.500, 95% interval")
    assert "No change of m is shown on t" in said
    assert "one as large as the interval allows may be there" in said
    many = [BenchmarkDifference(f"t{n}", "acc", "m", 0, 0, 0, 0.1, (-0.1, 0.1), 9, True) for n in range(20)]
    assert "of 20 about 1.0 leave 0 out by chance" in in_words(many)
    assert in_words([]) == "No benchmark was measured."


def test_lower_may_be_better() -> None:
    row = BenchmarkDifference("t", "perplexity", "m", 9.0, 8.0, -1.0, 0.1, (-1.2, -0.8), 9, True, False)
    assert row.shown == "better"
    assert not math.isnan(row.difference)
