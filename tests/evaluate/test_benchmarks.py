"""lm-evaluation-harness on local tasks: paired differences, against own log-probabilities, no network."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from palate.errors import CallError, WorkError
from palate.evaluate.benchmarks.differences import (
    BenchmarkDifference,
    Scores,
    difference_of,
    difference_of_group,
)
from palate.evaluate.benchmarks.run import check_benchmarks, run_benchmarks
from palate.evaluate.benchmarks.tasks import local_tasks
from palate.evaluate.benchmarks.wording import in_words
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
    [
        ([], "name each benchmark"),
        (["a", "a"], "name each benchmark"),
        (["absent"], "it has none of absent"),
        pytest.param(
            ["third_word", "arc_esy"], 'Did you mean "arc_easy"', marks=pytest.mark.thorough, id="own"
        ),
    ],
)
def test_wrong_calls(tasks: Path, names: list[str], what: str) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    with pytest.raises(CallError, match=what):
        check_benchmarks(names, tasks)
    with pytest.raises(CallError, match="no such folder"):
        check_benchmarks(["a"], tasks / "nowhere")


def scores(values: list[float], *, task: str = "t") -> Scores:
    own = {str(place): value for place, value in enumerate(values)}
    return Scores(task, "acc", sum(values) / len(values), own)


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
    """Changes 0.1, 0.2, 0.3: residuals -0.1, 0, 0.1, each by 2/3 of the weight (the jackknife), a third of
    that: an error of sqrt(2) * 0.05, times 4.30265 is 0.30424. They are not skewed."""
    row = difference_of("m", scores([0.1, 0.2, 0.3]), scores([0.2, 0.4, 0.6]))
    assert row.interval_95 == pytest.approx((0.2 - 0.30424, 0.2 + 0.30424), abs=1e-4)


def perplexity(losses: Sequence[float]) -> float:
    return math.exp(sum(losses) / len(losses))


def of_losses(losses: list[float]) -> Scores:
    own = {str(place): loss for place, loss in enumerate(losses)}
    return Scores("t", "perplexity", perplexity(losses), own, perplexity, is_higher_better=False)


def test_a_metric_of_all_questions_is_in_its_own_unit_and_paired() -> None:
    """Losses 0..3 of 200 questions, and the same less 0.1: the perplexities are a constant e^-0.1 apart, and
    the error is that of the baseline's perplexity times 1 - e^-0.1 (delta method: sd / sqrt(n) times it)."""
    losses = [3 * place / 199 for place in range(200)]
    base, tuned = of_losses(losses), of_losses([loss - 0.1 for loss in losses])
    row = difference_of("m", base, tuned)
    assert row.difference == pytest.approx(perplexity(losses) * (math.exp(-0.1) - 1))
    # The delta method's.
    by_hand = float(np.std(losses, ddof=1)) / math.sqrt(200) * abs(row.difference)
    assert row.standard_error == pytest.approx(by_hand, rel=0.02)
    assert row.interval_95 is not None
    assert row.interval_95[0] < row.difference < row.interval_95[1] < 0
    assert row.shown == "better"
    assert difference_of("m", base, tuned) == row


def test_where_nothing_varies_there_is_no_interval() -> None:
    """BLEU 0 of all answers of both, or the same gain everywhere: no width can be told from that."""
    same = difference_of("m", of_losses([1.0] * 9), of_losses([1.0] * 9))
    gain = difference_of("m", scores([0.25] * 4), scores([0.5] * 4))
    assert (same.interval_95, gain.interval_95, gain.shown) == (None, None, "")
    assert "+0.250, no interval)" in in_words([gain])


def test_a_group_weighs_its_tasks_as_the_harness_does() -> None:
    """30 questions at +1/3 and 10 at -0.2: by size (10 - 2) / 40 = 0.2, task by task (1/3 - 0.2) / 2."""
    first = difference_of("m", scores([0, 0, 1] * 10, task="a"), scores([1, 0, 1] * 10, task="a"))
    second = difference_of("m", scores([1] * 10, task="b"), scores([1] * 8 + [0, 0], task="b"))
    errors = (first.standard_error or 0, second.standard_error or 0)
    by_size = difference_of_group(
        "m", Scores("g", "acc", 20 / 40, {}), Scores("g", "acc", 28 / 40, {}), [first, second]
    )
    assert by_size.difference == pytest.approx(0.2)
    assert by_size.standard_error == pytest.approx(math.hypot(0.75 * errors[0], 0.25 * errors[1]))
    assert by_size.num_samples == 40
    alike = difference_of_group(
        "m",
        Scores("g", "acc", (1 / 3 + 1) / 2, {}),
        Scores("g", "acc", (2 / 3 + 0.8) / 2, {}),
        [first, second],
    )
    assert alike.standard_error == pytest.approx(math.hypot(errors[0], errors[1]) / 2)
    other = difference_of_group(
        "m", Scores("g", "acc", 0.9, {}), Scores("g", "acc", 0.9, {}), [first, second]
    )
    assert (other.standard_error, other.interval_95) == (None, None)


