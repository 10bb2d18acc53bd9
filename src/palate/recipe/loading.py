"""Recipes from YAML and back: safe, strict about duplicate keys, helpful about typing slips."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import ValidationError

from palate.errors import RecipeError
from palate.recipe.explain import explain, sections_at
from palate.recipe.schema import Recipe

__all__ = ["StrictLoader", "dump_recipe", "load_recipe", "parse_recipe", "write_recipe", "yaml_slip"]


class StrictLoader(yaml.SafeLoader):
    """`yaml.safe_load`, except that a key written twice is an error instead of a silent choice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # While it is composed a mapping holds exactly what was written; later, `<<` has put more into it.
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # no key of a recipe; the constructor names the place
            if (key.tag, key.value) in seen:
                problem = f'the key "{key.value}" stands twice'
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            seen.add((key.tag, key.value))
        return node


class _FaithfulDumper(yaml.SafeDumper):
    """`yaml.safe_dump`, except that rare line ends inside a text are escaped: unquoted, YAML folds them."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        style = '"' if any(rare in text for rare in "\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_FaithfulDumper.add_representer(str, _FaithfulDumper.represent_str)


def yaml_slip(error: yaml.YAMLError, where: str) -> tuple[str, str]:
    """What is wrong with a YAML text, in a line, and at which line of `where`."""
    mark = getattr(error, "problem_mark", None)
    place = f"{where}:{mark.line + 1}" if mark is not None else where
    return getattr(error, "problem", None) or str(error).splitlines()[0], place


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
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise RecipeError(
            "the recipe cannot be read", where=str(path), why=why or "", next="name a file of YAML, in UTF-8"
        ) from None
    return parse_recipe(text, overrides, where=str(path))


def parse_recipe(text: str, overrides: Sequence[str] = (), *, where: str = "recipe") -> Recipe:
    """A recipe from YAML text; see `load_recipe`."""
    try:
        tree = yaml.load(text, Loader=StrictLoader)
    except yaml.YAMLError as error:
        problem, place = yaml_slip(error, where)
        raise RecipeError(
            f"not a recipe: {problem}", where=place, next="mend the YAML at that line"
        ) from None
    except RecursionError:
        raise RecipeError("not a recipe: nested too deeply", where=where) from None
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise RecipeError(f"a recipe is a mapping, this is a {type(tree).__name__}", where=where)
    applied = {_apply_override(tree, override): override for override in overrides}
    return _validate(tree, where, applied)


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default written out; reading it back gives an equal recipe."""
    return yaml.dump(_plain(recipe), Dumper=_FaithfulDumper, sort_keys=False, allow_unicode=True, width=100)


def write_recipe(recipe: Recipe, path: str | os.PathLike[str]) -> None:
    """Write the resolved recipe to a file."""
    Path(path).write_text(dump_recipe(recipe), encoding="utf-8")


def _plain(recipe: Recipe) -> dict[str, Any]:
    plain = recipe.model_dump(mode="json")
    if recipe.data.eval is not None:
        # It has no effect there, and an option without effect is an error when the file is read again.
        del plain["data"]["eval_fraction"]
    if recipe.objective.reads == "scores":
        del plain["compare"]
    return plain


def _apply_override(tree: dict[str, Any], override: str) -> tuple[str, ...]:
    """Lay one override over the tree; returns its path."""
    key, equals, raw = override.partition("=")
    path = key.strip().removeprefix("--").split(".")
    if not equals or not all(path):
        raise RecipeError(
            f'"{override}" is not an override',
            where="command line",
            next="write key.path=value, such as train.epochs=1",
        )
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
    here[path[-1]] = _override_value(path, raw)
    return tuple(path)


def _override_value(path: list[str], raw: str) -> Any:
    try:
        value = yaml.load(raw, Loader=StrictLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return raw  # an open bracket in plain text is text
    wanted = {
        annotation
        for section in sections_at(path[:-1])
        if path[-1] in section.model_fields
        for annotation in _alternatives(section.model_fields[path[-1]].annotation)
    }
    # Where text is wanted, "Answer: briefly", 2024-01-01 and 1234567 are text, whatever YAML makes of them:
    # no one should have to put quotes inside the quotes of a shell.
    if str in wanted and not isinstance(value, (str, list, NoneType)):
        return raw.strip()
    return value


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _validate(tree: Mapping[str, Any], where: str, overrides: Mapping[tuple[str, ...], str]) -> Recipe:
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
        raise explain(error, where, overrides) from None
