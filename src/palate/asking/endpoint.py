"""A server with OpenAI's chat-completions interface, asked many things at once and none of them twice."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import replace

from palate.asking.account import Account
from palate.asking.budget import Budget
from palate.asking.limits import Limits
from palate.asking.pace import Pace
from palate.asking.prices import PriceList
from palate.asking.replies import read_reply
from palate.asking.requests import Reply, Request
from palate.asking.session import Session, Shared
from palate.asking.store import ResponseStore
from palate.asking.transport import MIN_SECRET_CHARACTERS, read_key, server_name
from palate.asking.wire import check_request
from palate.errors import CallError
from palate.watcher import Watcher

__all__ = ["DEFAULT_KEY_VARIABLE", "Endpoint"]

DEFAULT_KEY_VARIABLE = "OPENAI_API_KEY"


class Endpoint:
    """Any server that takes chat completions as OpenAI's does: vLLM, SGLang, Ollama, llama.cpp and others.

    `account` says what all asking through this object took. Limits, budget and what was learnt of the server
    hold across calls of `ask`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        store: ResponseStore,
        api_key_env: str | None = DEFAULT_KEY_VARIABLE,
        limits: Limits | None = None,
        prices: PriceList | None = None,
        budget: Budget | None = None,
    ) -> None:
        """
        Args:
            base_url: such as `http://localhost:8000/v1`; no user, password or query in it.
            api_key_env: the environment variable that holds the key; where it is unset, none is sent.
            budget: may be shared by several endpoints.

        Raises:
            CallError: the URL or the key cannot be used.
        """
        self._server = server_name(base_url)
        self._prices = prices or PriceList()
        limits = limits or Limits()
        self._budget = budget or Budget()
        self.account = Account(currency=self._prices.currency)
        self._shared = Shared(
            server=self._server,
            base_url=self._server,
            key=read_key(api_key_env),
            key_variable=api_key_env,
            store=store,
            limits=limits,
            prices=self._prices,
            budget=self._budget,
            account=self.account,
            pace=Pace(limits.requests_per_minute, limits.tokens_per_minute),
        )

    @property
    def server(self) -> str:
        """The base URL; it holds no secret."""
        return self._server

    def ask(self, requests: Iterable[Request], watcher: Watcher | None = None) -> Iterator[Reply]:
        """One reply to each request, as they come in, each on the disk before it is given out.

        Requests are taken from the iterable as there is room, so it may be endless. What the store has is not
        sent. Equal requests within one call are sent once. Closing the iterator, or Ctrl-C, gives up what is
        in flight, and nothing else.

        Raises:
            CallError: a request cannot be sent as it is, a budget in money has no price to count with, or the
                server refuses the key or the model and has never answered. WorkError: there is no server.
            ArtifactError: the store cannot be read or written.
        """
        watcher = watcher or Watcher()
        replies = self._ask(iter(requests))
        yield from self.account.counted(replies, operator.length_hint(requests), watcher)

    def _ask(self, requests: Iterator[Request]) -> Iterator[Reply]:
        session = Session(self._shared)
        waiting: dict[str, list[Request]] = {}
        error: BaseException | None = None
        room = 2 * self._shared.limits.concurrency
        try:
            while True:
                while error is None and sum(map(len, waiting.values())) < room:
                    request = next(requests, None)
                    if request is None:
                        break
                    reply = self._at_once(request, session)
                    if reply is not None:
                        yield reply
                        continue
                    key = request.key(self._server)
                    if key not in waiting:
                        session.submit(key, request)
                    waiting.setdefault(key, []).append(request)
                if not waiting:
                    break
                key, result = session.results.get()
                equal = waiting.pop(key)
                if isinstance(result, BaseException):
                    # What else is in flight is paid for: it is let come in before this is raised.
                    error = error or result
                    continue
                for place, request in enumerate(equal):
                    yield replace(result, request=request, is_new=result.is_new and not place)
            if error is not None:
                raise error
        finally:
            session.close()

    def _at_once(self, request: Request, session: Session) -> Reply | None:
        """The reply that needs no server, if there is one."""
        check_request(request)
        if self._budget.money is not None and self._prices.price(request.model) is None:
            raise CallError(
                f'"{request.model}" has no price, and there is a budget in money',
                why="what it takes could not be counted",
                next="give it a price in the price list, or set the budget in tokens",
            )
        self._refuse_key_inside(request)
        stored = self._shared.store.get(self._server, request)
        if stored is not None:
            return read_reply(request, stored, self._prices)
        if session.stop_reason:
            return Reply(request, "not_asked", reason=session.stop_reason)
        return None

    def _refuse_key_inside(self, request: Request) -> None:
        key = self._shared.key
        if key and len(key) >= MIN_SECRET_CHARACTERS and key in str(request.content()):
            raise CallError(
                "a request holds the API key",
                why="requests are written to the store",
                next="take it out of the prompt, or of what `extra` has",
            )
