"""Asking many requests at once, on a thread of its own: limits, budget, retries, and the store before all."""

from __future__ import annotations

import asyncio
import queue
import random
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import tenacity

from palate.asking.account import Account
from palate.asking.budget import Budget, Reservation
from palate.asking.estimates import estimate_prompt_tokens
from palate.asking.limits import Limits
from palate.asking.outcomes import Outcome, Received, outcome_of
from palate.asking.pace import Pace
from palate.asking.prices import PriceList
from palate.asking.replies import read_reply
from palate.asking.requests import AskedForm, Reply, Request, Usage
from palate.asking.store import ResponseStore
from palate.asking.transport import ChatServer
from palate.asking.wire import OTHER_LIMIT_NAME, Dialect, request_body
from palate.errors import CallError, PalateError, WorkError

__all__ = ["Session", "Shared"]

_T = TypeVar("_T")

_SECONDS_BETWEEN_LOOKS_AT_THE_BUDGET = 0.05


@dataclass(slots=True)
class Shared:
    """What all sessions of one endpoint have in common."""

    server: str
    base_url: str
    key: str | None = field(repr=False)
    key_variable: str | None
    store: ResponseStore
    limits: Limits
    prices: PriceList
    budget: Budget
    account: Account
    pace: Pace
    dialect: Dialect = field(default_factory=Dialect)
    answered_models: set[str] = field(default_factory=set)
    """Those that this server has given a response for: it is there, and takes the key."""
    was_reached: bool = False
    """Whether there ever was a connection."""


