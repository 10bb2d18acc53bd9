"""Options that many commands have, declared once."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

__all__ = ["JSON", "AsJson", "Flag", "Repeated", "Seed"]

JSON = Parameter(name="--json", negative="")
"""For a command whose docstring says what its JSON is."""

AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]

Flag = Annotated[bool, Parameter(negative="")]
"""On where it is typed; there is no opposite to type."""

Repeated = Annotated[tuple[str, ...], Parameter(negative="")]
"""May be typed several times."""

Seed = Annotated[int, Parameter(validator=Number(gte=0, lt=2**32))]
"""What every generator of random numbers takes, numpy's with no sign and torch's of 32 bits alike."""
