"""The base of every recipe section, and of every objective's options; and the bounds that several share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["PositiveInt", "Section", "Tokens"]

PositiveInt = Annotated[int, Field(gt=0)]
# More is a slip, and would only show as memory that runs out hours later.
Tokens = Annotated[int, Field(gt=0, le=2**24)]


class Section(BaseModel):
    """Frozen, closed to unknown keys, documented where its fields are declared."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_not_booleans(cls, values: Any) -> Any:
        # YAML reads `yes` and `on` as true, and true would pass for 1.
        for name, value in values.items() if isinstance(values, dict) else ():
            field = cls.model_fields.get(name)
            if isinstance(value, bool) and field is not None and field.annotation is not bool:
                raise ValueError(f"{name} = {str(value).lower()}: this option is not a yes or no")
        return values
