"""Options that many commands have, declared once."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

__all__ = ["JSON", "AsJson", "Flag", "Repeated"]

JSON = Parameter(name="--json", negative="")
"""For a command whose docstring says what its JSON is."""

AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]

Flag = Annotated[bool, Parameter(negative="")]
"""On where it is typed; there is no opposite to type."""

Repeated = Annotated[tuple[str, ...], Parameter(negative="")]
"""May be typed several times."""