class _TryAgain(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class _Stopped(Exception):
    """This request is not sent, or not sent again."""


class Session:
    """Answers requests on its own thread and puts `(key, reply or error)` into `results`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.results: queue.SimpleQueue[tuple[str, Reply | BaseException]] = queue.SimpleQueue()
        self.stop_reason = ""
        """Why nothing more is sent; empty while requests are."""
        self._ready = threading.Event()
        self._crash: BaseException | None = None
        # One thread for the disk, so that a slow one delays responses and never their clocks.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="palate-store")
        self._thread = threading.Thread(target=self._run, name="palate-asking", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._crash is not None:
            raise self._crash

    def submit(self, key: str, request: Request) -> None:
        """Have a request answered. `key` names it in the results."""
        self._loop.call_soon_threadsafe(self._begin, key, request)

    def close(self) -> None:
        """End now; what is still in flight is given up. What was stored is stored."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()
        self._disk.shutdown()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # raised by `__init__`, on the caller's thread
            self._crash = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended, self._stopped = asyncio.Event(), asyncio.Event()
        self._slots = asyncio.Semaphore(self._shared.limits.concurrency)
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        server = ChatServer(self._shared.base_url, self._shared.key, self._shared.limits)
        self._server = server
        self._ready.set()
        try:
            await self._ended.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.close()

    def _begin(self, key: str, request: Request) -> None:
        task = self._loop.create_task(self._deliver(key, self._answer(request)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, key: str, work: Coroutine[Any, Any, Reply]) -> None:
        try:
            self.results.put((key, await work))
        except Exception as error:  # handed to the caller's thread, which raises it
            self._stop(str(error))
            self.results.put((key, error))

    def _stop(self, reason: str) -> None:
        """Send nothing more; what is in flight is finished."""
        self.stop_reason = self.stop_reason or reason
        self._stopped.set()

    async def _answer(self, request: Request) -> Reply:
        limits = self._shared.limits
        last: Outcome | None = None

        def before_sleep(state: tenacity.RetryCallState) -> None:
            nonlocal last
            last = _outcome_in(state)
            self._shared.account.add_retry(request.model, last.reason)

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_TryAgain),
            stop=tenacity.stop_after_attempt(limits.max_attempts),
            wait=lambda state: _pause_seconds(limits, state.attempt_number, _outcome_in(state)),
            sleep=self._sleep,
            before_sleep=before_sleep,
            reraise=True,
        )
        number = 0
        async with self._slots:
            try:
                async for attempt in retrying:
                    with attempt:
                        number = attempt.retry_state.attempt_number
                        return await self._attempt(request, number)
            except _TryAgain as error:
                if not self._shared.was_reached:
                    raise self._nobody_there(error.outcome) from None
                return _failed(request, f"{error.outcome.reason} (attempt {number} of {limits.max_attempts})")
            except _Stopped:
                if last is None:
                    return Reply(request, "not_asked", reason=self.stop_reason)
                return _failed(request, f"{last.reason}; not tried again: {self.stop_reason}")
        raise AssertionError("an attempt ends in a reply or an error")

    async def _attempt(self, request: Request, number: int) -> Reply:
        """Raises _TryAgain, _Stopped; PalateError where nothing can be asked at all."""
        while True:
            form = self._shared.dialect.form(request)
            limit_name = self._shared.dialect.limit_name(request)
            worst = Usage(estimate_prompt_tokens(request.messages, request.schema), request.max_tokens)
            with await self._reserve(request, worst) as reservation:
                sent = await self._wait_for_turn(worst)
                # It may have waited for minutes, and another process may have asked the same.
                if reply := await self._on_disk(lambda: self._from_store(request)):
                    return reply
                began = time.monotonic()
                try:
                    received = await self._server.send(request_body(request, form, limit_name))
                except asyncio.CancelledError:
                    reservation.settle_at_worst()
                    raise
                seconds = time.monotonic() - began
                self._shared.was_reached |= (
                    received.http_status is not None or received.may_have_been_answered
                )
                outcome = outcome_of(received, form)
                if outcome.kind == "good":
                    self._shared.answered_models.add(request.model)
                    reply = await self._on_disk(partial(self._keep, request, received, form, number, seconds))
                    sent.tokens = reply.usage.prompt_tokens + reply.usage.completion_tokens
                    reservation.settle(reply.cost or 0.0, sent.tokens)
                    return reply
                if outcome.may_be_billed:
                    reservation.settle_at_worst()
            await self._on_disk(partial(self._note, request, received, outcome, number))
            if outcome.kind == "simpler_form":
                self._shared.dialect.learn_simpler_form(request.model, form)
            elif outcome.kind == "other_limit_name" and limit_name != OTHER_LIMIT_NAME:
                self._shared.dialect.limit_names[request.model] = OTHER_LIMIT_NAME
            else:
                return self._without_response(request, outcome, number)

    def _without_response(self, request: Request, outcome: Outcome, number: int) -> Reply:
        """Raises as `_attempt` does."""
        if outcome.kind == "again":
            if outcome.holds_everyone:
                self._shared.pace.hold(_pause_seconds(self._shared.limits, number, outcome))
            raise _TryAgain(outcome)
        known = self._shared.answered_models
        if outcome.kind == "no_access":
            if not known:
                raise self._no_access(outcome)
            if outcome.reason.startswith("HTTP 401"):
                self._stop(f"the server no longer takes the key: {outcome.reason}")
        elif outcome.kind == "no_model" and request.model not in known:
            raise self._no_model(request, outcome)
        elif outcome.kind == "no_money":
            self._stop(f"the account with the server has no money left: {outcome.reason}")
        return _failed(request, outcome.reason)

    async def _reserve(self, request: Request, worst: Usage) -> Reservation:
        money = self._shared.prices.cost(request.model, replace(worst)) or 0.0
        tokens = worst.prompt_tokens + worst.completion_tokens
        while True:
            if self.stop_reason:
                raise _Stopped
            if reservation := self._shared.budget.reserve(money, tokens):
                return reservation
            if not self._shared.budget.may_fit_later(money, tokens):
                self._stop(f"the budget does not reach: {self._shared.budget.in_words()}")
                raise _Stopped
            # Others in flight have set more aside than they may need. They may be another endpoint's,
            # in another loop, so there is no event to wait for.
            await self._sleep(_SECONDS_BETWEEN_LOOKS_AT_THE_BUDGET)

    async def _wait_for_turn(self, worst: Usage) -> Any:
        tokens = worst.prompt_tokens + worst.completion_tokens
        async with self._turn:  # first come, first served
            while seconds := self._shared.pace.seconds_to_wait(tokens):
                await self._sleep(seconds)
                if self.stop_reason:
                    break
            if self.stop_reason:
                raise _Stopped
            return self._shared.pace.take(tokens)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, or until all is stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            pass

    async def _on_disk(self, work: Callable[[], _T]) -> _T:
        return await self._loop.run_in_executor(self._disk, work)

    def _from_store(self, request: Request) -> Reply | None:
        stored = self._shared.store.get(self._shared.server, request)
        return None if stored is None else read_reply(request, stored, self._shared.prices)

    def _keep(
        self, request: Request, received: Received, form: AskedForm, number: int, seconds: float
    ) -> Reply:
        stored = self._shared.store.put(
            self._shared.server,
            request,
            received.body,
            asked_form=form,
            http_status=received.http_status or 0,
            attempts=number,
            seconds=seconds,
        )
        return read_reply(request, stored, self._shared.prices, is_new=True)

    def _note(self, request: Request, received: Received, outcome: Outcome, number: int) -> None:
        self._shared.store.fail(
            self._shared.server,
            request,
            outcome.reason,
            number=number,
            http_status=received.http_status,
            body=received.body,
        )

    def _nobody_there(self, outcome: Outcome) -> PalateError:
        num = self._shared.limits.max_attempts
        return WorkError(
            "no answer from the server",
            where=self._shared.server,
            why=f"{outcome.reason}, in {num} attempt{'s' * (num != 1)}",
            next="see that it runs and that the base URL is right, and run the same again",
        )

    def _no_access(self, outcome: Outcome) -> PalateError:
        variable = self._shared.key_variable
        if not variable:
            next = "name the environment variable that holds a key for it"
        elif self._shared.key is None:
            next = f"put a key for it into {variable}: it is not set"
        else:
            next = f"see that {variable} holds a key for this server that may use this model"
        return CallError(
            "the server refuses access", where=self._shared.server, why=outcome.reason, next=next
        )

    def _no_model(self, request: Request, outcome: Outcome) -> PalateError:
        return CallError(
            f'the server does not have the model "{request.model}", or the base URL is wrong',
            where=self._shared.server,
            why=outcome.reason,
            next="name a model that it serves (GET /models lists them); most base URLs end in /v1",
        )


def _outcome_in(state: tenacity.RetryCallState) -> Outcome:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, _TryAgain)
    return error.outcome


def _pause_seconds(limits: Limits, number: int, outcome: Outcome) -> float:
    """What the server asks for, up to a maximum; else doubling. Spread, so that not all come back at once."""
    if outcome.retry_after_seconds is not None:
        asked = min(outcome.retry_after_seconds, limits.max_retry_after_seconds)
        return asked + random.uniform(0, limits.first_backoff_seconds)
    doubling = limits.first_backoff_seconds * 2.0 ** min(number - 1, 60)
    return min(doubling, limits.max_backoff_seconds) * random.uniform(0.5, 1)


def _failed(request: Request, reason: str) -> Reply:
    return Reply(request, "failed", reason=reason)
