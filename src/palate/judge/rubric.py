"""Rubrics: what a judge goes by, as a file with named criteria."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from palate.errors import JudgeError, did_you_mean
from palate.recipe.loading import StrictLoader, yaml_slip
from palate.recipe.section import Section
from palate.records import content_id

__all__ = ["BUILT_IN_RUBRICS", "Criterion", "Rubric", "Scale", "load_rubric", "parse_rubric"]

BUILT_IN_RUBRICS = ("preference", "helpfulness", "faithfulness", "writing")
"""Those that come with Palate, by name."""

_MOST_STEPS = 100
_WANTED = {
    "model_type": "have options of its own",
    "model_attributes_type": "have options of its own",
    "tuple_type": "be a list",
    "dict_type": "be a mapping",
    "invalid_key": "be a word",
    "int_parsing": "be a whole number",
}
"""Where the words of pydantic are those of a programmer."""
_Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
_Name = Annotated[str, Field(max_length=64, pattern=r"^\w[\w -]*$")]


class Criterion(Section):
    """One of the things that make an answer better or worse."""

    name: _Name
    """How the judge names it in its answer: letters, digits, spaces, `-` and `_`."""
    description: _Text
    """What it is, and what tells a better answer from a worse one."""
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """How much it counts beside the others. The mean of scores is weighted by it; a comparison is told it."""


class Scale(Section):
    """The numbers that a pointwise judge gives: whole ones, larger is better."""

    min: int = 1
    """The lowest."""
    max: int = 10
    """The highest."""
    labels: dict[int, _Text] = Field(default_factory=dict)
    """What some of the numbers mean."""

    @model_validator(mode="after")
    def _is_a_scale(self) -> Self:
        if not 1 <= self.max - self.min <= _MOST_STEPS:
            raise ValueError(f"from {self.min} to {self.max}: a scale has 1 to {_MOST_STEPS} steps upwards")
        outside = [str(number) for number in self.labels if not self.min <= number <= self.max]
        if outside:
            raise ValueError(f"labels for {', '.join(outside)}: the scale goes from {self.min} to {self.max}")
        return self


class Rubric(Section):
    """What makes an answer better, in words for the judge."""

    name: _Name
    """How lineage and reports call it."""
    instruction: _Text
    """What is judged, and from whose point of view. Said before what is judged, and again after it."""
    criteria: tuple[Criterion, ...] = ()
    """In comparisons each gets a verdict of its own before the whole does; scores are given by criterion."""
    scale: Scale = Scale()
    """Of pointwise scores; comparisons and rankings do not use it."""
    allow_ties: bool = True
    """Whether a judge that compares or ranks may call two answers equally good. Equal scores always tie."""
    needs_reference: bool = False
    """Whether it can be used only with a reference answer, or notes for grading, for every prompt."""

    @model_validator(mode="after")
    def _criteria_have_names_of_their_own(self) -> Self:
        names = [criterion.name for criterion in self.criteria]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"criteria: {', '.join(twice)} stands twice")
        return self

    @property
    def id(self) -> str:
        """Names the content: a rubric that says anything else has another id."""
        return content_id(self.model_dump(mode="json"))


def load_rubric(spec: str | os.PathLike[str]) -> Rubric:
    """A rubric by the name of a built-in one, or from a YAML file.

    Raises:
        JudgeError: there is no such rubric or file, or it is none.
    """
    if isinstance(spec, str) and spec in BUILT_IN_RUBRICS:
        text = files("palate.judge").joinpath("rubrics", f"{spec}.yaml").read_text(encoding="utf-8")
        return parse_rubric(text, where=spec)
    path = Path(spec)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise JudgeError(
            f'"{spec}": no such rubric, and no such file.{did_you_mean(str(spec), BUILT_IN_RUBRICS)}',
            next=f"name a file, or one of those built in: {', '.join(BUILT_IN_RUBRICS)}",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise JudgeError(
            "the rubric cannot be read", where=str(path), why=why or "", next="name a file of YAML, in UTF-8"
        ) from None
    return parse_rubric(text, where=str(path))


def parse_rubric(text: str, *, where: str = "rubric") -> Rubric:
    """A rubric from YAML text; see `load_rubric`."""
    try:
        # A safe loader, but for a key that stands twice, which is an error here.
        tree = yaml.load(text, Loader=StrictLoader)
    except yaml.YAMLError as error:
        problem, place = yaml_slip(error, where)
        raise JudgeError(f"not a rubric: {problem}", where=place, next="mend the YAML at that line") from None
    except (ValueError, RecursionError) as error:
        raise JudgeError(f"not a rubric: {error}", where=where) from None
    if not isinstance(tree, dict):
        raise JudgeError(
            f"a rubric is a mapping, this is a {type(tree).__name__}",
            where=where,
            next="write at least `name` and `instruction`",
        )
    try:
        return Rubric.model_validate(tree)
    except ValidationError as error:
        problems = list(dict.fromkeys(_problem(item) for item in error.errors()))
    if len(problems) == 1:
        raise JudgeError(problems[0], where=where)
    lines = "\n".join(f"  - {problem}" for problem in problems)
    raise JudgeError(f"{len(problems)} things are wrong:\n{lines}", where=where)


def _problem(item: Any) -> str:
    """One of pydantic's complaints as a sentence."""
    path = [part for part in item["loc"] if part != "[key]"]
    key = ".".join(str(part) for part in path) or "rubric"
    if item["type"] == "extra_forbidden":
        known = _section_at(path[:-1]).model_fields
        hint = did_you_mean(str(path[-1]), known)
        return f'"{key}": unknown option.{hint} Known here: {", ".join(known)}'
    if item["type"] == "missing":
        return f'"{key}" is missing'
    if item["type"] == "value_error":
        message = item["msg"].removeprefix("Value error, ")
        return f"{key}: {message}" if path else message
    wanted = _WANTED.get(item["type"]) or re.sub(r"^\w+ should ", "", item["msg"])
    hint = " Write it in quotes." if item["type"] == "string_type" and item["input"] is not None else ""
    return f"{key} = {repr(item['input'])[:80]}: it should {wanted}.{hint}"


def _section_at(path: Sequence[object]) -> type[BaseModel]:
    sections: dict[object, type[BaseModel]] = {"criteria": Criterion, "scale": Scale}
    return sections[path[0]] if path else Rubric
