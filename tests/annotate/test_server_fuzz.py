"""Anything at all is sent to every route: it is answered or refused, and never breaks the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from asgi_browser import Browser, new_browser, sent_vote, store_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored_votes import comparison

from palate.annotate.guard import HEADERS

ROUTES = [
    "/", "/dashboard", "/enter", "/login", "/static/page.css", "/api/next", "/api/events", "/api/standing",
    "/api/disagreements",
]  # fmt: skip
HEADER_NAMES = [
    "host", "origin", "cookie", "content-type", "content-length", "x-palate-csrf", "sec-fetch-site",
    "accept-language", "sec-fetch-mode", "sec-fetch-dest", "transfer-encoding",
    "x-forwarded-for", "range", "if-none-match",
]  # fmt: skip

tried = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

anything = st.one_of(st.text(max_size=30), st.binary(max_size=30).map(lambda some: some.decode("latin-1")))
queries = st.lists(
    st.tuples(
        st.sampled_from(["annotator", "count", "skip", "reveal", "token", "lang", "x", ""]),
        st.one_of(st.sampled_from(["Ann", "1", "0" * 16 + ":0"]).map(str.encode), st.binary(max_size=20)),
    ),
    max_size=4,
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=50)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with store_in(tmp_path) as store:
        found = new_browser(store, map(comparison, range(1, 4)))
        yield found.enter()
        found.close()


def check(answer: Any) -> None:
    assert answer.status < 500, answer
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    if answer.status >= 400 and answer.headers["content-type"] == "application/json" and answer.body:
        assert answer.json()["error"]["what"]


def target(route: str, query: list[tuple[str, bytes]]) -> str:
    return route + "?" + "&".join(f"{name}={quote_from_bytes(value)}" for name, value in query)


@tried
@given(route=st.sampled_from(ROUTES), query=queries)
def test_any_question(browser: Browser, route: str, query: list[tuple[str, bytes]]) -> None:
    check(browser.get(target(route, query)))


@tried
@given(path=st.binary(max_size=40), query=st.binary(max_size=40))
def test_any_address(browser: Browser, path: bytes, query: bytes) -> None:
    check(browser.get(f"/{quote_from_bytes(path, safe='/%')}?{quote_from_bytes(query, safe='=&%+;')}"))


@tried
@given(
    route=st.sampled_from(ROUTES),
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS", "BREW"]),
    headers=st.dictionaries(
        st.sampled_from(HEADER_NAMES),
        st.binary(max_size=40).map(lambda some: some.decode("latin-1")),
        max_size=4,
    ),
    body=st.lists(st.binary(max_size=50), min_size=1, max_size=3),
)
def test_any_headers(
    browser: Browser, route: str, method: str, headers: dict[str, str], body: list[bytes]
) -> None:
    check(browser.ask(method, route, headers, body))


@tried
@given(content=values)
def test_any_json(browser: Browser, content: Any) -> None:
    check(browser.post(json.dumps(content).encode()))


@tried
@given(body=st.binary(max_size=200))
def test_any_bytes(browser: Browser, body: bytes) -> None:
    check(browser.post(body))
    form = {"content-type": "application/x-www-form-urlencoded"}
    check(browser.ask("POST", "/login", form, [body]))


@tried
@given(
    changes=st.dictionaries(st.sampled_from([*sent_vote("x"), "other"]), values, max_size=3),
    text=anything,
    field=st.sampled_from(["note", "annotator", "key", "item", "choice", "kind", "undoes"]),
)
def test_any_event(browser: Browser, changes: dict[str, Any], text: str, field: str) -> None:
    """Most of it a vote as it should be, so that what is odd in it gets far."""
    item = comparison(1).id
    check(
        browser.post(
            json.dumps(sent_vote(item, f"key-{hash(text) & 0xFFFFFFFF:010}") | {field: text}).encode()
        )
    )
    check(browser.post(json.dumps(sent_vote(item) | changes).encode()))
    check(browser.get("/api/standing"))
