"""How people vote, and where the page is served, as typed: options of `palate annotate`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts

from palate.cli.options import Repeated
from palate.cli.typed import given
from palate.data.excerpts import excerpt
from palate.errors import CallError

if TYPE_CHECKING:
    from palate.pipeline.annotating import Address

__all__ = ["SERVED", "VOTING", "ServedOptions", "VotingOptions"]


@cyclopts.Parameter(name="*", group=cyclopts.Group("Voting", sort_key=1))
@dataclass(frozen=True, slots=True, kw_only=True)
class VotingOptions:
    """What people are shown. The store keeps it, so that what is not typed stays as it was."""

    question: str | None = None
    """What people are asked."""
    overlap: str | None = None
    """How many people each item is wanted from, or all."""
    repeat_share: Annotated[float | None, cyclopts.Parameter(name="--repeats")] = None
    """The share of items shown to a person twice, unannounced."""
    order: Literal["given", "random", "least-certain"] | None = None
    """given: as in the source; random; least-certain: first what would tell most."""
    seed: int | None = None
    """Decides sides, random orders and repeats; drawn at random where absent."""

    def settings(self) -> dict[str, Any]:
        """What was typed, as settings of the store.

        Raises:
            CallError: the overlap is no number.
        """
        said = given(self)
        if self.overlap is not None:
            said["overlap"] = _overlap(self.overlap)
        return said


VOTING = VotingOptions()
"""As the store has it."""


@cyclopts.Parameter(name="*", group=cyclopts.Group("The page", sort_key=2))
@dataclass(frozen=True, slots=True, kw_only=True)
class ServedOptions:
    """Where the server listens, and who may come in."""

    port: int = 8765
    """0 takes any that is free."""
    host: str = "127.0.0.1"
    """The address to listen on. Any but this machine's own needs --password-env."""
    public_name: Repeated = ()
    """A name or address under which others reach this server. May be repeated."""
    password_env: str | None = None
    """The environment variable that holds the password people log in with."""
    language: Literal["en", "zh"] = "en"
    """The page's, for browsers that ask for none it speaks."""

    def address(self) -> Address:
        """Where and for whom, the password taken out of the environment.

        Raises:
            CallError: the variable holds no password.
        """
        from palate.pipeline.annotating import Address

        return Address(self.host, self.port, _password(self.password_env), self.public_name)


SERVED = ServedOptions()
"""On this machine, for this machine."""


def _overlap(text: str) -> int | str:
    if text == "all":
        return text
    if not (text.isascii() and text.isdigit()):
        raise CallError(
            f'"{excerpt(text)}" is no number of people', where="--overlap", next="1, 2, ... or all"
        )
    return int(text)


def _password(variable: str | None) -> str | None:
    """Taken out of the environment: what this process starts, such as a browser, has no need of it."""
    if variable is None:
        return None
    password = os.environ.pop(variable, "")
    if not password:
        raise CallError(
            f'the environment variable "{excerpt(variable)}" is not set or empty',
            where="--password-env",
            next="it takes the name of a variable that holds the password, not the password",
        )
    return password
