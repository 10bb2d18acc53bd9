"""The voting page in a browser, used as people use it; what counts is what stands in the store afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from voter import LEAST_SHOWN_MS, all_saved, come_in, press, see_pair
from voting_server import VotingServer, comparison, fill_store, voting_server

from palate.annotate.store import VoteStore

Watched = Callable[..., Any]


def test_twenty_pairs_are_labelled_by_keyboard_alone(watched: Watched, tmp_path: Path) -> None:
    """From a file of preferences to the thanks; each key says what it says whatever is shown."""
    source = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"p{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(20)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    meant = []
    with voting_server(str(source), "--repeats", "0", store=tmp_path / "votes.sqlite3") as server:
        page = watched(server.root).page()
        come_in(page, server.entrance, "Ann")
        for key in ["ArrowLeft", "f", "1", "ArrowRight", "j", "2", "t", "3", "b", "4"] * 2:
            side = {"ArrowLeft": "left", "f": "left", "1": "left"}.get(key, "right")
            ties = {"t": "tie", "3": "tie", "b": "both_bad", "4": "both_bad"}
            meant.append(ties.get(key) or page.inner_text(f"#{side}-text"))
            press(page, key)
        page.wait_for_selector("#done:not([hidden])")
        all_saved(page)
        assert page.inner_text("#done-title") == "All done. Thank you, Ann."
        assert page.inner_text("#count") == "20 of 20"
        assert server.chosen("Ann") == meant
        assert all(event.seconds and 0.2 < event.seconds < 60 for event in server.events())


def test_undo_takes_back_what_was_stored_and_shows_it_again(
    watched: Watched, shared_server: VotingServer
) -> None:
    page = watched(shared_server.root).page()
    come_in(page, shared_server.entrance, "undoing")
    first = see_pair(page)
    left = page.inner_text("#left-text")
    press(page, "j")
    press(page, "t")
    all_saved(page)
    page.keyboard.press("u")
    page.keyboard.press("Backspace")
    page.wait_for_function("(name) => document.getElementById('pair').dataset.item === name", arg=first)
    press(page, "f")
    all_saved(page)
    assert shared_server.chosen("undoing") == [left]
    kinds = [event.kind for event in shared_server.events() if event.annotator == "undoing"]
    assert kinds == ["vote", "vote", "undo", "undo", "vote"]


def test_a_reload_goes_on_where_it_was(watched: Watched, shared_server: VotingServer) -> None:
    page = watched(shared_server.root).page()
    come_in(page, shared_server.entrance, "reloading")
    for key in "fjt":
        press(page, key)
    fourth = page.inner_text("#left-text")
    all_saved(page)
    page.reload()
    see_pair(page)
    assert page.inner_text("#count") == "3 of 40"
    assert page.inner_text("#left-text") == fourth
    press(page, "f")
    # Undo reaches back over the reload.
    page.keyboard.press("u")
    page.keyboard.press("u")
    page.wait_for_function("document.getElementById('count').textContent === '2 of 40'")
    all_saved(page)
    assert len(shared_server.votes("reloading")) == 2


def test_ten_votes_without_a_network_are_stored_once_each(
    watched: Watched, shared_server: VotingServer
) -> None:
    browser = watched(shared_server.root)
    page = browser.page()
    come_in(page, shared_server.entrance, "offline")
    press(page, "f")
    all_saved(page)
    page.wait_for_load_state("networkidle")
    browser.context.set_offline(True)
    for key in "fjtbfjtbfj":
        press(page, key)
    page.wait_for_function("document.getElementById('saved').textContent === '10 votes wait for the network'")
    assert page.inner_text("#count") == "11 of 40"
    assert len(shared_server.votes("offline")) == 1
    # The last one was never sent: it is taken back here, and the server never hears of it.
    page.keyboard.press("u")
    press(page, "j")
    browser.context.set_offline(False)
    all_saved(page)
    browser.forgive_lost_requests()
    events = [event for event in shared_server.events() if event.annotator == "offline"]
    assert [event.kind for event in events] == ["vote"] * 11
    assert len({event.key for event in events}) == len({event.item for event in events}) == 11


def test_an_answer_that_got_lost_does_not_count_a_vote_twice(
    watched: Watched, shared_server: VotingServer
) -> None:
    browser = watched(shared_server.root)
    page = browser.page()
    come_in(page, shared_server.entrance, "lossy")
    lost = []

    def lose_the_first(route: Any) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().status)
        route.abort()

    page.route("**/api/events", lose_the_first)
    press(page, "f")
    press(page, "j")
    all_saved(page)
    browser.forgive_lost_requests()
    events = [event for event in shared_server.events() if event.annotator == "lossy"]
    assert lost == [200] and [event.kind for event in events] == ["vote", "vote"]


@pytest.mark.parametrize(("status", "body"), [(200, '{"ok": true}'), (200, "null"), (404, "{}")])
def test_what_is_no_answer_of_this_server_stores_nothing(
    watched: Watched, shared_server: VotingServer, status: int, body: str
) -> None:
    """Another program on its port, or one in between: the vote waits, and the page goes on."""
    browser = watched(shared_server.root)
    page = browser.page()
    name = f"between {status} {body}"
    come_in(page, shared_server.entrance, name)
    page.route("**/api/*", lambda route: route.fulfill(status=status, body=body))
    press(page, "f")
    page.wait_for_selector("#saved:text-is('1 vote waits for the network')")
    press(page, "j")
    assert shared_server.votes(name) == []
    page.unroute("**/api/*")
    all_saved(page)
    browser.forgive_lost_requests()
    assert len(shared_server.votes(name)) == 2


def test_unsent_votes_outlive_a_reload(watched: Watched, shared_server: VotingServer) -> None:
    browser = watched(shared_server.root)
    page = browser.page()
    come_in(page, shared_server.entrance, "unsent")
    page.route("**/api/events", lambda route: route.abort())
    seen = []
    for key in "ftj":
        seen.append(see_pair(page))
        press(page, key)
    page.reload()
    assert see_pair(page) not in seen
    assert page.inner_text("#saved") == "3 votes wait for the network"
    page.unroute("**/api/events")
    all_saved(page)
    browser.forgive_lost_requests()
    assert [event.item for event in shared_server.votes("unsent")] == [name.split(":")[0] for name in seen]


def test_a_refused_vote_is_shown_and_does_not_stop_the_others(
    watched: Watched, shared_server: VotingServer
) -> None:
    browser = watched(shared_server.root)
    page = browser.page()
    come_in(page, shared_server.entrance, "refused")
    body = json.dumps({"error": {"what": "the vote is odd", "why": "because", "next": "ask"}})
    page.route("**/api/events", lambda route: route.fulfill(status=422, body=body), times=1)
    press(page, "f")
    press(page, "j")
    all_saved(page)
    browser.forgive_lost_requests()
    notice = page.inner_text("#notices")
    assert "Left chosen" in notice and "the vote is odd" in notice and "ask" in notice
    assert len(shared_server.votes("refused")) == 1
    # It is still there after a reload, and can be sent again.
    page.reload()
    page.click("text=Send again")
    page.wait_for_function("document.getElementById('notices').childElementCount === 0")
    all_saved(page)
    assert len(shared_server.votes("refused")) == 2


def test_votes_wait_for_a_server_that_was_started_anew(watched: Watched, tmp_path: Path) -> None:
    store = fill_store(tmp_path / "votes.sqlite3", [comparison(n) for n in range(15)])
    with voting_server(store=store) as server:
        browser = watched(server.root)
        page = browser.page()
        come_in(page, server.entrance, "Ann")
        press(page, "f")
        all_saved(page)
    press(page, "j")
    with voting_server(store=store, port=server.port) as again:
        page.wait_for_selector(".notice:has-text('started anew')")
        assert len(again.votes("Ann")) == 1
        page.goto(again.entrance)
        all_saved(page)
        assert len(again.votes("Ann")) == 2
    browser.forgive_lost_requests()


def test_one_tab_at_a_time(watched: Watched, shared_server: VotingServer) -> None:
    browser = watched(shared_server.root)
    first, second = browser.page(), browser.page()
    come_in(first, shared_server.entrance, "tabs")
    second.goto(shared_server.root)
    see_pair(second)
    first.wait_for_selector("#elsewhere:not([hidden])")
    press(second, "f")
    first.keyboard.press("f")
    first.click("#vote-here")
    see_pair(first)
    second.wait_for_selector("#elsewhere:not([hidden])")
    press(first, "j")
    all_saved(first)
    events = [event for event in shared_server.events() if event.annotator == "tabs"]
    assert len(events) == len({event.item for event in events}) == 2


def test_a_tab_goes_on_after_the_link_was_opened_in_another(
    watched: Watched, shared_server: VotingServer
) -> None:
    browser = watched(shared_server.root)
    first = browser.page()
    come_in(first, shared_server.entrance, "two links")
    press(first, "f")
    all_saved(first)
    second = browser.page()
    second.goto(shared_server.entrance)
    see_pair(second)
    first.click("text=Vote here instead")
    press(first, "j")
    all_saved(first)
    assert len(shared_server.votes("two links")) == 2


def test_a_note_goes_with_its_vote_and_typing_it_votes_for_nothing(
    watched: Watched, shared_server: VotingServer
) -> None:
    page = watched(shared_server.root).page()
    come_in(page, shared_server.entrance, "noting")
    page.wait_for_timeout(LEAST_SHOWN_MS)
    page.keyboard.press("n")
    page.keyboard.type("fjtbsu 1234?")
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('note-form').hidden")
    press(page, "j")
    press(page, "f")
    all_saved(page)
    assert [event.note for event in shared_server.votes("noting")] == ["fjtbsu 1234?", ""]


def test_a_skipped_pair_comes_again(watched: Watched, tmp_path: Path) -> None:
    store = fill_store(tmp_path / "votes.sqlite3", [comparison(n) for n in range(3)])
    with voting_server(store=store) as server:
        page = watched(server.root).page()
        come_in(page, server.entrance, "Ann")
        skipped = see_pair(page)
        for key in "sfj":
            press(page, key)
        assert see_pair(page) == skipped
        press(page, "t")
        page.wait_for_selector("#done:not([hidden])")
        all_saved(page)
        assert len(server.votes("Ann")) == 3


def test_whoever_finds_nothing_left_is_not_told_to_have_voted(watched: Watched, tmp_path: Path) -> None:
    store = fill_store(tmp_path / "votes.sqlite3", [comparison(1)])
    with VoteStore(store) as opened:
        opened.set_setting("overlap", 1)
    with voting_server(store=store) as server:
        browser = watched(server.root)
        page = browser.page()
        come_in(page, server.entrance, "Ann")
        page.wait_for_timeout(LEAST_SHOWN_MS)
        page.keyboard.press("f")
        all_saved(page)
        assert page.inner_text("#done-title") == "All done. Thank you, Ann."
        page.click("#rename")
        page.fill("#name", "Ben")
        page.keyboard.press("Enter")
        page.wait_for_selector("#done-title:text-is('Nothing is left for you, Ben.')")
        assert page.is_hidden("#progress-box")


@pytest.mark.parametrize(("full", "is_warned"), [(".history.", False), (".waiting.", True)])
def test_a_full_browser_is_spoken_of_only_where_a_vote_could_be_lost(
    watched: Watched, shared_server: VotingServer, full: str, is_warned: bool
) -> None:
    browser = watched(shared_server.root)
    browser.context.add_init_script(
        "const put = Storage.prototype.setItem; Storage.prototype.setItem = function (name, text) {"
        f" if (name.includes('{full}')) throw new DOMException('full', 'QuotaExceededError');"
        " put.call(this, name, text); }"
    )
    page = browser.page()
    name = f"full {full}"
    come_in(page, shared_server.entrance, name)
    page.route("**/api/events", lambda route: route.abort())
    press(page, "f")
    page.wait_for_selector("#saved.stuck")
    assert ("does not let the page keep" in page.inner_text("#notices")) == is_warned
    page.unroute("**/api/events")
    all_saved(page)
    browser.forgive_lost_requests()
    assert len(shared_server.votes(name)) == 1


def test_what_is_no_choice_chooses_nothing(watched: Watched, shared_server: VotingServer) -> None:
    """Held keys, modifiers, keys in the help, and a choice that was meant for the pair before."""
    page = watched(shared_server.root).page()
    come_in(page, shared_server.entrance, "careful")
    first = see_pair(page)
    page.wait_for_timeout(LEAST_SHOWN_MS)
    for combination in ("Control+f", "Alt+ArrowLeft", "Meta+j", "x", "ArrowDown", "5"):
        page.evaluate("history.pushState(null, '')")  # Alt and the arrow go back a page
        page.keyboard.press(combination)
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    page.keyboard.press("f")
    page.keyboard.press("Escape")
    page.wait_for_selector("#help:not([open])", state="attached")
    assert see_pair(page) == first
    page.keyboard.down("f")
    for _ in range(5):
        page.wait_for_timeout(LEAST_SHOWN_MS // 2)
        page.keyboard.down("f")  # the browser calls these repeats
    page.keyboard.up("f")
    page.keyboard.press("f")
    page.keyboard.press("j")  # at once: the pair was not seen
    all_saved(page)
    assert len(shared_server.votes("careful")) == 2


def test_keys_work_with_an_input_method_and_capitals(watched: Watched, shared_server: VotingServer) -> None:
    page = watched(shared_server.root).page()
    come_in(page, shared_server.entrance, "typing")
    for typed in ({"key": "Process", "code": "KeyF"}, {"key": "\u0430", "code": "KeyF"}, {"key": "F"}):
        before = see_pair(page)
        page.wait_for_timeout(LEAST_SHOWN_MS)
        page.evaluate(
            "(typed) => document.body.dispatchEvent("
            "new KeyboardEvent('keydown', {bubbles: true, cancelable: true, ...typed}))",
            typed,
        )
        page.wait_for_function("(name) => document.getElementById('pair').dataset.item !== name", arg=before)
    all_saved(page)
    assert len(shared_server.votes("typing")) == 3


def test_a_name_the_server_refuses_is_asked_for_again(watched: Watched, shared_server: VotingServer) -> None:
    browser = watched(shared_server.root)
    page = browser.page()
    page.goto(shared_server.entrance)
    page.fill("#name", "An\u202en")
    page.keyboard.press("Enter")
    page.wait_for_selector("#entry-problem:not([hidden])")
    assert "visible characters" in page.inner_text("#entry-problem")
    browser.forgive_lost_requests()
    page.fill("#name", "renamed")
    page.keyboard.press("Enter")
    see_pair(page)
    assert page.inner_text("#who") == "renamed"


def test_an_answer_that_comes_late_does_not_turn_back_the_count(watched: Watched, tmp_path: Path) -> None:
    """Asked for more before the last vote was stored, answered after: it says that one is left."""
    store = fill_store(tmp_path / "votes.sqlite3", [comparison(n) for n in range(2)])
    with voting_server(store=store) as server:
        page = watched(server.root).page()
        come_in(page, server.entrance, "Ann")
        late = []

        def hold(route: Any) -> None:
            response = route.fetch()
            late.append(lambda: route.fulfill(response=response))

        page.route("**/api/next*", hold)
        press(page, "f")
        page.wait_for_timeout(500)
        press(page, "j")
        all_saved(page)
        assert len(late) == 1
        late[0]()
        page.wait_for_timeout(300)
        assert page.inner_text("#done-title") == "All done. Thank you, Ann."
        assert page.inner_text("#count") == "2 of 2"
        page.unroute("**/api/next*")
