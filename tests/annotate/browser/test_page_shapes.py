"""The pages on a phone, enlarged, in both languages; and the dashboard with what it leads to."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from voter import all_saved, come_in, press, see_pair
from voting_server import VotingServer, comparison, fill_store, voting_server

from palate.annotate.events import Event
from palate.annotate.queue import side_on_left
from palate.annotate.store import VoteStore

Watched = Callable[..., Any]

PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True}
NARROW = {"viewport": {"width": 320, "height": 568}, "has_touch": True}
ENLARGED = {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2}


def _fits(page: Any) -> bool:
    """Whether nothing has to be scrolled sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def _targets(page: Any) -> dict[str, Any]:
    boxes = {}
    for found in page.query_selector_all("button, a, input, textarea"):
        if found.is_visible() and not found.evaluate("(e) => e.matches('.jump')"):
            boxes[found.evaluate("(e) => e.outerHTML")] = found.bounding_box()
    return boxes


@pytest.mark.parametrize("shape", [PHONE, NARROW, ENLARGED], ids=["phone", "narrow", "at 200%"])
def test_a_small_screen_has_all_it_needs_within_reach(
    watched: Watched, shared_server: VotingServer, shape: dict[str, Any]
) -> None:
    name = f"Maximiliane von Klein {shape['viewport']['width']}"
    page = watched(shared_server.root, **shape).page()
    come_in(page, shared_server.entrance, name)
    assert _fits(page)
    choices = [page.query_selector(f"[data-does={does}]") for does in ("left", "right", "tie", "both_bad")]
    height = shape["viewport"]["height"]
    for box in [choice.bounding_box() for choice in choices]:
        assert box["y"] >= 0 and box["y"] + box["height"] <= height
    small = {html: box for html, box in _targets(page).items() if min(box["width"], box["height"]) < 44}
    assert small == {}
    left = page.inner_text("#left-text")
    page.wait_for_timeout(260)
    before = see_pair(page)
    choices[0].click()
    page.wait_for_function("(b) => document.getElementById('pair').dataset.item !== b", arg=before)
    all_saved(page)
    assert shared_server.chosen(name) == [left]
    page.goto(f"{shared_server.root}/dashboard")
    page.wait_for_selector(".tile")
    assert _fits(page)


def test_lines_of_their_own_are_not_set_in_the_middle(watched: Watched, tmp_path: Path) -> None:
    """A word or two stands in the middle of its box; code there would lose its indentation."""
    pairs = [comparison(1, a="Yes.", b="No."), comparison(2, a="def f():\n    return 1", b="    pass")]
    with voting_server(store=fill_store(tmp_path / "votes.sqlite3", pairs)) as server:
        page = watched(server.root).page()
        come_in(page, server.entrance, "Ann")
        aligned = "getComputedStyle(document.querySelector('#left-text')).textAlign"
        assert page.evaluate(aligned) == "center"
        press(page, "f")
        assert page.evaluate(aligned) == "start"


def test_long_texts_scroll_inside_and_the_choices_stay(watched: Watched, tmp_path: Path) -> None:
    long = "A long text of words. " * 800
    pairs = [
        comparison(n, long + str(n), long, "x" * 5000 + "\u0645\u0631\u062d\u0628\u0627") for n in range(3)
    ]
    with voting_server(store=fill_store(tmp_path / "votes.sqlite3", pairs)) as server:
        for shape in (PHONE, {"viewport": {"width": 1280, "height": 720}}):
            page = watched(server.root, **shape).page()
            come_in(page, server.entrance, "Ann")
            assert _fits(page)
            assert page.evaluate("document.getElementById('left-text').scrollHeight > 2000")
            assert page.evaluate("document.getElementById('left-text').clientHeight < innerHeight")
            box = page.query_selector("[data-does=left]").bounding_box()
            assert box["y"] + box["height"] <= shape["viewport"]["height"]
            assert page.get_attribute("#expand", "aria-expanded") == "false"
            page.keyboard.press("p")
            page.wait_for_selector("#expand[aria-expanded=true]")
        page.keyboard.press("ArrowDown")
        tops = "['left-text', 'right-text'].map((id) => document.getElementById(id).scrollTop > 0)"
        assert page.evaluate(tops) == [True, True]


