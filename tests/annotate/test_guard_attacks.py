"""Promise 11, only the user reaches the local server: requests of others, each with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgi_browser import PORT, Answer, Browser, new_browser, sent_vote, store_in
from stored_votes import comparison

from palate.annotate.guard import HEADERS
from palate.annotate.rendering import STATIC
from palate.annotate.security import Access, Password, PublicName

OWN = f"127.0.0.1:{PORT}"
PASSWORD = "correct horse battery"
READS = ["/", "/dashboard", "/api/next?annotator=Ann", "/api/standing", "/api/disagreements?annotator=Ann"]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with store_in(tmp_path) as store:
        found = new_browser(store, map(comparison, range(1, 4)))
        yield found.enter()
        found.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Browser]:
    """With a password."""
    access = Access(PORT, "0.0.0.0", (PublicName.parse("votes.lan"),), Password(PASSWORD))
    with store_in(tmp_path) as store:
        found = new_browser(store, [comparison(1)], access)
        yield found
        found.close()


def item_of(browser: Browser) -> str:
    return str(browser.get("/api/next?annotator=Ann").json()["items"][0]["item"])


def refused(answer: Answer) -> None:
    """With a reason, as JSON, and with nothing of the inside."""
    assert 400 <= answer.status < 500, answer
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()["error"]) == {"what", "why", "next"}
    assert answer.json()["error"]["what"]
    assert b"Prompt 1" not in answer.body


def test_the_usual_way_is_open(browser: Browser) -> None:
    for target in READS:
        assert browser.get(target).status == 200, target
    assert browser.post(sent_vote(item_of(browser))).json()["stored"] is True


@pytest.mark.parametrize(
    "host",
    [
        None, "", "evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", f"127.0.0.2:{PORT}",
        f"localhost.evil.example:{PORT}", f"127.0.0.1:{PORT}.evil.example", f"localhost.:{PORT}",
        f"127.0.0.1:{PORT}@evil.example", f"127.1:{PORT}", f"0.0.0.0:{PORT}", f"[::ffff:127.0.0.1]:{PORT}",
    ],
)  # fmt: skip
def test_no_other_host(browser: Browser, host: str | None) -> None:
    """DNS rebinding: a page of evil.example reaches this machine under its own name."""
    for target in [*READS, "/static/page.css", f"/enter?token={browser.access.token}", "/login", "/nothing"]:
        refused(browser.get(target, host=host))
    refused(browser.post(sent_vote("0" * 16), host=host))


def test_two_hosts_are_none(browser: Browser) -> None:
    refused(browser.ask("GET", "/", more=[(b"host", OWN.encode())]))
    refused(browser.ask("GET", "/", more=[(b"host", b"evil.example")]))


@pytest.mark.parametrize("host", [OWN, f"localhost:{PORT}", f"[::1]:{PORT}", f"LOCALHOST:{PORT}"])
def test_these_are_the_names_of_this_machine(browser: Browser, host: str) -> None:
    assert browser.get("/", host=host).status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "null", "", f"https://{OWN}", "http://127.0.0.1", "http://127.0.0.1:1",
        f"http://{OWN}.evil.example", f"http://{OWN}/", f"http://evil.example, http://{OWN}", "file://",
    ],
)  # fmt: skip
def test_no_other_origin(browser: Browser, origin: str) -> None:
    item = item_of(browser)
    if origin:
        refused(browser.post(sent_vote(item), origin=origin))
        refused(browser.get("/api/next?annotator=Ann", origin=origin))
    refused(browser.post(sent_vote(item), origin=f"http://{OWN}", sec_fetch_site="cross-site"))
    assert browser.get("/api/standing").json()["num_votes"] == 0


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
@pytest.mark.parametrize("mode", ["cors", "no-cors", "navigate", None])
def test_what_another_site_asks_for_is_not_given(browser: Browser, site: str, mode: str | None) -> None:
    """`same-site` is another port of this machine: not this server."""
    for target in ["/api/next?annotator=Ann", "/api/standing", "/static/page.css"]:
        refused(browser.get(target, sec_fetch_site=site, sec_fetch_mode=mode, sec_fetch_dest="document"))
    for dest in ["script", "image", "iframe", "object", "empty"]:
        refused(browser.get("/", sec_fetch_site=site, sec_fetch_mode=mode, sec_fetch_dest=dest))


def test_a_link_elsewhere_leads_in_and_the_cookie_is_there_when_it_is_needed(browser: Browser) -> None:
    """After a redirect from another site's link a Strict cookie is not sent: the page goes on by itself."""
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    answer = browser.get(f"/enter?token={browser.access.token}", **link)
    assert answer.status == 200
    assert browser.access.is_cookie(browser.cookies[browser.access.cookie("session")], "session")
    assert 'http-equiv="refresh"' in answer.text
    assert browser.access.token not in answer.text


def test_opening_the_link_again_leaves_the_other_tab_its_session(browser: Browser) -> None:
    assert browser.get(f"/enter?token={browser.access.token}").status == 303
    assert browser.post(sent_vote(item_of(browser))).status == 200


