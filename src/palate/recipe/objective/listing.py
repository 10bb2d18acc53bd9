"""What there is to choose from: every objective, as data for a table, a machine or a page."""

from __future__ import annotations

import ast
import inspect
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from palate.errors import RecipeError, did_you_mean
from palate.recipe.objective.base import Objective
from palate.recipe.objective.registry import OBJECTIVES, refused_objectives

__all__ = ["describe_objective", "list_objectives"]


def list_objectives() -> list[dict[str, Any]]:
    """Every objective, Palate's own first; each with these keys.

    `name`; `data`: pairs, labels, rankings or groups; `reads`: logps or scores; `needs_reference` and
    `takes_margin`: true or false for the default options, null where options without a default decide;
    `defaults`: of each option that has one; `paper`.
    """
    return [_summary(name, kind) for name, kind in OBJECTIVES.items()]


def describe_objective(name: str) -> dict[str, Any]:
    """One objective: the keys of `list_objectives`, and `summary`, `options` and `computes`.

    `summary` is a sentence; `options` a list of `name`, `default` (absent where the option must be given) and
    `description`; `computes` the text of its function up to the departures from the paper, null where its
    source is not at hand. No torch is imported to read it.

    Raises:
        RecipeError: there is no such objective.
    """
    if name not in OBJECTIVES:
        refused = refused_objectives().get(name)
        hint = f" {refused}." if refused else did_you_mean(name, OBJECTIVES)
        raise RecipeError(f'"{name}": unknown objective.{hint}', next="palate objectives lists all of them")
    kind = OBJECTIVES[name]
    return _summary(name, kind) | {
        "summary": " ".join((kind.__doc__ or "").split()),
        "options": [_option(option, field) for option, field in _options(kind).items()],
        "computes": _formula(kind.loss),
    }


def _options(kind: type[Objective]) -> dict[str, FieldInfo]:
    return {option: field for option, field in kind.model_fields.items() if option != "type"}


def _summary(name: str, kind: type[Objective]) -> dict[str, Any]:
    return {
        "name": name,
        "data": kind.data,
        "reads": kind.reads,
        "needs_reference": _stated(kind, "needs_reference"),
        "takes_margin": _stated(kind, "takes_margin"),
        "defaults": {
            option: _default(field) for option, field in _options(kind).items() if not field.is_required()
        },
        "paper": kind.paper,
    }


def _stated(kind: type[Objective], name: str) -> bool | None:
    """Metadata of the class, or, where the options decide, of its default options."""
    if not isinstance(inspect.getattr_static(kind, name), property):
        return bool(getattr(kind, name))
    if any(field.is_required() for field in kind.model_fields.values()):
        return None
    return bool(getattr(kind.model_validate({}), name))


def _default(field: FieldInfo) -> Any:
    return to_jsonable_python(field.get_default(call_default_factory=True))


def _option(name: str, field: FieldInfo) -> dict[str, Any]:
    default = {} if field.is_required() else {"default": _default(field)}
    return {"name": name, **default, "description": " ".join((field.description or "").split())}


def _formula(loss: str) -> str | None:
    """The docstring of `module:name` up to its departures, read from the source."""
    module, _, function = loss.partition(":")
    source = _source(module)
    if source is None:
        return None
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            paragraphs = (ast.get_docstring(node) or "").split("\n\n")
            ends = [i for i, each in enumerate(paragraphs) if each.startswith(("Departures:", "Args:"))]
            return "\n\n".join(paragraphs[: min(ends, default=None)]).strip() or None
    return None


def _source(module: str) -> Path | None:
    """The file of a module. Unlike `find_spec` of the whole name it imports no package above it."""
    top, *below = module.split(".")
    spec = find_spec(top)
    for depth in range(1, len(below) + 1):
        if spec is None:
            return None
        name = ".".join([top, *below[:depth]])
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    origin = spec.origin if spec is not None else None
    return Path(origin) if origin is not None and origin.endswith(".py") else None
