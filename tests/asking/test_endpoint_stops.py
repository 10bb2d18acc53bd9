"""When asking ends early: refused keys, unknown models, no server, no money, a spent budget, a full disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking_scene import question, quick

from palate.asking import Budget, Endpoint, Limits, Price, PriceList, Reply, ResponseStore
from palate.errors import ArtifactError, CallError, WorkError
from running_server import RunningServer, running_server

Make = Callable[..., Endpoint]


def statuses(replies: list[Reply]) -> dict[str, int]:
    return dict(Counter(reply.status for reply in replies))


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_refused_key_is_an_error_that_names_its_variable(
    status: str, server: RunningServer, endpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [question(f"{number} <<status:{status}>>") for number in range(40)]
    with pytest.raises(CallError, match="refuses access") as told:
        list(endpoint(api_key_env="MY_KEY").ask(asked))
    assert "MY_KEY: it is not set" in told.value.next
    assert len(server.arrivals()) <= 8, "those in flight, and none after"
    monkeypatch.setenv("MY_KEY", "abc")
    with pytest.raises(CallError) as told:
        list(endpoint(api_key_env="MY_KEY").ask(asked))
    assert "see that MY_KEY holds a key" in told.value.next
    with pytest.raises(CallError) as told:
        list(endpoint(api_key_env=None).ask(asked))
    assert "name the environment variable" in told.value.next


def test_a_key_that_is_no_longer_taken_ends_it_and_keeps_what_came(endpoint: Make) -> None:
    here = endpoint(limits={"concurrency": 1})
    asked = [question("a"), question("b <<status:401>>"), *(question(str(n)) for n in range(5))]
    replies = list(here.ask(asked))
    assert statuses(replies) == {"answered": 1, "failed": 1, "not_asked": 5}
    assert all("no longer takes the key" in reply.reason for reply in replies if reply.status == "not_asked")


def test_one_forbidden_prompt_among_others_fails_by_itself(endpoint: Make) -> None:
    asked = [question("a"), question("b <<status:403>>"), question("c <<status:404>>"), question("d")]
    assert statuses(list(endpoint(limits={"concurrency": 1}).ask(asked))) == {"answered": 2, "failed": 2}


def test_an_unknown_model_is_an_error_that_names_it(endpoint: Make) -> None:
    with pytest.raises(CallError, match='does not have the model "missing"') as told:
        list(endpoint().ask([question("a", model="missing")]))
    assert "does not exist" in told.value.why


def test_a_wrong_path_says_what_base_urls_look_like(server: RunningServer, store: ResponseStore) -> None:
    with pytest.raises(CallError, match="the base URL is wrong") as told:
        list(Endpoint(server.base_url.removesuffix("/v1"), store=store, limits=quick()).ask([question("a")]))
    assert "/v1" in told.value.next


def test_no_server_is_an_error_and_what_is_stored_is_given_out_all_the_same(
    server: RunningServer, store: ResponseStore, tmp_path: Path
) -> None:
    with running_server(tmp_path / "other") as gone:
        list(Endpoint(gone.base_url, store=store, limits=quick()).ask([question("a")]))
    here = Endpoint(gone.base_url, store=store, limits=quick(max_attempts=2))
    replies = here.ask([question("a"), question("b")])
    assert next(replies).status == "answered"
    with pytest.raises(WorkError, match="no answer from the server") as told:
        next(replies)
    assert "no connection" in told.value.why


@pytest.mark.parametrize("script", ["status:402", "quota"])
def test_an_empty_account_stops_and_what_is_in_flight_is_kept(
    script: str, server: RunningServer, endpoint: Make, store: ResponseStore
) -> None:
    here = endpoint(limits={"concurrency": 4})
    asked = [question(f"{n} <<slow:0.3>>") for n in range(3)] + [question(f"<<{script}>>")]
    replies = list(here.ask(asked + [question(str(n)) for n in range(30)]))
    assert statuses(replies) == {"answered": 3, "failed": 1, "not_asked": 30}
    assert all("no money" in reply.reason for reply in replies if reply.status == "not_asked")
    assert (len(server.arrivals()), len(store)) == (4, 3)
    again = list(endpoint().ask(asked[:3] + [question(str(n)) for n in range(30)]))
    assert statuses(again) == {"answered": 33}
    assert len(server.arrivals()) == 4 + 30


def test_a_budget_in_tokens_is_never_passed(server: RunningServer, endpoint: Make) -> None:
    """Each takes 18 tokens, as the server counts."""
    budget = Budget(tokens=400)
    here = endpoint(budget=budget, limits={"concurrency": 8})
    replies = list(here.ask([question(str(n), max_tokens=100) for n in range(60)]))
    num_answered = statuses(replies)["answered"]
    assert statuses(replies) == {"answered": num_answered, "not_asked": 60 - num_answered}
    # At worst one takes 9 and 100. While no more than 291 are spent another fits: at 288, not at 306.
    assert num_answered == 17
    assert budget.spent_tokens == 17 * 18
    assert len(server.arrivals()) == 17
    assert "306 of 400 tokens spent" in next(r.reason for r in replies if r.status == "not_asked")


def test_a_budget_in_money_counts_every_endpoint_that_shares_it(
    server: RunningServer, store: ResponseStore
) -> None:
    prices = PriceList({"*": Price(0, 1_000_000)})  # 1 for each token of an answer
    budget = Budget(money=50)
    one = Endpoint(server.base_url, store=store, limits=quick(), prices=prices, budget=budget)
    two = Endpoint(server.base_url, store=store, limits=quick(), prices=prices, budget=budget)
    asked = [question(str(n), max_tokens=10) for n in range(20)]
    first = list(one.ask(asked[:3]))
    second = list(two.ask(asked[3:]))
    assert statuses(first) == {"answered": 3}
    # 24 are spent; the fourth to sixth bring it to 48, and 10 more do not fit.
    assert statuses(second) == {"answered": 3, "not_asked": 14}
    assert budget.spent_money == 48
    assert statuses(list(one.ask(asked))) == {"answered": 6, "not_asked": 14}, "stored ones cost nothing"


def test_a_budget_in_money_needs_a_price(server: RunningServer, endpoint: Make) -> None:
    with pytest.raises(CallError, match='"m" has no price'):
        list(endpoint(budget=Budget(money=1)).ask([question("a")]))
    assert server.arrivals() == []


@pytest.mark.parametrize("script", ["never", "cut", "half_body"])
def test_what_may_have_been_billed_counts_at_its_worst(script: str, endpoint: Make) -> None:
    budget = Budget(tokens=1000)
    here = endpoint(budget=budget, limits={"timeout_seconds": 0.2, "max_attempts": 2})
    list(here.ask([question(f"<<{script}>>", max_tokens=100)]))
    assert 200 < budget.spent_tokens < 260


@pytest.mark.parametrize("script", ["status:500", "busy:0.01", "status:400"])
def test_what_was_not_answered_costs_nothing(script: str, endpoint: Make) -> None:
    budget = Budget(tokens=1000)
    list(endpoint(budget=budget).ask([question(f"<<{script}>>", max_tokens=100)]))
    assert budget.spent_tokens == 0


def test_what_cannot_be_stored_is_not_given_out(
    server: RunningServer, endpoint: Make, store: ResponseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, num_puts = store.put, 0

    def full_after_five(*args: Any, **kwargs: Any) -> Any:
        nonlocal num_puts
        num_puts += 1
        if num_puts > 5:
            raise ArtifactError("the store cannot be used: database or disk is full")
        return real(*args, **kwargs)

    monkeypatch.setattr(store, "put", full_after_five)
    got = []
    with pytest.raises(ArtifactError, match="disk is full"):
        got.extend(endpoint(limits={"concurrency": 4}).ask(question(str(n)) for n in range(100)))
    assert len(store) == 5
    assert len(server.arrivals()) <= 5 + 4 + 4


@pytest.mark.parametrize("field", ["concurrency", "timeout_seconds", "max_attempts", "requests_per_minute"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_limit_is_positive(field: str, value: float) -> None:
    with pytest.raises(CallError, match=field):
        Limits(**{field: value})  # type: ignore[arg-type]
