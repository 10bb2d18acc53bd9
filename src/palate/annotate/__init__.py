"""People vote: the page, where votes are kept, and what they add up to."""

from palate.annotate.events import Event, Item

__all__ = ["Event", "Item"]