def test_a_body_with_two_lengths_has_none(browser: Browser) -> None:
    sent = {"transfer_encoding": "chunked"}
    assert browser.post(sent_vote(item_of(browser)), **sent).status == 400
    assert browser.post(sent_vote(item_of(browser)), content_length=None, **sent).status == 200


@pytest.mark.parametrize("token", ["", "wrong", "%00", "%ff", "<script>", None])
def test_no_other_token(browser: Browser, token: str | None) -> None:
    browser.cookies.clear()
    answer = browser.get("/enter" if token is None else f"/enter?token={token}")
    assert answer.status in (400, 401)
    assert "set-cookie" not in answer.headers
    assert not browser.cookies
    assert "<script>" not in answer.text


def test_no_cookie_no_votes(browser: Browser) -> None:
    browser.cookies.clear()
    for target in [
        "/api/next?annotator=Ann",
        "/api/standing",
        "/api/disagreements?annotator=Ann",
        "/nothing",
    ]:
        refused(browser.get(target))
    refused(browser.post(sent_vote("0" * 16)))
    for target in ["/", "/dashboard"]:
        answer = browser.get(target)
        assert answer.status == 401
        assert 'palate-csrf" content=""' in answer.text


def test_no_other_cookie(browser: Browser) -> None:
    name = browser.access.cookie("session")
    right = browser.cookies[name]
    strange = [
        Access(PORT).new_cookie("session"), browser.access.new_cookie("login"), right[:-1], right + "0", "",
        ".",
        browser.access.token, "é", '"' + right + '"', right.split(".")[0] + "." + "0" * 64,
    ]  # fmt: skip
    for wrong in strange:
        browser.cookies[name] = wrong
        refused(browser.get("/api/next?annotator=Ann"))
    browser.cookies = {Access(PORT + 1).cookie("session"): right}
    refused(browser.get("/api/next?annotator=Ann"))
    browser.cookies = {name: right}
    assert browser.get("/api/next?annotator=Ann", cookie=f"a=b; {name}={right}; c=d").status == 200


def test_no_vote_without_the_csrf_token_of_the_session(browser: Browser) -> None:
    item, access = item_of(browser), browser.access
    others = access.csrf(access.new_cookie("session"))
    for wrong in [None, "", "x", "é", browser.csrf[:-1], browser.csrf.upper(), others]:
        refused(browser.post(sent_vote(item), x_palate_csrf=wrong))
    refused(browser.ask("POST", "/api/events", more=[(b"x-palate-csrf", browser.csrf.encode())]))
    assert browser.get("/api/standing").json()["num_votes"] == 0


@pytest.mark.parametrize(
    "method", ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "X"]
)
@pytest.mark.parametrize("target", [*READS, "/api/events", "/enter", "/login", "/static/page.css"])
def test_no_other_method(browser: Browser, method: str, target: str) -> None:
    answer = browser.ask(method, target)
    assert 400 <= answer.status < 500
    assert "access-control-allow-origin" not in answer.headers


def test_a_preflight_of_another_site_gets_no_leave(browser: Browser) -> None:
    answer = browser.ask(
        "OPTIONS",
        "/api/events",
        {"origin": "http://evil.example", "access-control-request-method": "POST", "cookie": None},
    )
    refused(answer)
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    "target",
    [
        "/static/", "/static/nothing.js", "/static/..%2fsecurity.py", "/static/../security.py",
        "/static/%2e%2e/%2e%2e/security.py", "/static/..%5csecurity.py", "/static//etc/passwd", "/static/.",
        "/static/page.css/", "/static/page.css%00", "/static/PAGE.CSS", "/static/vote.html",
        "//static/page.css",
        "/static/%252e%252e%252fsecurity.py", "/static/wording.en.yaml", "/static/page.css%0a", "/%ff",
        "/%c0%ae",
        "/openapi.json", "/docs", "/redoc", "/.env", "/" + "a" * 9000, "/static/" + "../" * 50 + "etc/passwd",
    ],
)  # fmt: skip
def test_no_other_file(browser: Browser, target: str) -> None:
    refused(browser.get(target))


def test_the_files_of_the_pages_are_there(browser: Browser) -> None:
    assert STATIC
    for name, (content_type, content) in STATIC.items():
        answer = browser.get(f"/static/{name}")
        assert (answer.status, answer.body) == (200, content)
        assert answer.headers["content-type"] == content_type


def test_every_answer_has_the_headers(browser: Browser) -> None:
    answers = [browser.get(target) for target in [*READS, "/static/page.css", "/nothing", "/enter", "/login"]]
    answers += [browser.ask("PUT", "/"), browser.get("/", host="evil.example"), browser.post(b"x")]
    answers += [browser.post(b"x" * 70_000), browser.get("/enter?token=" + browser.access.token)]
    assert {answer.status for answer in answers} >= {200, 303, 400, 401, 404, 405, 413, 421}
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers.get(name.lower()) == value, (answer.status, name)
        assert not any(name.startswith("access-control") for name in answer.headers)
    policy = HEADERS["Content-Security-Policy"]
    for part in [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'", "frame-ancestors 'none'",
    ]:  # fmt: skip
        assert part in policy
    assert "unsafe" not in policy


