"""docs/judge.md shows only what runs, and names every option, figure and canary."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from judging_scene import answer
from judging_server import judging_server

from options_typed import options_not_on, options_of
from palate.cli import main
from palate.data import write_records
from palate.data.verdicts import VERDICT_COLUMNS
from palate.judge import BUILT_IN_RUBRICS, BUILT_IN_SCORERS, JudgeSpec
from palate.judge.canary_questions import CANARIES
from palate.judge.rubric import parse_rubric
from palate.records import Message, Pair, Provenance

PAGE = (Path(__file__).parents[2] / "docs" / "judge.md").read_text(encoding="utf-8")


def a_pair(number: int) -> Pair:
    topic = f"lantern-{number}"
    chosen, rejected = answer(topic, 8, number % 5), answer(topic, 3, (number + 2) % 5)
    return Pair(
        (Message("user", f"Tell me about {topic}."),),
        (Message("assistant", chosen),),
        (Message("assistant", rejected),),
        Provenance("scene", number + 1),
    )


def test_its_code_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    write_records([a_pair(number) for number in range(12)], Path("pairs.jsonl"))
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert [language for language, _ in blocks] == ["sh", "sh", "sh", "python", "sh", "python", "python"]
    with judging_server(tmp_path / "log.jsonl") as server:
        for language, code in blocks:
            said = code.replace("http://localhost:8000/v1", server.base_url).replace("judge-model", "honest")
            if language == "python":
                exec(compile(said, "docs/judge.md", "exec"), {})
                continue
            command, *words = shlex.split(said)
            assert command == "palate"
            try:
                main(words)
            except SystemExit as ended:
                assert not ended.code, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "kappa 1.00" in out
    assert Path("judged-pairs.jsonl").read_text().count("\n") == 12


def test_it_names_every_option() -> None:
    assert len(options_of("judge")) > 30
    assert options_not_on(PAGE, "judge") == []
    assert [name for name in JudgeSpec.model_fields if f"`{name}`" not in PAGE] == []


def test_it_names_what_is_built_in_and_what_is_written() -> None:
    for name in (*BUILT_IN_RUBRICS, *BUILT_IN_SCORERS, *CANARIES, *VERDICT_COLUMNS):
        assert f"`{name}`" in PAGE, name


def test_its_rubric_is_one() -> None:
    (text,) = [
        block for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.S | re.M) if "criteria" in block
    ]
    assert parse_rubric(text).scale.max == 5
