"""Foreign text stays text wherever it comes from and whatever page it stands on: nothing runs or loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from payloads import PAYLOADS
from voter import all_saved, come_in, press, see_pair
from voting_server import VotingServer, fill_store, voting_server

from palate.annotate.events import Event, Side
from palate.annotate.queue import side_on_left
from palate.annotate.rendering import render_page
from palate.annotate.store import VoteStore
from palate.records import Comparison, Message, Provenance

NAMES = ["<img src=x onerror=window.__hacked=1>", "{{7*7}} $& {name}", "';window.__hacked=1;//"]
ALL = "\n".join(PAYLOADS)
NOTES = [ALL[start : start + 1000].strip() for start in (0, 1000, 2000)]


def _hostile(number: int) -> Comparison:
    """All payloads in every place, as turns and as who speaks."""
    turns = [(f"{number}", "user"), *((text, "user") for text in PAYLOADS), ("x", PAYLOADS[0])]
    side = tuple(Message("assistant", text) for text in PAYLOADS)
    models = {"a": {"model": PAYLOADS[0]}, "b": {"model": PAYLOADS[5]}}
    prompt = tuple(Message(role, text) for text, role in turns)  # type: ignore[arg-type]
    return Comparison(prompt, side, side[::-1], Provenance("test", number, models))


@pytest.fixture
def hostile_store(tmp_path: Path) -> Path:
    """With votes under hostile names that disagree and have notes."""
    comparisons = [_hostile(number) for number in range(3)]
    path = fill_store(tmp_path / "votes.sqlite3", comparisons, task="compare", question=ALL)
    with VoteStore(path) as store:
        for place, item in enumerate(store.items()):
            for number, name in enumerate(NAMES[:2]):
                left = side_on_left(0, name, item.id, 0)
                choice: Side = ("a", "b")[(number + place) % 2]  # type: ignore[assignment]
                store.append(Event(f"key-{place}-{number}", name, "vote", item.id, 0, choice, left, ALL))
    return path


UNWANTED = (
    "img, script, svg:not(.interval), iframe, object, embed, style, [style], base, video, template, math, "
    "details, form:not(#entry-form), meta, link, a[href^='javascript']"
)


def _is_unharmed(page: Any) -> bool:
    ran = page.evaluate("window.__hacked")
    unwanted = page.evaluate(
        "(unwanted) => [...document.querySelectorAll('main, header, #notices')]"
        ".flatMap((part) => [...part.querySelectorAll(unwanted)]).map((found) => found.outerHTML)",
        UNWANTED,
    )
    return ran is None and unwanted == []


def test_what_is_voted_on_and_noted_stays_text(watched: Callable[..., Any], hostile_store: Path) -> None:
    with voting_server(store=hostile_store) as server:
        page = watched(server.root).page()
        come_in(page, server.entrance, NAMES[2])
        assert page.inner_text("#who") == NAMES[2]
        for note in NOTES:
            see_pair(page)
            assert _is_unharmed(page)
            assert PAYLOADS[0] in page.text_content("#question")
            for part in ("#prompt-turns", "#left-text", "#right-text"):
                assert all(text in page.text_content(part) for text in PAYLOADS[:40])
            page.keyboard.press("n")
            page.fill("#note", note)
            page.keyboard.press("Enter")
            press(page, "f")
        all_saved(page)
        assert [event.note for event in server.votes(NAMES[2])] == NOTES
        for address in ("/dashboard", "/?settle=1", "/?lang=<script>window.__hacked=1</script>&settle=<img>"):
            page.goto(server.root + address)
            page.wait_for_selector(
                "#reveal" if address == "/dashboard" else "#done:not([hidden]), #pair:not([hidden])"
            )
            assert _is_unharmed(page)
        page.goto(f"{server.root}/dashboard")
        page.click("#reveal")
        page.wait_for_selector("#reveal[aria-pressed=true]")
        assert PAYLOADS[0] in page.inner_text("#figures") and NAMES[0] in page.inner_text("#figures")
        assert _is_unharmed(page)


def test_a_refusal_is_text_too(watched: Callable[..., Any], shared_server: VotingServer) -> None:
    browser = watched(shared_server.root)
    page = browser.page()
    come_in(page, shared_server.entrance, "refused text")
    error = {"what": PAYLOADS[5], "why": PAYLOADS[9], "next": PAYLOADS[14]}
    page.route("**/api/events", lambda route: route.fulfill(status=422, json={"error": error}))
    press(page, "f")
    page.wait_for_selector(".notice")
    assert PAYLOADS[5] in page.inner_text("#notices") and _is_unharmed(page)
    browser.forgive_lost_requests()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_the_server_writes_into_a_page_is_escaped(payload: str) -> None:
    for name in ("vote", "dashboard", "login", "enter"):
        plain = render_page(name, "en", csrf="c", store="s")  # type: ignore[arg-type]
        with_payload = render_page(name, "en", csrf=payload, store=payload)  # type: ignore[arg-type]
        assert plain.count("<") == with_payload.count("<")
        assert plain.count('"') <= with_payload.count('"')
        assert "<script>" not in with_payload
