"""Asking models, and never asking twice: what they said is on disk before anyone uses it."""

from palate.asking.requests import Asker, Reply, Request, Status, Usage

__all__ = ["Asker", "Reply", "Request", "Status", "Usage"]
