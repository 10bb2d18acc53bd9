"""Where Palate keeps what runs on one machine share: the reference cache, the playground."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["palate_home"]


def palate_home() -> Path:
    """The folder `PALATE_HOME` names, or `~/.cache/palate`."""
    named = os.environ.get("PALATE_HOME")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "palate"
