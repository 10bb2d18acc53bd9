"""Who is let in: names, tokens, cookies, and guesses at the password."""

from __future__ import annotations

import pytest

from palate.annotate.security import Access, Password, PublicName, is_loopback
from palate.errors import CallError

GOOD = "correct horse battery"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_token_is_new_at_each_start_and_stands_in_the_url() -> None:
    first, second = Access(8765), Access(8765)
    assert first.token != second.token
    assert len(first.token) >= 40
    assert first.url() == f"http://127.0.0.1:8765/enter?token={first.token}"


@pytest.mark.parametrize("wrong", ["", "x", "é", "\ud800", "TOKEN"])
def test_any_other_token_is_none(wrong: str) -> None:
    access = Access(8765)
    assert access.is_token(access.token)
    assert not access.is_token(access.token + wrong if wrong else "")
    assert not access.is_token(access.token[:-1] + wrong[:1])
    assert not access.is_token(access.token.swapcase())


def test_a_cookie_is_good_at_its_own_server_and_for_its_own_purpose() -> None:
    access, other = Access(8765), Access(8765)
    cookie = access.new_cookie("session")
    assert access.is_cookie(cookie, "session")
    assert not access.is_cookie(cookie, "login")
    assert not access.is_cookie(access.new_cookie("login"), "session")
    assert not other.is_cookie(cookie, "session")
    for wrong in ("", ".", cookie[:-1], cookie.split(".")[0], "x" + cookie, cookie + "é", "é." + cookie):
        assert not access.is_cookie(wrong, "session"), wrong


def test_a_csrf_token_belongs_to_one_session() -> None:
    access = Access(8765)
    one, two = access.new_cookie("session"), access.new_cookie("session")
    assert access.is_csrf(access.csrf(one), one)
    assert not access.is_csrf(access.csrf(one), two)
    assert not access.is_csrf("", one)
    assert access.csrf(one) not in one


def test_nothing_secret_stands_in_what_is_printed_of_it() -> None:
    access = Access(8765, "0.0.0.0", (PublicName.parse("votes.lan"),), Password(GOOD))
    shown = repr(access)
    assert access.token not in shown
    assert GOOD not in shown
    assert repr(access._key) not in shown


def test_cookies_do_not_tell_ports_apart_so_their_names_do() -> None:
    assert Access(1111).cookie("session") != Access(2222).cookie("session")
    assert Access(1111).cookie("session") != Access(1111).cookie("login")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"])
def test_these_reach_this_machine_alone(host: str) -> None:
    assert is_loopback(host)
    Access(8765, host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "[::]", "192.168.1.5", "example.org", "0", "::ffff:10.0.0.1"]
)
def test_any_other_address_needs_a_password(host: str) -> None:
    with pytest.raises(CallError, match="no password"):
        Access(8765, host)


def test_a_name_for_others_needs_a_password() -> None:
    """Something in front of the server lets them in, though it listens to this machine alone."""
    with pytest.raises(CallError, match="no password"):
        Access(8765, public_names=(PublicName.parse("https://votes.example.org"),))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "0:0:0:0:0:0:0:0"])
def test_every_address_needs_a_name(host: str) -> None:
    with pytest.raises(CallError, match="every address") as caught:
        Access(8765, host, (), Password(GOOD))
    assert "--public-name" in caught.value.next


def test_hosts_and_origins_on_this_machine() -> None:
    access = Access(8765)
    assert access.hosts == {"127.0.0.1:8765", "localhost:8765", "[::1]:8765"}
    assert access.origins == {"http://127.0.0.1:8765", "http://localhost:8765", "http://[::1]:8765"}
    assert "localhost" in Access(80).hosts  # browsers leave the usual port out


