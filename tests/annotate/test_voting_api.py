"""The API as the page uses it: what is shown, what is stored, how far one is, and what it is not told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from asgi_browser import PORT, Browser, new_browser, sent_vote
from stored_votes import comparison

from palate.annotate.security import Access
from palate.annotate.server import build_app
from palate.annotate.settings import Settings, write_settings
from palate.annotate.store import VoteStore
from palate.annotate.store_errors import StoreUnavailable
from palate.annotate.voting import Voting
from palate.records import Comparison, Message, Provenance

PAYLOADS = [
    "<script>window.__hacked=1</script>", "</script><script>window.__hacked=1</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>", "javascript:alert(1)", "{{7*7}}{% raw %}", "<!--<script>", "]]>", "\u2028\u2029",
    '"><meta http-equiv=refresh content=0;url=//evil.example>',
    "<iframe srcdoc='<script>alert(1)</script>'>", "\x00\x1b",
]  # fmt: skip


@pytest.fixture
def store(store_url: str) -> Iterator[VoteStore]:
    with VoteStore(store_url) as found:
        yield found


@pytest.fixture
def browser(store: VoteStore) -> Iterator[Browser]:
    write_settings(store, Settings(overlap="all", repeat_share=0.0, question="Which one?"))
    found = new_browser(store, map(comparison, range(1, 21))).enter()
    yield found
    found.close()


def shown(browser: Browser, annotator: str = "Ann", **query: Any) -> dict[str, Any]:
    asked = "&".join(f"{name}={value}" for name, value in {"annotator": annotator, **query}.items())
    answer = browser.get(f"/api/next?{asked}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json()
    return found


def vote_all(browser: Browser, annotator: str, choice: str) -> None:
    for number, item in enumerate(shown(browser, annotator, count=50)["items"]):
        key = f"{annotator}-{number:08}"
        answer = browser.post(sent_vote(item["item"], key, annotator=annotator, choice=choice))
        assert answer.status == 200, answer


def test_what_is_shown(browser: Browser) -> None:
    found = shown(browser, count=3)
    assert found["question"] == "Which one?"
    assert found["progress"] == {"done": 0, "left": 20, "total": 20, "per_minute": None, "finished": False}
    assert [item["prompt"][0]["content"] for item in found["items"]] == ["Prompt 1", "Prompt 2", "Prompt 3"]
    for item in found["items"]:
        assert set(item) == {"item", "repeat", "task", "prompt", "left", "right"}
        sides = {item["left"][0]["content"], item["right"][0]["content"]}
        assert sides == {"one", "other"}


def test_the_page_is_never_told_which_is_which(browser: Browser) -> None:
    """Neither the generators' names nor what a and b are is in anything that a voting page asks for."""
    vote_all(browser, "Ann", "left")
    vote_all(browser, "Bob", "right")
    texts = [browser.get(target).text for target in ["/", "/api/next?annotator=Cy&count=50"]]
    texts.append(browser.get("/api/disagreements?annotator=Ann").text)
    texts.append(
        json.dumps(browser.post(sent_vote(shown(browser, "Cy")["items"][0]["item"], annotator="Cy")).json())
    )
    for text in texts:
        for word in [
            "small",
            "large",
            "completion_a",
            "completion_b",
            "generator",
            "provenance",
            "made.jsonl",
        ]:
            assert word not in text


def test_sides_change_and_the_vote_is_stored_for_what_was_there(browser: Browser, store: VoteStore) -> None:
    """`left` means the completion that stood on the left, wherever the comparison has it."""
    said: dict[str, str] = {}
    for number, item in enumerate(shown(browser, count=20)["items"]):
        choice = "left" if number % 2 else "right"
        said[item["item"]] = item[choice][0]["content"]
        assert browser.post(sent_vote(item["item"], f"key-{number:08}", choice=choice)).status == 200
    comparisons = {item.id: item.comparison for item in store.items()}
    events = store.events()
    assert len(events) == 20
    for event in events:
        sides = {"a": comparisons[event.item].completion_a, "b": comparisons[event.item].completion_b}
        assert sides[event.choice][0].content == said[event.item]  # type: ignore[index]
    assert {event.left for event in events} == {"a", "b"}


def test_ties_skips_undo_and_notes(browser: Browser, store: VoteStore) -> None:
    first, second, third = (item["item"] for item in shown(browser, count=3)["items"])
    assert browser.post(sent_vote(first, "key-first", choice="tie", note="both fine")).json()["number"] == 1
    assert browser.post(sent_vote(second, "key-second", choice="both_bad")).json()["progress"]["done"] == 2
    skip = sent_vote(third, "key-third", kind="skip", choice=None)
    assert browser.post(skip).json()["progress"]["done"] == 2
    undo = sent_vote(second, "key-undo", kind="undo", choice=None, undoes="key-second")
    assert browser.post(undo).json()["progress"]["done"] == 1
    assert [(e.kind, e.choice, e.note) for e in store.events()] == [
        ("vote", "tie", "both fine"), ("vote", "both_bad", ""), ("skip", None, ""), ("undo", None, ""),
    ]  # fmt: skip
    assert second in [item["item"] for item in shown(browser, count=50)["items"]]


