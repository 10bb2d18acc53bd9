"""Asking without asking: everything is counted once, and nothing is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from palate.asking import Price, PriceList, Rehearsal, Reply, Request, ResponseStore, Usage, chat_completion
from palate.records import Message
from palate.watcher import Watcher


class Nobody:
    """Whom a rehearsal stands in for: must not be asked."""

    server = "http://nobody.example/v1"

    def ask(self, requests: Iterable[Request], watcher: Watcher | None = None) -> Iterator[Reply]:
        raise AssertionError("it was asked")


def request(text: str, **changes: object) -> Request:
    said = {"model": "m", "messages": (Message("user", text),), "max_tokens": 50, **changes}
    return Request(**said)  # type: ignore[arg-type]


def test_each_request_counts_once_and_what_is_stored_costs_nothing(tmp_path: Path) -> None:
    """Three words of 30 ASCII characters are 10 tokens and 8 around them: 18 + 50, at 1 and 2 a token."""
    prices = PriceList({"m": Price(1e6, 2e6)}, "USD")
    with ResponseStore(tmp_path / "s.sqlite3") as store:
        known = request("k" * 30)
        store.put(
            Nobody.server, known,
            chat_completion("yes", model="m", finish_reason="stop", usage=Usage(1, 1)), asked_form="text",
        )  # fmt: skip
        rehearsal = Rehearsal(Nobody(), store, prices)
        new = request("n" * 30)
        for _ in range(2):
            replies = list(rehearsal.ask([known, new, new]))
            assert [reply.status for reply in replies] == ["answered", "not_asked", "not_asked"]
        assert rehearsal.as_rows() == [
            {
                "server": Nobody.server, "model": "m", "num_requests": 1, "num_stored": 1,
                "max_prompt_tokens": 18, "max_completion_tokens": 50, "max_cost": pytest.approx(118.0),
                "currency": "USD",
            }
        ]  # fmt: skip


def test_a_model_without_a_price_has_no_cost(tmp_path: Path) -> None:
    with ResponseStore(tmp_path / "s.sqlite3") as store:
        rehearsal = Rehearsal(Nobody(), store)
        list(rehearsal.ask([request("x")]))
        assert rehearsal.as_rows()[0]["max_cost"] is None
