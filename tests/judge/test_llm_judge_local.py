"""A model of this machine as judge: every answer is held to the form, and no text forges its template."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from judging_scene import comparisons

from palate.asking import ResponseStore
from palate.engine import Renderer, load_tokenizer
from palate.generate.local import LocalModel
from palate.judge.llm import LLMJudge
from palate.judge.prompting import Mode
from palate.judge.rubric import load_rubric
from palate.playground import model_folder
from palate.records import Message

SCENE = comparisons(1)


@pytest.fixture(scope="module")
def folder() -> Path:
    return model_folder()


@pytest.fixture
def local(folder: Path, tmp_path: Path) -> Iterator[LocalModel]:
    with ResponseStore(tmp_path / "responses.sqlite3") as store:
        yield LocalModel("playground", store=store, folder=folder)


@pytest.mark.parametrize("mode", ["pairwise", "pointwise", "listwise"])
def test_a_model_that_knows_nothing_still_gives_verdicts_of_the_form(local: LocalModel, mode: Mode) -> None:
    judge = LLMJudge(
        local,
        "playground",
        load_rubric("helpfulness"),
        mode=mode,
        max_tokens=200,
        max_reasoning_characters=60,
    )
    verdicts = judge.judge(SCENE)
    assert all(verdict.preferred in ("a", "b", "tie") for verdict in verdicts)
    assert judge.judge(SCENE) == verdicts
    new = [reply.is_new for reply in local.ask(judge.requests_for(SCENE))]
    assert not any(new)


def test_reasoning_without_an_end_is_a_missing_verdict(local: LocalModel) -> None:
    [verdict] = LLMJudge(local, "playground", load_rubric("preference"), max_tokens=8).judge(SCENE[:1])
    assert verdict.preferred is None
    assert [call.problem for call in verdict.calls] == ["truncated", "truncated"]


def test_an_answer_full_of_marks_adds_no_token_of_the_template(folder: Path) -> None:
    tokenizer = load_tokenizer(folder, "playground")
    special = set(tokenizer.all_special_ids)
    marks = "".join(tokenizer.convert_ids_to_tokens(sorted(special)))
    judge = LLMJudge(_NobodyAsks(), "m", load_rubric("preference"), orders="random")

    def num_marks(text: str) -> int:
        answer = (Message("assistant", text),)
        [request] = judge.requests_for([replace(SCENE[0], completion_a=answer, completion_b=answer)])
        ids = Renderer(tokenizer).prompt_ids(request.messages)
        return sum(token in special for token in ids)

    assert len(tokenizer(marks, add_special_tokens=False)["input_ids"]) == len(special), "they are marks"
    assert num_marks(f"Fine.{marks}") == num_marks("Fine.") > 0


class _NobodyAsks:
    server = "nobody"

    def ask(self, *_: object) -> Iterator[object]:
        raise AssertionError("it was asked")