def test_hosts_and_origins_under_a_name() -> None:
    names = (PublicName.parse("https://Votes.Example.org/"), PublicName.parse("192.168.1.5"))
    access = Access(8765, "0.0.0.0", names, Password(GOOD))
    assert {"votes.example.org", "192.168.1.5:8765"} < access.hosts
    assert "votes.example.org:8765" not in access.hosts
    assert "https://votes.example.org" in access.origins
    assert "http://votes.example.org" not in access.origins
    assert "http://192.168.1.5:8765" in access.origins
    assert not any(host.startswith("0.0.0.0") for host in access.hosts)
    assert access.url() == "https://votes.example.org/login"
    assert not access.is_https  # one of the two names is not


def test_the_cookie_is_for_https_alone_where_all_names_are() -> None:
    names = (PublicName.parse("https://votes.example.org"),)
    assert Access(8765, "127.0.0.1", names, Password(GOOD)).is_https


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("votes.lan", "votes.lan"), ("VOTES.lan:8080", "votes.lan:8080"), ("http://votes.lan:80",
        "votes.lan"),
        ("https://votes.lan:443/", "votes.lan"), ("[fe80::1]:8765", "[fe80::1]:8765"),
    ],
)  # fmt: skip
def test_public_names(text: str, host: str) -> None:
    assert PublicName.parse(text).host == host


@pytest.mark.parametrize("text", ["", "a b", "votes.lan/path", "ftp://x", "x\r\nHost: y", "*", "a:b", "u@h"])
def test_what_is_no_public_name(text: str) -> None:
    with pytest.raises(CallError):
        PublicName.parse(text)


def test_a_short_password_is_refused() -> None:
    with pytest.raises(CallError, match="at least 12"):
        Password("short")


def test_wrong_guesses_make_one_wait_longer_and_longer() -> None:
    """Three are free; then 1, 2, 4, ... seconds after the last wrong one, and no guess counts before."""
    clock = Clock()
    password = Password(GOOD, clock=clock)
    for _ in range(3):
        assert password.check("wrong", "10.0.0.1") is False
    assert password.check(GOOD, "10.0.0.1") == 1.0
    clock.now += 1.0
    assert password.check("wrong", "10.0.0.1") is False
    assert password.check(GOOD, "10.0.0.1") == 2.0
    clock.now += 1.5
    assert password.check(GOOD, "10.0.0.1") == 0.5
    assert password.check(GOOD, "10.0.0.2") is True  # others do not wait for this one
    clock.now += 0.5
    assert password.check(GOOD, "10.0.0.1") is True
    assert password.check("wrong", "10.0.0.1") is False  # and the count began anew


def test_the_wait_ends_somewhere() -> None:
    clock = Clock()
    password = Password(GOOD, clock=clock)
    for _ in range(12):
        assert password.check("wrong", "10.0.0.1") is False
        clock.now += 300
    assert password.check("wrong", "10.0.0.1") is False
    assert password.check("wrong", "10.0.0.1") == 300.0


def test_one_network_of_ipv6_is_one_guesser() -> None:
    """Whoever has one IPv6 address has 2^64 of them."""
    password = Password(GOOD, clock=Clock())
    for number in range(3):
        assert password.check("wrong", f"2001:db8::{number}") is False
    assert password.check(GOOD, "2001:db8::ffff") == 1.0
    assert password.check(GOOD, "2001:db8:0:1::1") is True
    for _ in range(3):
        password.check("wrong", "::ffff:10.0.0.9")
    assert password.check(GOOD, "10.0.0.9") == 1.0


def test_what_is_remembered_of_guessers_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.annotate.security._MAX_ADDRESSES", 4)
    password = Password(GOOD, clock=Clock())
    for number in range(10):
        password.check("wrong", f"10.0.0.{number}")
    assert len(password._wrong) == 4


@pytest.mark.parametrize("guess", ["", "x" * 100_000, "\ud800", GOOD + " ", GOOD.upper()])
def test_strange_guesses_are_wrong(guess: str) -> None:
    assert Password(GOOD).check(guess, "") is False
