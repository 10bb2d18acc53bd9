"""People vote: a source goes into a store, a server shows it, and until it is stopped it takes votes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from palate.annotate.events import Task
from palate.annotate.security import Access, Password, PublicName
from palate.annotate.server import build_app
from palate.annotate.serving import listen, serve
from palate.annotate.settings import Settings, read_settings, write_settings
from palate.annotate.store import VoteStore
from palate.annotate.voting import IDENTITY, Voting
from palate.annotate.wording import Language
from palate.errors import CallError, DataError
from palate.pipeline.annotation_source import AnnotationSource, read_annotation_source

__all__ = ["Address", "Serving", "annotate_source", "settle_settings"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens, and who may come in."""

    host: str = "127.0.0.1"
    port: int = 8765
    """0: any that is free."""
    password: str | None = None
    """Asked of everybody; without one there is a token in the address, and only this machine is served."""
    public_names: Sequence[str] = ()
    """Under which names people reach it, where they come from other machines."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What is known when the server answers, and again when it has stopped."""

    url: str
    """Where to begin. The token in it lets in whoever has it."""
    store: str
    """The file, or the URL without its password."""
    num_items: int
    num_new: int
    """Of the items, those that were not in the store before."""
    num_votes: int
    source: AnnotationSource | None
    is_encrypted: bool
    """False where votes and the password go over a network as they are."""


def annotate_source(
    source: str | None,
    *,
    store: str | None = None,
    task: Task | None = None,
    settings: Mapping[str, Any] | None = None,
    limit: int | None = None,
    address: Address | None = None,
    language: Language = "en",
    on_ready: Callable[[Serving], None] = lambda serving: None,
) -> Serving:
    """Serve the voting page until SIGINT or SIGTERM; returns what there is then.

    Args:
        source: a file of comparisons or preference data, a Hub data set, a run folder, or `playground`; None
            goes on with what is in the store.
        store: a path, or a database's URL; beside the source where absent.
        task: what the votes are for; a run is compared, anything else labelled, where absent.
        settings: those of `Settings` that are to be others than the store's; they are kept in it.
        limit: take the first so many comparisons of the source.
        address: where to listen.
        language: the pages', where a visitor's browser asks for none they speak.
        on_ready: called once, when requests are answered.

    Raises:
        CallError: something cannot be as it was asked for. DataError: there is nothing to vote on.
        StoreUnavailable: the store cannot be read or written.
    """
    address = address or Address()
    if source is None:
        _refuse_without_source(store, task, limit)
    password = Password(address.password) if address.password is not None else None
    names = tuple(PublicName.parse(name) for name in address.public_names)
    access = Access(address.port, address.host, names, password)
    with listen(address.host, address.port) as listening:
        access = replace(access, port=listening.getsockname()[1])
        found = read_annotation_source(source, limit=limit) if source is not None else None
        where = store if store is not None else found.store if found is not None else ""
        with VoteStore(where, must_exist=found is None) as opened:
            settle_settings(opened, settings or {})
            num_new = _fill(opened, found, task) if found is not None else 0
            voting = Voting(opened)
            if not voting.num_items:
                raise DataError("there is nothing to vote on", where=opened.name, next="name a source")

            def serving() -> Serving:
                num_items, num_votes = voting.num_items, voting.num_votes
                encrypted = access.is_loopback or access.is_https
                return Serving(access.url(), opened.name, num_items, num_new, num_votes, found, encrypted)

            serve(build_app(voting, access, language=language), listening, lambda: on_ready(serving()))
            return serving()


def _refuse_without_source(store: str | None, task: Task | None, limit: int | None) -> None:
    if store is None:
        raise CallError(
            "there is nothing to vote on: neither a source nor a store is named",
            where="palate annotate",
            next="palate annotate SOURCE, or --store with a store that has items",
        )
    for name, value in (("--task", task), ("--limit", limit)):
        if value is not None:
            raise CallError(
                f"{name} has no effect without a source", where="palate annotate", next=f"drop {name}"
            )


def _fill(store: VoteStore, source: AnnotationSource, task: Task | None) -> int:
    return store.add_items((comparison, task or source.task) for comparison in source.comparisons)


def settle_settings(store: VoteStore, given: Mapping[str, Any]) -> Settings:
    """The store's settings, with what was `given` in their place, kept in the store from now on.

    Raises:
        CallError: a value has no meaning, or the seed is another than the one pairs were shown under.
    """
    if "seed" not in given and store.setting("seed") is None and store.setting(IDENTITY) is None:
        # Of a seed that everybody knows anybody can reckon which side is whose: a new store draws its own.
        store.settled("seed", secrets.randbelow(2**53))
    before = read_settings(store)
    settings = replace(before, **given)
    # Also without a vote in the store: browsers keep those that a lost network held up.
    if settings.seed != before.seed and (store.setting(IDENTITY) is not None or store.events()):
        raise CallError(
            f"the pairs in this store were shown under seed {before.seed}, and {settings.seed} is given",
            where="--seed",
            why="the seed decides sides: a page that is still open would mean left and this server right",
            next="leave out --seed, or take another --store",
        )
    write_settings(store, settings)
    return settings
