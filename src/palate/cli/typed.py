"""What a person typed of a group of options, and how an option is typed."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["given", "typed", "typed_options"]


def given(options: DataclassInstance) -> dict[str, Any]:
    """The fields that say something, by their names: those that are not as where nothing was typed."""
    return {
        field.name: value
        for field in fields(options)
        if (value := getattr(options, field.name)) != _unsaid(field)
    }


def typed(name: str) -> str:
    """The option of a field: `base_url` is `--base-url`."""
    return "--" + name.replace("_", "-")


def typed_options(options: DataclassInstance) -> list[str]:
    """The options that were typed, such as `--base-url`; one that turns a thing off as `--no-...`."""
    usual = {field.name: _unsaid(field) for field in fields(options)}
    return [typed(f"no_{name}" if usual[name] is True else name) for name in given(options)]


def _unsaid(field: Field[Any]) -> object:
    return None if field.default is MISSING else field.default