def test_what_is_sent_twice_is_stored_once(browser: Browser, store: VoteStore) -> None:
    vote = sent_vote(shown(browser)["items"][0]["item"])
    first, again = browser.post(vote).json(), browser.post(vote).json()
    assert first["number"] == again["number"] == 1
    assert again["progress"]["done"] == 1
    assert len(store.events()) == 1
    assert browser.post(vote | {"choice": "right"}).status == 409


def test_what_the_store_does_not_take(browser: Browser) -> None:
    item = shown(browser)["items"][0]["item"]
    assert browser.post(sent_vote("0" * 16)).status == 404
    undo = sent_vote(item, "key-undo", kind="undo", choice=None, undoes="key-nothing")
    assert browser.post(undo).status == 409
    browser.post(sent_vote(item, "key-of-ann"))
    others = sent_vote(item, "key-undo2", annotator="Bob", kind="undo", choice=None, undoes="key-of-ann")
    assert browser.post(others).status == 409
    assert browser.get("/api/standing").json()["num_votes"] == 1


def test_what_the_page_has_does_not_come_again(browser: Browser) -> None:
    had = [item["item"] for item in shown(browser, count=12)["items"]]
    more = shown(browser, count=12, skip=",".join(f"{item}:0" for item in had))["items"]
    assert len(more) == 8
    assert not {item["item"] for item in more} & set(had)


def test_two_spellings_of_a_name_are_one_annotator(browser: Browser, store: VoteStore) -> None:
    item = shown(browser, "Ren%C3%A9")["items"][0]["item"]
    browser.post(sent_vote(item, annotator=" Rene\u0301 "))
    assert shown(browser, "Rene%CC%81")["progress"]["done"] == 1
    assert store.events()[0].annotator == "René"


@pytest.mark.parametrize(
    "target",
    [
        "/api/next", "/api/next?annotator=", "/api/next?annotator=Ann&annotator=Bob",
        "/api/next?annotator=Ann&count=0",
        "/api/next?annotator=Ann&count=51", "/api/next?annotator=Ann&count=x",
        "/api/next?annotator=Ann&skip=x",
        "/api/next?annotator=Ann&unknown=1", "/api/next?annotator=%00", "/api/next?annotator=%ff",
        "/api/next?annotator=a%0ab", "/api/standing?reveal=yes", "/api/standing?x=1", "/api/disagreements",
        "/api/next?annotator=" + "x" * 41, "/api/next?annotator=%ed%a0%80", "/api/events", "/api",
        "/api/next/",
    ],
)  # fmt: skip
def test_questions_that_are_none(browser: Browser, target: str) -> None:
    answer = browser.get(target)
    assert 400 <= answer.status < 500
    assert answer.json()["error"]["what"]


def test_bodies_have_an_end(browser: Browser) -> None:
    item = shown(browser)["items"][0]["item"]
    long = json.dumps(sent_vote(item) | {"note": "x" * 70_000}).encode()
    assert browser.post(long).status == 413
    assert browser.post(long, content_length=None).status == 413  # in pieces, with nothing said before
    pieces = [b" " * 10_000] * 10
    assert browser.ask("POST", "/api/events", {"content-length": None}, pieces).status == 413
    for length in ["-1", "x", "٣", "1" * 500]:
        said = {"content-length": length.encode().decode("latin-1")}
        assert browser.ask("POST", "/api/events", said, [b"{}"]).status in (400, 413)
    for kind in [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonp",
    ]:
        assert browser.post(sent_vote(item), content_type=kind).status == 415
    assert browser.post(sent_vote(item), content_type="application/json; charset=utf-8").status == 200


def test_a_body_that_breaks_off(browser: Browser) -> None:
    answer = browser.ask("POST", "/api/events", body=[])
    assert 400 <= answer.status < 500


