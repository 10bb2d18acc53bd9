"""Which options a command takes, as a person types them; for tests that hold a page to name each of them."""

from __future__ import annotations

from palate.cli.app import app

__all__ = ["options_not_on", "options_of"]


def options_of(command: str) -> list[tuple[str, ...]]:
    """All spellings of each option, the one that turns it off among them; `--json` is every command's."""
    found = app
    for part in command.split():
        found = found[part]
    options = [one for one in found.assemble_argument_collection() if one.parse and one.index is None]
    return [one.names for one in options if one.names[0].startswith("-") and one.names[0] != "--json"]


def options_not_on(page: str, command: str) -> list[tuple[str, ...]]:
    """The options of which no spelling stands on the page."""
    return [names for names in options_of(command) if not any(name in page for name in names)]
