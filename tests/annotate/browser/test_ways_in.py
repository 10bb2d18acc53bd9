"""The ways into the voting page, and some that lead nowhere, in a browser that keeps the rules of the web."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import pytest
from voting_server import VotingServer, comparison, fill_store, voting_server

ELSEWHERE = "http://elsewhere.example/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VotingServer]:
    """Nobody votes on it."""
    store = tmp_path_factory.mktemp("ways") / "votes.sqlite3"
    fill_store(store, [comparison(1)])
    with voting_server(store=store) as found:
        yield found


@contextmanager
def a_page_elsewhere(chromium: Any, html: str) -> Iterator[Any]:
    """A tab on another site's page."""
    context = chromium.new_context()
    context.set_default_timeout(8000)
    context.route(f"{ELSEWHERE}**", lambda route: route.fulfill(body=html, content_type="text/html"))
    page = context.new_page()
    page.goto(ELSEWHERE)
    yield page
    context.close()


def test_a_link_in_a_mail_leads_in(chromium: Any, server: VotingServer) -> None:
    """The browser sends no Strict cookie along another site's link, nor along a redirect that follows it."""
    link = f'<a href="{escape(server.entrance)}">vote</a>'
    with a_page_elsewhere(chromium, link) as page:
        page.click("a")
        page.wait_for_url(f"{server.root}/")
        page.wait_for_selector("#entry-form")


def test_the_file_that_opens_the_page_leads_in(chromium: Any, server: VotingServer) -> None:
    from palate.cli.annotate import _browser

    context = chromium.new_context()
    page = context.new_page()
    opened: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("webbrowser.open", opened.append)
        patch.setattr("threading.Thread.start", lambda thread: thread.run())
        with _browser() as open_page:
            open_page(server.entrance)
            patch.undo()
            page.goto(opened[0])
            page.wait_for_url(f"{server.root}/")
            page.wait_for_selector("#entry-form")
    context.close()


def test_another_site_does_not_vote(chromium: Any, server: VotingServer) -> None:
    """In a browser that is let in: by form, by script, and by a frame that a click could be stolen in."""
    event = {
        "key": "key-00000001",
        "annotator": "Eve",
        "kind": "vote",
        "item": comparison(1).id,
        "choice": "left",
    }
    html = (
        f'<form method=post enctype=text/plain action="{server.root}/api/events" target=there>'
        f"<input name='{json.dumps(event)[:-1]}, \"note\": \"' value='\"}}'></form>"
        "<iframe name=there></iframe>"
        f'<iframe id=frame src="{server.root}/"></iframe>'
    )
    with a_page_elsewhere(chromium, html) as page:
        home = page.context.new_page()
        home.goto(server.entrance)
        home.wait_for_selector("#entry-form")
        page.evaluate("document.forms[0].submit()")
        page.evaluate(
            """([root, body]) => Promise.all(["text/plain", "application/json"].map((type) =>
            fetch(root + "/api/events", {method: "POST", mode: "no-cors", credentials: "include",
                headers: {"content-type": type}, body}).catch(() => null)))""",
            [server.root, json.dumps(event)],
        )
        read = page.evaluate(
            """(root) => fetch(root + "/api/next?annotator=Eve", {credentials: "include"})
            .then((answer) => answer.text(), () => "blocked")""",
            server.root,
        )
        assert read == "blocked"
        framed = page.query_selector("#frame").content_frame()
        assert framed is None or framed.query_selector("#entry-form") is None
    assert server.events() == []


def test_a_password_in_the_form_lets_in(chromium: Any, tmp_path: Path) -> None:
    """The form's page sends no referrer, so the browser says `Origin: null`."""
    store = tmp_path / "votes.sqlite3"
    fill_store(store, [comparison(1)])
    command = [sys.executable, "-m", "palate", "annotate", "--store", str(store), "--port", "0", "--json"]
    secret = "correct horse battery"
    with subprocess.Popen(
        [*command, "--password-env", "VOTING"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "VOTING": secret},
    ) as child:  # fmt: skip
        try:
            assert child.stdout is not None
            url = json.loads(child.stdout.readline())["url"]
            context = chromium.new_context()
            context.set_default_timeout(8000)
            page = context.new_page()
            page.goto(url.replace("/login", "/"))
            page.wait_for_url(url)
            page.fill("#password", "wrong horse battery")
            page.press("#password", "Enter")
            page.wait_for_selector("#problem")
            page.fill("#password", secret)
            page.press("#password", "Enter")
            page.wait_for_selector("#entry-form")
            assert page.url == url.replace("/login", "/")
            context.close()
        finally:
            child.terminate()
            child.wait(30)
