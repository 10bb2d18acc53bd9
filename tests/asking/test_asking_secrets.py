"""A key is sent, and stands nowhere else: not in the store, in errors, in replies or in logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking_scene import question, quick

from palate.asking import Endpoint, Reply, ResponseStore
from palate.errors import CallError
from running_server import RunningServer, running_server

KEY = "sk-very-secret-1234567890"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that wants the key, and repeats a wrong one in its complaint."""
    with running_server(tmp_path / "guarded.jsonl", "--key", KEY) as running:
        yield running


def written(tmp_path: Path) -> bytes:
    return b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_the_key_is_sent_and_kept_nowhere(
    guarded: RunningServer,
    store: ResponseStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    here = Endpoint(guarded.base_url, store=store, api_key_env="SOME_KEY", limits=quick())
    replies = list(
        here.ask([question("hello"), question("<<status:400>>"), question(f"<<text:{KEY[::-1]}>>")])
    )
    assert sorted(reply.status for reply in replies) == ["answered", "answered", "failed"]
    assert KEY.encode() not in written(tmp_path)
    assert KEY not in caplog.text
    assert KEY not in repr(here.__dict__) + repr(replies) + repr(here.account)


def test_a_server_that_repeats_the_key_does_not_get_it_into_the_error(
    guarded: RunningServer, store: ResponseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "sk-another-secret-123"
    monkeypatch.setenv("SOME_KEY", wrong)
    here = Endpoint(guarded.base_url, store=store, api_key_env="SOME_KEY", limits=quick())
    with pytest.raises(CallError, match="refuses access") as told:
        list(here.ask([question("hello")]))
    assert "Incorrect API key provided: [API key]" in told.value.why
    assert wrong.encode() not in written(tmp_path)


def test_no_key_no_header(
    server: RunningServer, store: ResponseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-mine")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-mine")
    list(Endpoint(server.base_url, store=store, limits=quick()).ask([question("hello")]))
    [arrival] = server.arrivals()
    assert [
        name
        for name in arrival["headers"]
        if name in ("authorization", "openai-organization", "openai-project")
    ] == []


def test_openais_key_goes_where_it_is_told(
    server: RunningServer, store: ResponseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Naming another variable, or none, must not fall back on the usual one."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for variable, sent in [("OTHER_KEY", False), (None, False), ("OPENAI_API_KEY", True)]:
        here = Endpoint(server.base_url, store=store, api_key_env=variable, limits=quick())
        list(here.ask([question(f"hello {variable}")]))
        assert ("authorization" in server.arrivals()[-1]["headers"]) is sent


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{KEY}@example.com/v1",
        f"https://{KEY}@example.com/v1",
        f"https://example.com/v1?api_key={KEY}",
        f"https://example.com/v1#{KEY}",
        f"ftp://user:{KEY}@example.com?x={KEY}",
        f"user:{KEY}@example.com",
    ],
)
def test_a_url_with_what_may_be_a_secret_is_refused_without_repeating_it(
    url: str, store: ResponseStore
) -> None:
    with pytest.raises(CallError) as told:
        Endpoint(url, store=store)
    assert KEY not in str(told.value)


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "http://", "example.com/v1", "http://[::1", "http://a:b/v1"]
)
def test_a_url_that_is_none(url: str, store: ResponseStore) -> None:
    with pytest.raises(CallError, match="no base URL"):
        Endpoint(url, store=store)


def test_one_server_has_one_name(store: ResponseStore) -> None:
    names = {
        Endpoint(url, store=store).server
        for url in ("http://Host:80/v1", "http://host:80/v1/", " http://host:80/v1")
    }
    assert names == {"http://host:80/v1"}


def test_a_key_inside_a_prompt_is_refused(
    server: RunningServer, store: ResponseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    here = Endpoint(server.base_url, store=store, api_key_env="SOME_KEY", limits=quick())
    for asked in (question(f"use {KEY}"), question("x", extra={"api_key": KEY})):
        with pytest.raises(CallError, match="holds the API key") as told:
            list(here.ask([asked]))
        assert KEY not in str(told.value)
    assert KEY.encode() not in written(tmp_path)


def test_a_word_that_stands_for_a_key_is_no_secret(
    server: RunningServer, store: ResponseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many local servers want any key; people write EMPTY, and what was said must not lose that word."""
    monkeypatch.setenv("SOME_KEY", "EMPTY")
    here = Endpoint(server.base_url, store=store, api_key_env="SOME_KEY", limits=quick())
    [reply] = here.ask([question("Is it EMPTY? <<text:The glass is EMPTY.>>")])
    assert reply.text == "The glass is EMPTY."


def test_a_key_that_no_header_can_hold(store: ResponseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-ü and more")
    with pytest.raises(CallError, match="SOME_KEY") as told:
        Endpoint("http://localhost/v1", store=store, api_key_env="SOME_KEY")
    assert "sk-" not in str(told.value)


def test_replies_say_nothing_of_keys() -> None:
    assert not [name for name in Reply.__dataclass_fields__ if "key" in name]
