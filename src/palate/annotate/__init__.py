"""People vote: the page, where votes are kept, and what they add up to.

A module is loaded when something of it is first asked for: counting votes waits for no web server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from palate.annotate.events import Event, Item

if TYPE_CHECKING:
    from palate.annotate.ballots import Ballots
    from palate.annotate.security import Access
    from palate.annotate.server import build_app
    from palate.annotate.serving import serve
    from palate.annotate.settings import Settings
    from palate.annotate.standing import Standing
    from palate.annotate.store import VoteStore
    from palate.annotate.voting import Voting

__all__ = [
    "Access",
    "Ballots",
    "Event",
    "Item",
    "Settings",
    "Standing",
    "VoteStore",
    "Voting",
    "build_app",
    "serve",
]

_MODULES = {
    "Access": "security",
    "Ballots": "ballots",
    "Settings": "settings",
    "Standing": "standing",
    "VoteStore": "store",
    "Voting": "voting",
    "build_app": "server",
    "serve": "serving",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