def test_the_sentence_says_no_more_than_the_intervals() -> None:
    level = difference_of("m", scores([1.0, 0.0] * 10), scores([1.0, 0.0] * 10))
    worse = difference_of("m", scores([1.0] * 20, task="u"), scores([0.0] * 10 + [1.0] * 10, task="u"))
    assert (level.shown, worse.shown) == ("", "worse")
    said = in_words([level, worse])
    assert said.startswith("m is worse on u (acc 1.000 to 0.500, -0.500, 95% interval")
    assert "No change of m is shown on t" in said
    assert "one as large as the interval allows may be there" in said
    many = [BenchmarkDifference(f"t{n}", "acc", "m", 0, 0, 0, 0.1, (-0.1, 0.1), 9) for n in range(20)]
    assert "of 20 about 1.0 leave 0 out by chance" in in_words(many)
    assert in_words([]) == "No benchmark was measured."


def test_lower_may_be_better() -> None:
    row = BenchmarkDifference("t", "perplexity", "m", 9.0, 8.0, -1.0, 0.1, (-1.2, -0.8), 9, False)
    assert row.shown == "better"
    assert not math.isnan(row.difference)


GROUP = """\
group: both
task: [third_word, second]
aggregate_metric_list:
  - {metric: acc, weight_by_size: true}
"""
GENERATED = """\
task: said
dataset_path: json
dataset_kwargs: {data_files: {test: questions.jsonl}}
test_split: test
num_fewshot: 1
fewshot_split: test
output_type: generate_until
doc_to_text: "Which is number {{place}} of {{choices | join(', ')}}?"
doc_to_target: "{{choices[answer]}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 4, do_sample: false}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
LIKELY = """\
task: likely
dataset_path: json
dataset_kwargs: {data_files: {test: questions.jsonl}}
test_split: test
output_type: loglikelihood
doc_to_text: "Which is number {{place}} of {{choices | join(', ')}}?"
doc_to_target: " {{choices[answer]}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
"""


def two(base: Path, other: Path) -> list[Contestant]:
    return [Contestant("base", str(base)), Contestant("tuned", str(other))]


def test_perplexity_of_answers_is_no_log_likelihood(base: Path, tasks: Path, tmp_path: Path) -> None:
    """The harness gives log-likelihoods by question and their exp(-mean) as the metric."""
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    (tasks / "words" / "likely.yaml").write_text(LIKELY, encoding="utf-8")
    other = write_base(tmp_path / "other", seed=4)
    (row,) = run_benchmarks(two(base, other), ["likely"], folder=tasks, model=PLAIN).rows
    assert row.base == pytest.approx(math.exp(-fmean(right_logps(base, tasks))), rel=1e-4)
    assert row.tuned == pytest.approx(math.exp(-fmean(right_logps(other, tasks))), rel=1e-4)
    assert row.interval_95 is not None
    assert row.interval_95[0] < row.difference == row.tuned - row.base < row.interval_95[1]


def right_logps(folder: Path, tasks: Path) -> list[float]:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    found = []
    for line in (tasks / "words" / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        question = f"Which is number {row['place']} of {', '.join(row['choices'])}?"
        ids = torch.tensor(tokenizer(f"{question} {row['choices'][row['answer']]}")["input_ids"])
        with torch.no_grad():
            logps = model(input_ids=ids[None]).logits[0].log_softmax(-1)
        start = len(tokenizer(question)["input_ids"])
        found.append(float(sum(logps[place - 1, ids[place]] for place in range(start, len(ids)))))
    return found


def test_a_group_of_local_tasks(base: Path, tasks: Path, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    (tasks / "both.yaml").write_text(GROUP, encoding="utf-8")
    (tasks / "words" / "second.yaml").write_text(TASK.replace("third_word", "second"), encoding="utf-8")
    other = write_base(tmp_path / "other", seed=4)
    found = run_benchmarks(two(base, other), ["both"], folder=tasks, model=PLAIN)
    assert [(row.task, row.group, row.num_samples) for row in found.rows] == [
        ("both", None, 32),
        ("third_word", "both", 16),
        ("second", "both", 16),
    ]
    group, task, _ = found.rows
    assert group.difference == pytest.approx(task.difference)
    assert group.standard_error == pytest.approx((task.standard_error or 0) / math.sqrt(2))
    assert "both" in found.sentence
    assert "third_word" not in found.sentence


def test_asked_in_the_chat_template(
    base: Path, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the models read is what the template makes of example, its answer and the question, as turns."""
    huggingface = pytest.importorskip("lm_eval.models.huggingface", reason="lm-evaluation-harness is missing")
    (tasks / "words" / "said.yaml").write_text(GENERATED, encoding="utf-8")
    read: list[str] = []
    generate = huggingface.HFLM.generate_until

    def listen(self: Any, requests: list[Any], *rest: Any, **more: Any) -> Any:
        read.extend(request.args[0] for request in requests)
        return generate(self, requests, *rest, **more)

    monkeypatch.setattr(huggingface.HFLM, "generate_until", listen)
    contestants = [Contestant("base", str(base)), Contestant("tuned", str(base), template="alpaca")]
    asked = {"folder": tasks, "model": PLAIN, "limit": 2}
    found = run_benchmarks(contestants, ["said"], chat_template=True, **asked)
    assert found.as_dict()["chat_template"] is True
    assert "in their chat templates" in found.sentence
    own, alpaca = read[0], read[2]
    tokenizer = AutoTokenizer.from_pretrained(base)
    first, second = own.split("Which is")[1:]
    example, answer = first.split("?")[0], alpaca.split("### Response:\n")[1].split("\n")[0]
    turns = [
        {"role": "user", "content": f"Which is{example}?"},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": f"Which is{second.split('?')[0]}?"},
    ]
    assert own == tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert alpaca.count("### Instruction:") == 2
    assert alpaca.endswith("### Response:\n")
    read.clear()
    plain = run_benchmarks(contestants, ["said"], **asked)
    assert read[0] == read[2]
    assert "###" not in read[0]
    assert "chat template" not in plain.sentence


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("questions.jsonl", "nowhere.jsonl"), "nowhere.jsonl"),
        (("output_type: multiple_choice", "output_type: multiple_choise"), "multiple_choise"),
        (("{{place}}", "{{plaice}}"), "plaice"),
        (("{metric: acc,", "{metric: accurracy,"), "code of any other would be fetched"),
    ],
)
def test_what_a_task_lacks_is_said(base: Path, tasks: Path, change: tuple[str, str], why: str) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    (tasks / "words" / "third_word.yaml").write_text(TASK.replace(*change), encoding="utf-8")
    with pytest.raises(WorkError) as raised:
        run_benchmarks(two(base, base), ["third_word"], folder=tasks, model=PLAIN)
    assert why in str(raised.value)


