"""docs/objectives.md says what is: its table agrees with the options, and its code runs."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pair_batches import PAIR_NAMES, random_pairs

from palate.objectives import objective_for
from palate.recipe import MPO, OBJECTIVES, parse_recipe

TEXT = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("` "): [cell.strip() for cell in cells[1:]]
    for line in TEXT.splitlines()
    if line.startswith("| `") and len(cells := line.strip("|").split("|")) == 6 and "`type`" not in cells[0]
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def shown(name: str, default: Any) -> str:
    if name == "terms":
        default = ", ".join(f"{term.weight} {term.objective.type}" for term in MPO().terms)
    return f"`{name}: {'null' if default is None else default}`"


def test_the_table_has_every_objective_on_pairs() -> None:
    assert list(ROWS) == PAIR_NAMES


def test_the_page_leads_to_all_others() -> None:
    assert [name for name in OBJECTIVES if f"`{name}`" not in TEXT] == []


@pytest.mark.parametrize("name", PAIR_NAMES)
def test_the_table_tells_the_truth(name: str) -> None:
    _, reference, margins, options, source = ROWS[name]
    objective = OBJECTIVES[name]()
    fields = {key: field.default for key, field in type(objective).model_fields.items() if key != "type"}
    assert options == (", ".join(shown(key, value) for key, value in fields.items()) or "none")
    assert reference == ("yes" if objective.needs_reference else "no")
    assert margins == ("yes" if objective.takes_margin else "no")
    for arxiv in re.findall(r"arXiv:[\d.]+\d", objective.paper):
        assert arxiv in source


@pytest.mark.parametrize("name", PAIR_NAMES)
def test_what_a_run_starts_at_is_so(name: str) -> None:
    """Where policy and reference agree, and no step has been."""
    section = TEXT.split("## What the metrics mean")[1]
    said = re.findall(rf"^\| [^|]*`{name}`[^|]* \| ([^|]+) \|$", section, re.MULTILINE)
    values = {
        "ln 2 = 0.6931, whatever their options": math.log(2),
        "2 ln 2 = 1.3863": 2 * math.log(2),
        "1": 1,
        "(1 + ln 2) / 2 = 0.8466": (1 + math.log(2)) / 2,
        "1 / (2 beta)², 25 at `beta: 0.1`": 25,
        "1 / (2 beta²), 50 at `beta: 0.1`": 50,
    }
    given = random_pairs(4, 0)
    agreeing = dataclasses.replace(
        given,
        chosen=given.reference_chosen,
        rejected=given.reference_rejected,
        target_margin=None,
        reward_shift=torch.tensor(0.0),
    )
    losses = objective_for(OBJECTIVES[name]())(agreeing)
    if said:
        assert losses.tolist() == pytest.approx([values[said[0]]] * 4)
    else:  # what depends on the completions, or on an option, has no one figure
        assert name in {"rpo", "exo", "simpo", "cpo", "orpo", "mpo", "sft"}


def test_its_recipes_load() -> None:
    assert blocks("yaml")
    for text in blocks("yaml"):
        parse_recipe(text)


def test_its_code_runs() -> None:
    assert blocks("python")
    for code in blocks("python"):
        exec(compile(code, "docs/objectives.md", "exec"), {})
