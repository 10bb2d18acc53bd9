"""docs/objectives_labels_rankings_rewards.md and docs/third_party_objectives.md say what is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import pytest

from palate.recipe import OBJECTIVES, Objective, parse_recipe

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "objectives_labels_rankings_rewards.md").read_text(encoding="utf-8")
THIRD_PARTY = (ROOT / "docs" / "third_party_objectives.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "tests" / "fixtures" / "palate_hinge_squared"
NAMES = [name for name, kind in OBJECTIVES.items() if (kind.data, kind.reads) != ("pairs", "logps")]
ROWS = {
    cells[0].strip("` "): [cell.strip() for cell in cells[1:]]
    for line in TEXT.splitlines()
    if line.startswith("| `") and not line.startswith("| `type`") and (cells := line.strip("|").split("|"))
}


def test_the_table_has_every_one() -> None:
    assert list(ROWS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_its_row_tells_the_truth(name: str) -> None:
    learns_from, reference, options, source = ROWS[name]
    kind = OBJECTIVES[name]
    defaults = {key: field.default for key, field in kind.model_fields.items() if key != "type"}
    assert options == ", ".join(f"`{key}: {value}`" for key, value in defaults.items())
    assert reference == ("yes" if kind.needs_reference else "no")
    assert learns_from == kind.data
    for arxiv in re.findall(r"arXiv:[\d.]+\d", kind.paper):
        assert arxiv in source


def test_its_recipes_load() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert blocks
    for text in blocks:
        parse_recipe(text)


def test_its_examples_compute() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert blocks
    for code in blocks:
        exec(compile(code, "docs/objectives_labels_rankings_rewards.md", "exec"), {})


def test_the_package_shown_is_the_one_the_tests_install() -> None:
    shown = dict(re.findall(r"^```(?:python|toml) (\S+)\n(.*?)^```", THIRD_PARTY, re.DOTALL | re.MULTILINE))
    assert set(shown) == {
        "palate_hinge_squared/__init__.py",
        "palate_hinge_squared/loss.py",
        "pyproject.toml",
    }
    for path, text in shown.items():
        assert text == PACKAGE.joinpath(path).read_text(encoding="utf-8"), path


def test_the_page_names_all_metadata() -> None:
    stated = [name for name, kind in Objective.__annotations__.items() if ClassVar.__name__ in str(kind)]
    assert len(stated) > 9
    for name in stated:
        assert re.search(rf"^\| .*`{name}`.* \|", THIRD_PARTY, re.MULTILINE), name
