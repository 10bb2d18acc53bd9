"""docs/models.md shows only what runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tiny_folder import save_tiny

from palate.recipe import ModelOptions, TrainOptions, parse_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_its_code_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tiny(tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    assert len(blocks("python")) == 3
    exec(compile("\n".join(blocks("python")), "docs/models.md", "exec"), {})


@pytest.mark.parametrize("text", blocks("yaml"))
def test_its_recipes_are_recipes(text: str) -> None:
    assert parse_recipe(text).model.base == "my-model"


def test_each_line_of_the_first_table_is_an_option() -> None:
    said = re.findall(r"^\| .* \| `(\S+): (.*)` \|$", PAGE, re.MULTILINE)
    assert len(said) == 5
    for option, value in said:
        parse_recipe("output: x", [f"{option}={value}"])


def test_every_optimizer_and_quantisation_stands_on_it() -> None:
    from typing import get_args

    optimizers = get_args(TrainOptions.model_fields["optimizer"].annotation)
    assert [name for name in optimizers if f"`{name}`" not in PAGE] == []
    assert ModelOptions.model_fields["quantization"].default is None
