"""Whom a command asks, and how, as typed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cyclopts

from palate.asking import (
    Account,
    Asker,
    Budget,
    Endpoint,
    Limits,
    PriceList,
    Rehearsal,
    ResponseStore,
    default_store_path,
    load_prices,
)
from palate.cli.typed import given, typed
from palate.data.excerpts import excerpt
from palate.errors import CallError
from palate.watcher import Watcher

__all__ = ["ASKING", "PLAYGROUND", "Askers", "AskingOptions", "asking"]

PLAYGROUND = "playground"
_SERVER_ONLY = (
    "api_key_env",
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "timeout_seconds",
    "max_retries",
    "budget",
    "budget_tokens",
    "prices",
)


@cyclopts.Parameter(name="*", group=cyclopts.Group("Servers and local models", sort_key=3))
@dataclass(frozen=True, slots=True, kw_only=True)
class AskingOptions:
    """What a command that asks models takes as `asking: AskingOptions = ASKING`."""

    api_key_env: str | None = None
    """The environment variable with the server's key; OPENAI_API_KEY where absent."""
    concurrency: int | None = None
    """Requests in flight at once; 8 where absent."""
    requests_per_minute: int | None = None
    """The most requests sent in any 60 seconds."""
    tokens_per_minute: int | None = None
    """The most tokens of prompts and answers in any 60 seconds."""
    timeout_seconds: float | None = None
    """For one attempt, from sending to the last byte; 300 where absent."""
    max_retries: int | None = None
    """How often a failed request is sent again; 5 where absent."""
    budget: float | None = None
    """Stop before more than this is spent, in the currency of the price list."""
    budget_tokens: int | None = None
    """Stop before more tokens than this are used."""
    prices: Path | None = None
    """A price list: YAML with input_per_million and output_per_million for each model."""
    batch_size: int | None = None
    """Answers a local model writes at once; 16 where absent."""
    store: Path | None = None
    """Where responses are kept; responses.sqlite3 in Palate's home where absent."""


ASKING = AskingOptions()
"""Nothing said."""


class _Accounted(Asker, Protocol):
    account: Account


class Askers:
    """Who is asked, one for each server or local model. Made by `asking`."""

    def __init__(self, options: AskingOptions, store: ResponseStore, watcher: Watcher) -> None:
        self.options, self.store, self.watcher = options, store, watcher
        self.made: dict[tuple[str | None, str], _Accounted] = {}
        self._rehearsals: dict[int, Rehearsal] = {}
        self.prices = load_prices(options.prices) if options.prices is not None else PriceList()
        self.budget = Budget(options.budget, options.budget_tokens)

    def of(self, model: str, base_url: str | None, api_key_env: str | None = None) -> Asker:
        """Who answers for this model: the server, or the model itself where no server is named.

        `api_key_env` goes before the option of that name.
        """
        return self._of(model, base_url, api_key_env)

    def rehearsal_of(self, model: str, base_url: str | None, api_key_env: str | None = None) -> Rehearsal:
        """One who counts what would be asked of them, and asks nothing."""
        asker = self._of(model, base_url, api_key_env)
        prices = self.prices if base_url is not None else PriceList.free()
        return self._rehearsals.setdefault(id(asker), Rehearsal(asker, self.store, prices))

    @property
    def rehearsed(self) -> list[dict[str, Any]]:
        """What the rehearsals counted: a row for each model."""
        return [row for rehearsal in self._rehearsals.values() for row in rehearsal.as_rows()]

    def _of(self, model: str, base_url: str | None, api_key_env: str | None) -> _Accounted:
        key = (base_url, (api_key_env or "") if base_url is not None else model)
        if key not in self.made:
            self.made[key] = (
                self._server(base_url, api_key_env) if base_url is not None else self._local(model)
            )
        return self.made[key]

    def _server(self, base_url: str, api_key_env: str | None) -> _Accounted:
        options = self.options
        api_key_env = api_key_env or options.api_key_env
        _refuse_unset(api_key_env)
        said = {
            "concurrency": options.concurrency,
            "requests_per_minute": options.requests_per_minute,
            "tokens_per_minute": options.tokens_per_minute,
            "timeout_seconds": options.timeout_seconds,
            "max_attempts": None if options.max_retries is None else options.max_retries + 1,
        }
        limits: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
        return Endpoint(
            base_url,
            store=self.store,
            limits=Limits(**limits),
            prices=self.prices,
            budget=self.budget,
            **({} if api_key_env is None else {"api_key_env": api_key_env}),
        )

    def _local(self, model: str) -> _Accounted:
        from palate.generate.local import LocalModel

        folder = None
        if model == PLAYGROUND:
            from palate.pipeline.bases import playground_folder

            folder = playground_folder(self.watcher)
        size = self.options.batch_size
        return LocalModel(model, store=self.store, folder=folder, batch_size=16 if size is None else size)


@contextmanager
def asking(options: AskingOptions, base_urls: Sequence[str | None], watcher: Watcher) -> Iterator[Askers]:
    """Whom to ask; the store is closed at the end.

    Raises:
        CallError: an option has no effect on those that are asked, or cannot have its value.
    """
    _refuse_without_effect(options, base_urls)
    with ResponseStore(options.store or default_store_path()) as store:
        yield Askers(options, store, watcher)


def _refuse_without_effect(options: AskingOptions, base_urls: Sequence[str | None]) -> None:
    said = given(options)
    if all(url is None for url in base_urls) and (idle := [name for name in _SERVER_ONLY if name in said]):
        raise CallError(
            f"{', '.join(map(typed, idle))}: no effect on a model of this machine",
            why="there is no server to be paced, paid or waited for",
            next=f"drop {'it' if len(idle) == 1 else 'them'}, or name the server to be asked",
        )
    if None not in base_urls and options.batch_size is not None:
        raise CallError(
            "--batch-size: no effect on a server",
            why="it says how many answers a local model writes at once",
            next="--concurrency says how many requests are in flight",
        )
    if options.max_retries is not None and options.max_retries < 0:
        raise CallError(f"--max-retries {options.max_retries}", next="give 0 or more")
    _refuse_unset(options.api_key_env)
    if options.budget is not None and options.prices is None:
        raise CallError(
            "--budget needs --prices",
            why="no prices are built in: they change, and a wrong one would spend your money",
            next="name a price list, or set --budget-tokens",
        )


def _refuse_unset(api_key_env: str | None) -> None:
    if api_key_env is not None and not os.environ.get(api_key_env, "").strip():
        raise CallError(
            f"api_key_env: the environment variable {excerpt(api_key_env, 60)} is not set",
            next="set it, or drop the option where the server wants no key",
        )