def test_the_cookie_cannot_be_read_or_sent_by_others(browser: Browser) -> None:
    cookie = browser.get(f"/enter?token={browser.access.token}", cookie=None).headers["set-cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= parts
    assert not any(part.startswith("domain") for part in parts)


def test_a_mistake_of_the_server_says_nothing_of_its_inside(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("palate.annotate.voting.Voting.next", fail)
    answer = browser.get("/api/next?annotator=Ann")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert answer.json()["error"]["what"]
    for name, value in HEADERS.items():
        assert answer.headers.get(name.lower()) == value


def test_websockets_are_closed(browser: Browser) -> None:
    import asyncio

    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b"", "subprotocols": []}
    asyncio.run(browser.app(scope, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


# With a password.


def log_in(browser: Browser, password: str, **how: Any) -> Answer:
    from urllib.parse import urlencode

    form = {"csrf": how.pop("csrf", browser.csrf), "password": password}
    client = how.pop("client", "10.0.0.1")
    headers = {"content-type": "application/x-www-form-urlencoded", "host": f"votes.lan:{PORT}"}
    headers |= {"origin": f"http://votes.lan:{PORT}"} | how
    return browser.ask("POST", "/login", headers, [urlencode(form).encode()], client=client)


def test_a_password_lets_in(guarded: Browser) -> None:
    assert guarded.get("/").headers["location"] == "/login"
    refused(guarded.get("/api/next?annotator=Ann"))
    guarded.read_csrf("/login")
    answer = log_in(guarded, PASSWORD)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    guarded.read_csrf("/")
    assert guarded.post(sent_vote(item_of(guarded))).json()["stored"] is True


def test_with_a_password_the_token_is_none(guarded: Browser) -> None:
    answer = guarded.get(f"/enter?token={guarded.access.token}")
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert not guarded.cookies


def test_a_form_of_a_page_without_referrer_has_the_origin_null(guarded: Browser) -> None:
    """What browsers send with `Referrer-Policy: no-referrer`; the form's own token is what counts."""
    guarded.read_csrf("/login")
    assert log_in(guarded, PASSWORD, origin="null").status == 303


def test_a_form_of_another_site_does_not_log_in(guarded: Browser) -> None:
    guarded.read_csrf("/login")
    cookies = dict(guarded.cookies)
    refused(log_in(guarded, PASSWORD, origin="http://evil.example"))
    refused(log_in(guarded, PASSWORD, sec_fetch_site="cross-site"))
    for wrong in ["", "x", guarded.access.csrf(guarded.access.new_cookie("login"))]:
        refused(log_in(guarded, PASSWORD, csrf=wrong))
    guarded.cookies.clear()
    refused(log_in(guarded, PASSWORD))
    guarded.cookies = cookies
    assert guarded.access.cookie("session") not in cookies


def test_being_shown_the_form_is_not_being_let_in(guarded: Browser) -> None:
    guarded.read_csrf("/login")
    [value] = guarded.cookies.values()
    guarded.cookies[guarded.access.cookie("session")] = value
    refused(guarded.get("/api/standing"))


def test_wrong_passwords_are_told_and_slowed(guarded: Browser) -> None:
    guarded.read_csrf("/login")
    for _ in range(3):
        answer = log_in(guarded, "wrong password <script>")
        assert answer.status == 401
        assert "<script>" not in answer.text
    answer = log_in(guarded, PASSWORD)
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert guarded.access.cookie("session") not in guarded.cookies
    assert log_in(guarded, PASSWORD, client="10.0.0.2").status == 303


@pytest.mark.parametrize(
    "body",
    [b"", b"password", b"password=%ff&csrf=%ff", b"&" * 30, b"a=b&" * 20, b"\xff", b"x" * 70_000, b"{}"],
)
def test_forms_that_are_none(guarded: Browser, body: bytes) -> None:
    guarded.read_csrf("/login")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    refused(guarded.ask("POST", "/login", headers, [body]))
    refused(guarded.ask("POST", "/login", {"content-type": "multipart/form-data; boundary=x"}, [body]))


def test_without_a_password_nobody_logs_in(browser: Browser) -> None:
    assert browser.get("/login").headers["location"] == "/"
    refused(
        browser.ask("POST", "/login", {"content-type": "application/x-www-form-urlencoded"}, [b"password="])
    )


def test_the_cookie_goes_over_https_alone_where_that_is_the_name(tmp_path: Path) -> None:
    access = Access(PORT, "127.0.0.1", (PublicName.parse("https://votes.example"),), Password(PASSWORD))
    with store_in(tmp_path) as store:
        browser = new_browser(store, [comparison(1)], access)
        answer = browser.get("/login", host="votes.example")
        assert "secure" in answer.headers["set-cookie"].lower()
        browser.close()
