"""From pydantic's account of what is wrong to the sentence a person needs."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from palate.errors import RecipeError, did_you_mean
from palate.recipe.objective import OBJECTIVES
from palate.recipe.objective.registry import refused_objectives
from palate.recipe.schema import ADAPTERS, Recipe

__all__ = ["explain", "sections_at"]

Path = tuple[str, ...]

_OBJECTIVE = "objective"
# Where `type` chooses which options stand beside it: only those of that variant do.
_VARIANTS: Mapping[Path, Mapping[str, type[BaseModel]]] = {
    (_OBJECTIVE,): OBJECTIVES,
    ("model", "adapter"): ADAPTERS,
}
_NOT_A_SECTION = ("model_type", "model_attributes_type", "dict_type")
_NOT_TEXT = (bool, int, float)

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80
_repr.maxlevel = 2  # YAML aliases write a large tree in a few lines; an error quotes only its beginning


def explain(error: ValidationError, where: str, overrides: Mapping[Path, str]) -> RecipeError:
    """One error for all that is wrong.

    Args:
        error: from validating a `Recipe`.
        where: the recipe's file.
        overrides: what was laid over it, by path, so that a slip on the command line is looked for there.
    """
    by_path: dict[Path, list[Any]] = {}
    for item in error.errors():
        by_path.setdefault(_written_path(item), []).append(item)
    problems = [
        RecipeError(_what(path, items), where=_place(path, where, overrides))
        for path, items in by_path.items()
        # A value that fails inside one of its types also fails as the others; the inside tells more.
        if not any(other != path and other[: len(path)] == path for other in by_path)
    ]
    if len(problems) == 1:
        return problems[0]
    lines = [f"  - {p.what}" + (f" ({p.where})" if p.where != where else "") for p in problems]
    return RecipeError(f"{len(problems)} things are wrong:\n" + "\n".join(lines), where=where)


def sections_at(path: Sequence[str]) -> list[type[BaseModel]]:
    """The section that stands at a path, or all variants that may stand there."""
    sections: list[type[BaseModel]] = [Recipe]
    for part in path:
        below: list[type[BaseModel]] = []
        for section in sections:
            if section is Recipe and part == _OBJECTIVE:
                below += OBJECTIVES.values()  # the annotation knows those that come with Palate
            elif part.isdigit():
                below.append(section)  # an item of a list, whose sections are those of the list
            elif part in section.model_fields:
                below += _sections_in(section.model_fields[part].annotation)
        sections = below
    return sections


def _written_path(item: Any) -> Path:
    """The path as a person wrote it: pydantic adds the names of the types and variants it tried."""
    types = {"str", "constrained-int", "constrained-float"}
    parts = [str(part) for part in item["loc"]]
    for place, variants in _VARIANTS.items():
        if tuple(parts[: len(place)]) == place and len(parts) > len(place) and parts[len(place)] in variants:
            del parts[len(place)]
    for i in range(len(parts) - 1, 1, -1):  # inside a mixture stand objectives too
        if parts[i - 1] == _OBJECTIVE and parts[i] in OBJECTIVES:
            del parts[i]
    return tuple(p for p in parts if p not in types and not p.startswith(("literal[", "list[")))


def _place(path: Path, where: str, overrides: Mapping[Path, str]) -> str:
    for written, override in overrides.items():
        if path and (path[: len(written)] == written or written[: len(path)] == path):
            return f"override {_repr.repr(override)[1:-1]}"
    return where


def _what(path: Path, items: Sequence[Any]) -> str:
    key = ".".join(path) or "recipe"
    first = items[0]
    kind, value = first["type"], first.get("input")
    if kind == "extra_forbidden":
        return _unknown_option(path, first)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        if path == (_OBJECTIVE,):
            return _unknown_objective(key, value.get("type") if isinstance(value, dict) else value)
        if isinstance(value, dict):
            return _unknown_adapter(key, value.get("type"))
        kind = "model_type"  # not a section at all
    if kind == "missing":
        return f'"{key}" is missing'
    if kind == "value_error":
        message = first["msg"].removeprefix("Value error, ")
        return f"{key}: {message}" if path else message
    if kind in _NOT_A_SECTION and (options := _options_of(sections_at(path))):
        found = "it is empty" if value is None else f"this is {_repr.repr(value)}"
        return f"{key} has options of its own, {found}. Known here: {', '.join(options)}"
    if kind == "invalid_key":
        return f'"{key}": unknown option; names of options are text'
    return f"{key} = {_repr.repr(value)}: {_wanted(items)}.{_hint(items)}"


def _unknown_objective(key: str, name: Any) -> str:
    refused = refused_objectives().get(str(name))
    hint = f" {refused}." if refused else did_you_mean(str(name), OBJECTIVES)
    return f'{key}.type = "{name}": unknown objective.{hint} All of them: palate objectives'


def _unknown_adapter(key: str, name: Any) -> str:
    hint = did_you_mean(str(name), ADAPTERS)
    return f'{key}.type = "{name}": unknown adapter.{hint} All of them: {", ".join(ADAPTERS)}'


def _unknown_option(path: Path, item: Any) -> str:
    name, sections, noun = path[-1], sections_at(path[:-1]), "unknown option"
    variants = _VARIANTS.get(path[:-1], {})
    if variants:  # only the chosen one's options stand here
        chosen = str(item["loc"][len(path) - 1])
        sections = [variants[chosen]]
        if path[0] == _OBJECTIVE or any(name in options.model_fields for options in variants.values()):
            noun = f"not an option of {chosen}"
    known = _options_of(sections)
    hint = did_you_mean(name, known)
    if not hint:
        elsewhere = dict.fromkeys(place for place, option in _all_options() if option == name)
        hint = f" There is {' and '.join(elsewhere)}." if elsewhere else ""
        of = [other for other, options in variants.items() if name in options.model_fields]
        hint = f" It belongs to {' and '.join(of)}." if of else hint
    return f'"{".".join(path)}": {noun}.{hint} Known here: {", ".join(known)}'


def _wanted(items: Sequence[Any]) -> str:
    """`should be greater than 0, or be 'epoch'`: all that would have been right."""
    wanted = dict.fromkeys(re.sub(r"^\w+ should ", "", item["msg"]) for item in items)
    return "should " + ", or ".join(wanted)


def _hint(items: Sequence[Any]) -> str:
    for item in items:
        value = item.get("input")
        if item["type"] == "literal_error" and isinstance(value, str):
            expected = item["ctx"]["expected"].replace(" or ", ",").split(",")
            if hint := did_you_mean(value, [name.strip("' ") for name in expected]):
                return hint
        if item["type"] == "string_type" and isinstance(value, _NOT_TEXT):
            return " Write it in quotes."
    return ""


def _options_of(sections: Sequence[type[BaseModel]]) -> list[str]:
    return list(dict.fromkeys(name for section in sections for name in section.model_fields))


def _all_options(section: type[BaseModel] = Recipe, path: str = "") -> Iterator[tuple[str, str]]:
    """Every option there is, as the place it stands at and its name."""
    for name, field in section.model_fields.items():
        yield f'"{path}{name}"', name
        for below in _sections_in(field.annotation):
            yield from _all_options(below, f"{path}{name}.")


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _sections_in(part)]
