"""docs/recipe.md, written from where the options are declared.

    python tests/contract/recipe_reference.py

writes it; tests/contract/test_documentation.py fails while it is not current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from palate.recipe import OBJECTIVES, Recipe

PAGE = Path(__file__).parents[2] / "docs" / "recipe.md"

INTRODUCTION = """\
# Recipes

A recipe is a YAML file, and one recipe is one run. Only `output` has to be there; whatever else is left out
takes the default below. The run folder keeps the recipe with every default written out.

```yaml
output: runs/mine
model:
  base: Qwen/Qwen2.5-0.5B-Instruct
data:
  train:
    source: my-pairs.jsonl
train:
  epochs: 3
```

Every option can also be given on the command line, by its path: `palate run recipe.yaml train.epochs=1
model.adapter.rank=8`. `model.adapter=null` or `compare=null` switches off what may be absent. A name that
does not exist, a value out of bounds, and an option that would have no effect are errors, said before
anything runs.

This page is made from the declarations in `src/palate/recipe` and tested to be current.
"""


def render() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_section(Recipe, ""), *_objectives()]) + "\n"


def options(section: type[BaseModel] = Recipe, path: str = "") -> Iterator[str]:
    """Every option by its dotted path."""
    for name, field in section.model_fields.items():
        yield f"{path}{name}"
        if path.startswith("objective.") and name == "objective":
            continue  # a mixture's terms have the options of the objectives that they are
        for below in _sections_in(field.annotation):
            yield from options(below, f"{path}{name}.")


def _section(section: type[BaseModel], path: str) -> Iterator[str]:
    below: list[tuple[str, type[BaseModel]]] = []
    rows = []
    for name, field in section.model_fields.items():
        sections = list(_sections_in(field.annotation))
        if name != "objective":  # those have a part of their own
            below += [(f"{path}{name}", inner) for inner in sections]
        rows.append(_row(f"{path}{name}", field, is_section=bool(sections)))
    variant = section.model_fields["type"].annotation if path == "model.adapter." else None
    named = f"{path}type: {get_args(variant)[0]}" if variant else path.rstrip(".")
    title = f"## `{named}`" if path else "## The recipe"
    yield from (title, "", " ".join((section.__doc__ or "").split()), "", *_table(rows))
    for name, inner in below:
        yield from _section(inner, f"{name}.")


def _objectives() -> Iterator[str]:
    yield from (
        "## `objective`",
        "",
        "`objective.type` names one of these; each has options of its own. What they compute stands in",
        "[objectives.md](objectives.md).",
        "",
    )
    for name, section in OBJECTIVES.items():
        yield from (f"### `objective.type: {name}`", "", " ".join((section.__doc__ or "").split()), "")
        rows = []
        for option, field in section.model_fields.items():
            if option != "type":
                rows.append(_row(f"objective.{option}", field, is_section=False))
            for below in _sections_in(field.annotation):
                rows += [
                    _row(f"objective.{option}.{inner}", inner_field, is_section=False)
                    for inner, inner_field in below.model_fields.items()
                ]
        yield from _table(rows) if rows else ("It has no options.", "")


def _table(rows: list[str]) -> list[str]:
    return ["| option | default | what it says |", "|---|---|---|", *rows, ""]


def _row(path: str, field: FieldInfo, *, is_section: bool) -> str:
    said = " ".join((field.description or "").split())
    wanted = _wanted(field)
    told = f"{said} {wanted}".strip().replace("|", "\\|")
    return f"| `{path}` | {'' if is_section else _default(field)} | {told} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value: Any = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if value == {}:
        return "`{}`"
    return f"`{value}`" if not isinstance(value, bool) else f"`{str(value).lower()}`"


def _wanted(field: FieldInfo) -> str:
    """The values or bounds, where there are some."""
    choices = [c for part in _parts(field.annotation) if get_origin(part) is Literal for c in get_args(part)]
    if len(choices) > 1:
        return f"One of {', '.join(f'`{choice}`' for choice in choices)}."
    return ""


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    if get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _parts(part)


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield part


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