def test_a_slow_body_is_given_up(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr("palate.annotate.inputs._BODY_TIMEOUT_SECONDS", 0.01)

    async def stream(_: Any) -> Any:
        await asyncio.sleep(5)
        yield b""

    monkeypatch.setattr("starlette.requests.Request.stream", stream)
    assert browser.post(sent_vote("0" * 16)).status == 408


def test_a_store_that_fails_acknowledges_nothing(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """503: the page keeps the vote and sends it again."""
    item = shown(browser)["items"][0]["item"]

    def fail(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("the disk is full", next="make room")

    monkeypatch.setattr(VoteStore, "append", fail)
    answer = browser.post(sent_vote(item))
    assert answer.status == 503
    assert answer.json()["error"] == {"what": "the disk is full", "why": "", "next": "make room"}


def test_several_servers_on_one_store_know_what_the_others_took_in(browser: Browser, store_url: str) -> None:
    with VoteStore(store_url) as second:
        other = Browser(build_app(Voting(second), access := Access(PORT)), access).enter()
        item = shown(browser)["items"][0]["item"]
        browser.post(sent_vote(item))
        assert shown(other)["progress"]["done"] == 1
        assert shown(other)["items"][0]["item"] != item
        assert other.get("/api/standing").json()["num_votes"] == 1
        second.add_items([(comparison(99), "label")])
        assert shown(browser)["progress"]["total"] == 21
        other.close()


def test_the_dashboard_names_models_when_it_is_asked_to(browser: Browser) -> None:
    vote_all(browser, "Ann", "left")
    blind = browser.get("/api/standing").json()
    named = browser.get("/api/standing?reveal=1").json()
    assert blind["num_votes"] == named["num_votes"] == 20
    assert "small" not in json.dumps(blind)
    assert "small" in json.dumps(named)


def test_where_it_stands_is_new_after_a_vote(browser: Browser) -> None:
    assert browser.get("/api/standing").json()["num_votes"] == 0
    browser.post(sent_vote(shown(browser)["items"][0]["item"]))
    assert browser.get("/api/standing").json()["num_votes"] == 1


def test_what_people_disagree_on_is_adjudicated(browser: Browser) -> None:
    ids = [item["item"] for item in shown(browser, count=2)["items"]]
    for name, choices in {"Ann": ("tie", "both_bad"), "Bob": ("tie", "tie")}.items():
        for item, choice in zip(ids, choices, strict=True):
            browser.post(sent_vote(item, f"{name}-{item}", annotator=name, choice=choice))
    found = browser.get("/api/disagreements?annotator=Cy").json()
    assert [item["item"] for item in found["items"]] == [ids[1]]
    assert found["progress"] == {"done": 0, "left": 1, "total": 1, "per_minute": None, "finished": False}
    last = sent_vote(ids[1], "Cy-last-word", annotator="Cy", kind="adjudicate", choice="left")
    assert browser.post(last).status == 200
    found = browser.get("/api/disagreements?annotator=Cy").json()
    assert found["items"] == []
    assert found["progress"]["finished"] is True


def test_nothing_in_the_data_becomes_a_page(store: VoteStore) -> None:
    """Promise 10. The API says JSON and means it; the pages hold nothing of the data at all."""
    write_settings(store, Settings(overlap="all", question="".join(PAYLOADS)))
    items = [
        Comparison(
            (Message("user", payload + str(number)),),
            (Message("assistant", payload),),
            (Message("assistant", payload + "!"),),
            Provenance(payload, 1, {"a": {"model": payload}, "b": {"model": "b" + payload}}),
        )
        for number, payload in enumerate(PAYLOADS)
    ]
    browser = new_browser(store, items).enter()
    name = "<img src=x onerror=alert(1)>"
    for number, item in enumerate(shown(browser, count=50)["items"]):
        assert browser.post(sent_vote(item["item"], f"key-{number:08}", annotator=name)).status == 200
        note = sent_vote(
            item["item"], f"key-b{number:08}", annotator="Bob", choice="right", note="<script>1</script>"
        )
        assert browser.post(note).status == 200
    for target in ["/api/next?annotator=Cy", "/api/standing?reveal=1", "/api/disagreements?annotator=Cy"]:
        answer = browser.get(target)
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        answer.json()
    for target in [
        "/",
        "/login",
        "/enter",
        f"/?lang={'%3Cscript%3E'}",
        "/enter?token=%3Cscript%3Ealert(1)%3C/script%3E",
    ]:
        text = browser.get(target).text
        assert "__hacked" not in text
        assert "onerror" not in text
        assert "alert(1)" not in text
    browser.close()


def test_half_a_character_in_the_data_is_shown_all_the_same(store: VoteStore) -> None:
    odd = Comparison(
        (Message("user", "\ud800"),), (Message("assistant", "a\ud800"),), (Message("assistant", "b"),),
        Provenance("x")
    )  # fmt: skip
    try:
        browser = new_browser(store, [odd]).enter()
    except UnicodeEncodeError:
        pytest.fail("an item with half a character cannot be stored")
    assert browser.get("/api/next?annotator=Ann").status == 200
    browser.close()
