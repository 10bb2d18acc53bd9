"""Objectives of installed packages, found by the entry points they declare.

A package adds an objective by an entry point in the group `palate.objectives`: its name is the one recipes
use, its value `module:OptionsClass`, a subclass of `palate.recipe.Objective`. One that cannot be used is
remembered with the reason, and told to whoever asks for it by name; nobody else is troubled.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from palate.recipe.objective.base import Objective

__all__ = ["ENTRY_POINT_GROUP", "ThirdParty", "find_third_party"]

ENTRY_POINT_GROUP = "palate.objectives"


@dataclass(frozen=True, slots=True)
class ThirdParty:
    """What installed packages offer, by the name recipes use."""

    kinds: dict[str, type[Objective]] = field(default_factory=dict)
    """The objectives that can be used."""
    refused: dict[str, str] = field(default_factory=dict)
    """Of the others, a sentence on who offers each and why it cannot be used."""


class _Refused(Exception):
    """Why an offer cannot be used."""


def find_third_party(built_in: Collection[str]) -> ThirdParty:
    """Import and check every objective that installed packages offer.

    Args:
        built_in: names that are taken.
    """
    offers: dict[str, dict[str, EntryPoint]] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        offers.setdefault(entry.name, {})[entry.value] = entry
    found = ThirdParty()
    for name, by_value in sorted(offers.items()):
        entries = list(by_value.values())
        try:
            found.kinds[name] = _load(entries, built_in)
        except _Refused as why:
            packages = " and ".join(sorted(map(_package, entries)))
            found.refused[name] = f"{packages} {'offer' if len(entries) > 1 else 'offers'} it, but {why}"
    return found


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value


def _load(entries: list[EntryPoint], built_in: Collection[str]) -> type[Objective]:
    entry = entries[0]
    if entry.name in built_in:
        raise _Refused("the name is that of one of Palate's own objectives")
    if len(entries) > 1:
        raise _Refused("only one of them can have the name")
    try:
        found = entry.load()
    except Exception as error:  # whatever another's code does while it is imported
        said = (str(error).splitlines() or [""])[0]
        raise _Refused(f"{entry.value} cannot be imported: {type(error).__name__}: {said}") from None
    if not (isinstance(found, type) and issubclass(found, Objective)):
        raise _Refused(f"{entry.value} is not a subclass of palate.recipe.Objective")
    _check_type(entry, found)
    _check_metadata(entry, found)
    return found


def _check_type(entry: EntryPoint, kind: type[Objective]) -> None:
    declared = kind.model_fields["type"]
    annotation: Any = declared.annotation
    is_its_name = get_origin(annotation) is Literal and get_args(annotation) == (entry.name,)
    if not is_its_name or declared.default != entry.name:
        raise _Refused(f'{entry.value} does not declare type: Literal["{entry.name}"] = "{entry.name}"')


def _check_metadata(entry: EntryPoint, kind: type[Objective]) -> None:
    for name, adapter in _metadata().items():
        if not hasattr(kind, name):
            raise _Refused(f"{entry.value} does not state {name}")
        value = inspect.getattr_static(kind, name)
        if isinstance(value, property):
            continue  # it depends on the options
        try:
            adapter.validate_python(value, strict=True)
        except ValidationError as error:
            raise _Refused(f"{entry.value} states {name} = {value!r}: {error.errors()[0]['msg']}") from None
    module, _, function = kind.loss.partition(":")
    if not (module and function):
        raise _Refused(f"{entry.value} states loss = {kind.loss!r}: should be module:function")


@cache
def _metadata() -> dict[str, TypeAdapter[Any]]:
    """What `Objective` declares for its subclasses to state."""
    declared: dict[str, Any] = inspect.get_annotations(Objective, eval_str=True)
    return {
        name: TypeAdapter(get_args(wanted)[0])
        for name, wanted in declared.items()
        if get_origin(wanted) is ClassVar
    }
