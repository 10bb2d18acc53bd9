"""docs/diagnose.md shows only what runs, and says of each rule what the rule says of itself."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest
from told_evidence import PAGE, evidence_by_case

from palate.evaluate.diagnosis import RULES


def test_its_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    exec(compile(code, "docs/diagnose.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "gradient_spikes 25 30"
    assert said[-1] == "train.max_grad_norm"


def test_its_table_is_the_registry() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (.+) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == [(rule.name, rule.meaning, rule.remedy, rule.reason) for rule in RULES.values()]


def test_every_figure_of_a_sentence_stands_in_the_evidence_that_the_page_names() -> None:
    named = evidence_by_case()
    assert list(named) == [(rule.name, case) for rule in RULES.values() for case in rule.sentences]
    for (rule, case), names in named.items():
        fields = {field for _, field, _, _ in Formatter().parse(RULES[rule].sentences[case]) if field}
        assert fields and fields <= set(names), (rule, case)


@pytest.mark.parametrize("rule", RULES)
def test_a_remedy_names_an_option_or_a_command_that_there_is(rule: str) -> None:
    """Options stand in the recipe's reference; commands in the README."""
    root = Path(__file__).parents[3]
    options = (root / "docs" / "recipe.md").read_text(encoding="utf-8")
    readme = (root / "README.md").read_text(encoding="utf-8")
    named = re.findall(
        r"\b(?:train|data|model|objective|reference)\.[a-z_]+(?:\.[a-z_]+)*", RULES[rule].remedy
    )
    commands = re.findall(r"palate [a-z]+(?: [a-z]+)?", RULES[rule].remedy)
    assert named or commands
    for name in named:
        assert f"| `{name}" in options or name in ("data.eval", "data.train", "objective.type"), name
    for command in commands:
        assert f"| `{command}" in readme or f"| `{command.rpartition(' ')[0]}" in readme, command
