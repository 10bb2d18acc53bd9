"""docs/objectives.md says what is: its table agrees with the options, and its code runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from palate.recipe import OBJECTIVES, parse_recipe

TEXT = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("` "): [cell.strip() for cell in cells[1:]]
    for line in TEXT.splitlines()
    if line.startswith("| `") and not line.startswith("| `type`") and (cells := line.strip("|").split("|"))
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def test_the_table_has_every_objective() -> None:
    assert list(ROWS) == list(OBJECTIVES)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_table_tells_the_truth(name: str) -> None:
    learns_from, reference, options, source = ROWS[name]
    objective = OBJECTIVES[name]
    defaults = {key: field.default for key, field in objective.model_fields.items() if key != "type"}
    assert options == (", ".join(f"`{key}: {value}`" for key, value in defaults.items()) or "none")
    assert reference == ("yes" if objective.needs_reference else "no")
    assert ("rejected" in learns_from) == objective.needs_rejected
    for arxiv in re.findall(r"arXiv:[\d.]+\d", objective.paper):
        assert arxiv in source


def test_its_recipes_load() -> None:
    assert blocks("yaml")
    for text in blocks("yaml"):
        parse_recipe(text)


def test_its_code_runs() -> None:
    assert blocks("python")
    for code in blocks("python"):
        exec(compile(code, "docs/objectives.md", "exec"), {})
