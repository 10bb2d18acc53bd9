"""Asking without asking: how many requests would be sent, and what they would cost at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from palate.asking.estimates import estimate_prompt_tokens
from palate.asking.prices import PriceList
from palate.asking.replies import read_reply
from palate.asking.requests import Asker, Reply, Request, Usage
from palate.asking.store import ResponseStore
from palate.asking.wire import check_request
from palate.watcher import Watcher

__all__ = ["Rehearsal"]


@dataclass(slots=True)
class _Part:
    num_stored: int = 0
    num_new: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = 0.0


class Rehearsal:
    """Stands in for an asker and sends nothing. What the store has is given out; the rest is `not_asked`.

    Whoever asks in several rounds, each of which depends on the last one's answers, is rehearsed as far as
    the store reaches.
    """

    def __init__(self, asker: Asker, store: ResponseStore, prices: PriceList | None = None) -> None:
        self._asker, self._store, self._prices = asker, store, prices or PriceList()
        self._models: dict[str, _Part] = {}
        self._seen: set[str] = set()

    @property
    def server(self) -> str:
        """That of the asker it stands in for: requests have the same keys."""
        return self._asker.server

    def ask(self, requests: Iterable[Request], watcher: Watcher | None = None) -> Iterator[Reply]:
        """One reply to each request.

        Raises:
            CallError: a request could not be sent as it is. ArtifactError: the store cannot be read.
        """
        for request in requests:
            check_request(request)
            stored = self._store.get(self.server, request)
            key = request.key(self.server)
            if key not in self._seen:
                self._seen.add(key)
                self._count(request, is_stored=stored is not None)
            if stored is not None:
                yield read_reply(request, stored, self._prices)
            else:
                yield Reply(request, "not_asked", reason="this is a rehearsal: nothing is sent", is_new=False)

    def _count(self, request: Request, *, is_stored: bool) -> None:
        part = self._models.setdefault(request.model, _Part())
        if is_stored:
            part.num_stored += 1
            return
        worst = Usage(estimate_prompt_tokens(request.messages, request.schema), request.max_tokens)
        cost = self._prices.cost(request.model, worst)
        part.num_new += 1
        part.prompt_tokens += worst.prompt_tokens
        part.completion_tokens += worst.completion_tokens
        part.cost = None if part.cost is None or cost is None else part.cost + cost

    def as_rows(self) -> list[dict[str, Any]]:
        """For each model the requests that would be sent, those that the store has, and the most they take.

        `max_cost` counts the prompts as estimated, which is high rather than low, all of `max_tokens`, and
        each request once, however often it had to be tried; None where the model has no price.
        """
        return [
            {
                "server": self.server,
                "model": model,
                "num_requests": part.num_new,
                "num_stored": part.num_stored,
                "max_prompt_tokens": part.prompt_tokens,
                "max_completion_tokens": part.completion_tokens,
                "max_cost": part.cost,
                "currency": self._prices.currency,
            }
            for model, part in self._models.items()
        ]
