"""Recipes from YAML and back: safe, strict about duplicate keys, helpful about typing slips."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from palate.errors import RecipeError, did_you_mean
from palate.recipe.objective import OBJECTIVES
from palate.recipe.schema import Recipe

__all__ = ["dump_recipe", "load_recipe", "parse_recipe", "write_recipe"]


class _StrictLoader(yaml.SafeLoader):
    """`yaml.safe_load`, except that a key written twice is an error instead of a silent choice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (list, dict)):
                continue  # unhashable: the parent class names the place
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file and lay `key.path=value` overrides over it.

    Raises:
        RecipeError: the file is absent, is not YAML, or does not make a recipe.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(
            "no such recipe", where=str(path), next="name an existing file; examples stand in recipes/"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the recipe cannot be read: {error}", where=str(path)) from None
    return parse_recipe(text, overrides, where=str(path))


def parse_recipe(text: str, overrides: Sequence[str] = (), *, where: str = "recipe") -> Recipe:
    """A recipe from YAML text; see `load_recipe`."""
    try:
        tree = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark is not None else where
        problem = getattr(error, "problem", None) or str(error)
        raise RecipeError(
            f"not a recipe: {problem}", where=place, next="mend the YAML at that line"
        ) from None
    except RecursionError:
        raise RecipeError("not a recipe: nested too deeply", where=where) from None
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise RecipeError(f"a recipe is a mapping, this is a {type(tree).__name__}", where=where)
    for override in overrides:
        _apply_override(tree, override)
    return _validate(tree, where)


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default written out; reading it back gives an equal recipe."""
    return yaml.safe_dump(_plain(recipe), sort_keys=False, allow_unicode=True, width=100)


def write_recipe(recipe: Recipe, path: str | os.PathLike[str]) -> None:
    """Write the resolved recipe to a file."""
    Path(path).write_text(dump_recipe(recipe), encoding="utf-8")


def _plain(recipe: Recipe) -> dict[str, Any]:
    plain = recipe.model_dump(mode="json")
    if recipe.data.eval is not None:
        # It has no effect there, and an option without effect is an error when the file is read again.
        del plain["data"]["eval_fraction"]
    return plain


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, equals, raw = override.partition("=")
    path = key.strip().removeprefix("--").split(".")
    if not equals or not all(path):
        raise RecipeError(
            f'"{override}" is not an override',
            where="command line",
            next="write key.path=value, such as train.epochs=1",
        )
    try:
        value = yaml.load(raw, Loader=_StrictLoader)
    except yaml.YAMLError:
        value = raw  # a colon or a bracket in plain text is text
    here = tree
    for i, part in enumerate(path[:-1]):
        below = here.setdefault(part, {})
        if below is None:
            below = here[part] = {}
        if not isinstance(below, dict):
            raise RecipeError(
                f'"{".".join(path[: i + 1])}" is {below!r}, it has no keys below it',
                where=f"override {override}",
            )
        here = below
    here[path[-1]] = value


def _validate(tree: Mapping[str, Any], where: str) -> Recipe:
    if "output" not in tree:
        raise RecipeError(
            '"output" is missing',
            where=where,
            next="say where the run goes: output: runs/my-run, or output=runs/my-run",
        )
    objective = tree.get("objective")
    if isinstance(objective, dict):
        objective.setdefault("type", "dpo")  # so that objective.beta=0.2 alone is enough
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        # One slip in a field of several types is reported once for each type; people made it once.
        by_place = {_written_path(item): item for item in reversed(error.errors())}
        problems = [_explain(item, where) for item in reversed(by_place.values())]
    first = problems[0]
    if len(problems) == 1:
        raise first
    raise RecipeError(
        f"{len(problems)} things are wrong:\n" + "\n".join(f"  - {p.what}" for p in problems), where=where
    )


def _written_path(item: Any) -> tuple[str, ...]:
    """The path as a person wrote it: pydantic adds the names of the variants it tried."""
    variants = {*OBJECTIVES, "str", "constrained-int", "constrained-float"}
    return tuple(
        str(part)
        for part in item["loc"]
        if part not in variants and not str(part).startswith(("literal[", "list["))
    )


def _explain(item: Any, where: str) -> RecipeError:
    path = _written_path(item)
    key = ".".join(path) or "recipe"
    kind, value = item["type"], item.get("input")
    if kind == "extra_forbidden":
        known = _fields_at(path[:-1])
        return RecipeError(
            f'"{key}": unknown option.{did_you_mean(path[-1], known)} Known here: {", ".join(known)}',
            where=where,
        )
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        name = value.get("type") if isinstance(value, dict) else value
        return RecipeError(
            f'{key}.type = "{name}": unknown objective.{did_you_mean(str(name), OBJECTIVES)} '
            f"All of them: {', '.join(OBJECTIVES)}",
            where=where,
        )
    if kind == "missing":
        return RecipeError(f'"{key}" is missing', where=where)
    message = item["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return RecipeError(message, where=where)
    hint = ""
    if kind == "literal_error" and isinstance(value, str):
        options = [part.strip("' ") for part in item["ctx"]["expected"].replace(" or ", ",").split(",")]
        hint = did_you_mean(value, options)
    return RecipeError(f"{key} = {value!r}: {message[:1].lower() + message[1:]}.{hint}", where=where)


def _fields_at(path: Sequence[str]) -> list[str]:
    """The option names a section at this path has, over all variants it may be."""
    sections: list[type[BaseModel]] = [Recipe]
    for part in path:
        below: list[type[BaseModel]] = []
        for section in sections:
            if part in section.model_fields:
                below += _sections_in(section.model_fields[part].annotation)
        sections = below
    return list(dict.fromkeys(name for section in sections for name in section.model_fields))


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _sections_in(part)]