def test_data_that_cannot_be_read_are_said(base: Path, tasks: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    (tasks / "words" / "questions.jsonl").write_text('{"place": 1}\nnot json\n', encoding="utf-8")
    with pytest.raises(WorkError, match="fell short") as raised:
        run_benchmarks(two(base, base), ["third_word"], folder=tasks, model=PLAIN)
    assert "JSON" in (raised.value.why or "")


@pytest.mark.thorough
def test_a_task_that_needs_a_network_says_what_to_do(base: Path, tmp_path: Path) -> None:
    """In a process of its own: whether there is a network is read once."""
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    script = (
        "from palate.evaluate.benchmarks.run import run_benchmarks\n"
        "from palate.evaluate.contestants import Contestant\n"
        "from palate.recipe import ModelOptions\n"
        "from palate.errors import WorkError\n"
        f"both = [Contestant(name, {str(base)!r}) for name in 'ab']\n"
        "options = ModelOptions(base='unused', adapter=None, device='cpu', dtype='float32')\n"
        "try:\n    run_benchmarks(both, ['arc_easy'], model=options)\n"
        "except WorkError as error:\n    print(error.why)\n"
    )
    places = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_DATASETS_CACHE": str(tmp_path / "d")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | places, capture_output=True, text=True, check=True
    )
    assert "run once with a network, or keep task and data in --benchmark-tasks" in done.stdout
    assert "git" not in done.stderr


@pytest.mark.parametrize(
    ("group", "what"),
    [
        ("group: both\ntask: [both, third_word]\n", "lists the names"),
        ("group: both\ntask: third_word\n", "lists the names"),
        ("group: both\ntask: [third_word, absent]\n", '"absent" is not in this folder'),
    ],
)
def test_a_group_that_cannot_be_had(tasks: Path, group: str, what: str) -> None:
    (tasks / "both.yaml").write_text(group, encoding="utf-8")
    with pytest.raises(CallError, match=what):
        local_tasks(tasks, ["both"])
