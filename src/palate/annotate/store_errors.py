"""What can go wrong with a store of votes: a wrong call, an event it cannot take, or a disk that fails."""

from __future__ import annotations

from palate.errors import ArtifactError, CallError, WorkError

__all__ = [
    "ConnectionLost",
    "EventRefused",
    "KeyReused",
    "MalformedEvent",
    "NothingToUndo",
    "StoreDamaged",
    "StoreRefused",
    "StoreUnavailable",
    "UnknownItem",
]


class StoreRefused(CallError):
    """A store that cannot be opened as named: no such place, no store of votes, or a newer Palate's."""


class StoreUnavailable(WorkError):
    """The store cannot be used now: locked, full, read-only, its server gone. What it holds is whole."""


class ConnectionLost(StoreUnavailable):
    """The database server hung up or cannot be reached. Whether what was under way is stored is not known."""


class StoreDamaged(ArtifactError):
    """Something wrote into the store, or its disk failed."""


class EventRefused(CallError):
    """An event that the store does not take. Sent again, it is refused again."""


class MalformedEvent(EventRefused):
    """An event that says too little, or something that cannot be kept."""


class KeyReused(EventRefused):
    """The annotator's key stands for another event already."""


class UnknownItem(EventRefused):
    """An event about an item that is not in the store."""


class NothingToUndo(EventRefused):
    """An undo of an event that is not there, is another annotator's, or is undone already."""
