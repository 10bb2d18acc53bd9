"""How a piece of a run folder is checked when it is read: a page or table never meets a surprise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from palate.errors import ArtifactError

__all__ = ["LARGEST_FIGURE", "Interval", "Measured", "MeasuredInterval", "Number", "Piece", "parse"]


LARGEST_FIGURE = 1e100
"""What is larger is no figure of a run, and no axis can be drawn for it."""


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) <= LARGEST_FIGURE else None


Number = Annotated[float | None, AfterValidator(_finite)]
"""A figure, or None where it was not measured or is not a number."""
Interval = tuple[float, float]


def _whole_interval(value: Any) -> Any:
    """None where an end is missing or not a number: half an interval cannot be drawn, nor relied on."""
    if isinstance(value, list | tuple) and len(value) == 2:
        ends = [end for end in value if isinstance(end, int | float) and abs(end) <= LARGEST_FIGURE]
        return value if len(ends) == 2 else None
    return value


MeasuredInterval = Annotated[Interval | None, BeforeValidator(_whole_interval)]
"""An interval, or None where it was not measured or an end of it is not a number."""


class Piece(BaseModel):
    """Part of a run folder. Keys that this version does not know are left for the version that wrote them."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Measured(Piece):
    """A figure with its interval, where it has one."""

    value: Number = None
    interval_95: MeasuredInterval = None


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], content: Mapping[str, Any], where: str) -> Model:
    """`content` as a checked piece of a run. Raises ArtifactError, naming `where`, if it does not fit."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(
            f"{key}: {first['msg']}" if key else first["msg"],
            where=where,
            why="this file was written by another version, or edited",
            next="make it again: palate run RECIPE does what is missing once the file is removed",
        ) from error