def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    watched: Watched, shared_server: VotingServer
) -> None:
    page = watched(shared_server.root).page()
    come_in(page, shared_server.entrance, "tabbing")
    page.evaluate("document.activeElement.blur()")
    wanted = set(_targets(page))
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.outerHTML"))
        outline = page.evaluate(
            "document.activeElement === document.body ? 'solid'"
            " : getComputedStyle(document.activeElement).outlineStyle"
        )
        assert outline == "solid"
    assert wanted <= reached


def test_the_page_speaks_what_the_browser_asks_for(watched: Watched, shared_server: VotingServer) -> None:
    page = watched(shared_server.root, locale="zh-CN").page()
    come_in(page, shared_server.entrance, "\u5c0f\u660e")
    assert page.get_attribute("html", "lang") == "zh-CN"
    assert "左边更好" in page.inner_text("#bar")
    assert not re.search("[a-z]{4}", page.inner_text("#bar"))
    press(page, "f")
    page.wait_for_selector("#saved:text-is('已全部保存')")
    page.click("a[data-language=en]")
    see_pair(page)
    assert page.get_attribute("html", "lang") == "en"
    assert "Left is better" in page.inner_text("#bar")
    # The choice holds for the next visit, and on the other page.
    page.goto(f"{shared_server.root}/dashboard")
    page.wait_for_selector("h1:text-is('Dashboard')")


def test_the_dashboard_hides_models_and_leads_to_what_people_disagree_on(
    watched: Watched, tmp_path: Path
) -> None:
    pairs = [comparison(n, models=("base-model", "tuned-model")) for n in range(12)]
    path = fill_store(tmp_path / "votes.sqlite3", pairs, task="compare")
    with VoteStore(path) as store:
        for place, item in enumerate(store.items()):
            for name in ("Ann", "Bo"):
                left = side_on_left(0, name, item.id, 0)
                choice = "a" if name == "Bo" and place < 2 else "b"
                store.append(Event(f"key-{name}-{place}", name, "vote", item.id, 0, choice, left))  # type: ignore[arg-type]
    with voting_server(store=path) as server:
        page = watched(server.root).page()
        page.goto(server.entrance)
        page.goto(f"{server.root}/dashboard")
        page.wait_for_selector(".contest")
        said = page.inner_text("#figures")
        assert "12 of 12" in said and "Ann" in said and "Model A" in said
        assert "tuned-model" not in page.content()
        page.click("#reveal")
        page.wait_for_selector("#reveal[aria-pressed=true]")
        # Ten for the tuned one, two level: (10 + 2/2) / 12.
        assert "tuned-model is preferred to base-model" in page.inner_text("#figures")
        assert "tuned-model has a win rate of 91.7% over 12 comparisons" in page.inner_text("#figures")
        page.click("text=Settle them")
        page.wait_for_selector("#entry:not([hidden])")
        page.keyboard.type("Judge")
        page.keyboard.press("Enter")
        for key in "fj":
            press(page, key)
        page.wait_for_selector("#done-title:has-text('Nothing is left')")
        all_saved(page)
        decided = [event for event in server.events() if event.kind == "adjudicate"]
        assert len(decided) == 2 and {event.annotator for event in decided} == {"Judge"}


def test_the_password_is_asked_for_without_a_script(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOTING_PASSWORD", "twelve characters")
    store = fill_store(tmp_path / "votes.sqlite3", [comparison(1)])
    with voting_server("--password-env", "VOTING_PASSWORD", store=store) as server:
        browser = watched(server.root, java_script_enabled=False)
        page = browser.page()
        page.goto(server.root)
        page.fill("#password", "<img src=x onerror=window.__hacked=1>")
        page.keyboard.press("Enter")
        page.wait_for_selector("#problem:has-text('not the password')")
        browser.forgive_lost_requests()
        page.fill("#password", "twelve characters")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{server.root}/")
        assert "Voting needs JavaScript" in page.content()
