"""What a browser may send: events, names, lists of what it has; and everything else is refused in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgi_browser import sent_vote
from hypothesis import given
from hypothesis import strategies as st

from palate.annotate.guard import Refused
from palate.annotate.inputs import SentEvent, annotator_name, showings, whole_number

ITEM = "0123456789abcdef"


def parse(**more: Any) -> SentEvent:
    return SentEvent.parse(json.dumps(sent_vote(ITEM) | more).encode())


def status_of(body: bytes) -> int:
    with pytest.raises(Refused) as caught:
        SentEvent.parse(body)
    return caught.value.status


def test_a_vote() -> None:
    sent = parse(note="比较好\nreally", seconds=3)
    assert (sent.annotator, sent.choice, sent.note, sent.seconds) == ("Ann", "left", "比较好\nreally", 3.0)


def test_what_may_be_left_out() -> None:
    body = {"key": "k" * 8, "annotator": "Ann", "kind": "skip", "item": ITEM}
    assert SentEvent.parse(json.dumps(body).encode()).repeat == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": ""}, {"key": "short"}, {"key": "k" * 65}, {"key": "has space"}, {"key": "key-0001\n"},
        {"key": 12345678},
        {"key": None}, {"key": "schlüssel"}, {"key": "a\x00bcdefgh"},
        {"kind": "delete"}, {"kind": None}, {"kind": ["vote"]},
        {"item": ITEM.upper()}, {"item": ITEM[:-1]}, {"item": ITEM + "\n"}, {"item": "../../../../etc/p"},
        {"item": "' OR 1=1 --     "}, {"item": None}, {"item": 1},
        {"repeat": 2}, {"repeat": -1}, {"repeat": True}, {"repeat": "0"}, {"repeat": 0.0}, {"repeat": 10**30},
        {"choice": None}, {"choice": "a"}, {"choice": "b"}, {"choice": "LEFT"}, {"choice": ""}, {"choice": 1},
        {"kind": "skip"}, {"kind": "undo"}, {"kind": "undo", "choice": None}, {"undoes": "key-0001"},
        {"kind": "adjudicate", "choice": None},
        {"note": "x" * 4001}, {"note": "a\x00b"}, {"note": "\ud800"}, {"note": None}, {"note": {"a": 1}},
        {"seconds": -1}, {"seconds": 10**9}, {"seconds": "1"}, {"seconds": True}, {"seconds": 10**400},
        {"annotator": ""}, {"annotator": "   "}, {"annotator": "x" * 41}, {"annotator": "a\x00b"},
        {"annotator": "a\nb"}, {"annotator": "\u202eann"}, {"annotator": "a\u200bb"}, {"annotator": "\ud800"},
        {"annotator": 5}, {"annotator": None}, {"annotator": ["Ann"]},
        {"left": "a"}, {"number": 1}, {"created_at": "x"}, {"source": "x"}, {"__proto__": {}}, {"": 1},
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_event(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        parse(**wrong)
    assert caught.value.status in (400, 422)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff\xfe", b"\xed\xa0\x80", b"\x00", b"{}" * 2,
        b"[" * 60_000, b'{"a":' * 9_000 + b"1" + b"}" * 9_000, b'{"note": NaN}', b'{"seconds": Infinity}',
        b'{"key": "a", "key": "b"}', b'{"seconds": ' + b"9" * 5_000 + b"}", b"\xef\xbb\xbf{}", b"{'key': 1}",
    ],
)  # fmt: skip
def test_what_is_no_json_of_ours(body: bytes) -> None:
    assert status_of(body) in (400, 422)


def test_what_says_two_things_says_none() -> None:
    """One reader takes the first, another the last: what was voted must not hang on that."""
    body = json.dumps(sent_vote(ITEM)).encode()
    assert SentEvent.parse(body).choice == "left"
    assert status_of(body.replace(b'"choice": "left"', b'"choice": "left", "choice": "right"')) == 400


def test_nesting_has_an_end() -> None:
    assert status_of(b'{"note":' + b"[" * 20 + b"]" * 20 + b"}") == 400


def test_what_was_sent_is_not_repeated() -> None:
    for wrong in [{"<script>": 1}, {"kind": "<script>"}, {"annotator": "<script>" * 9}, {"item": "<script>"}]:
        with pytest.raises(Refused) as caught:
            parse(**wrong)
        assert "script" not in caught.value.what + caught.value.why + caught.value.next


def test_an_undo() -> None:
    assert parse(kind="undo", choice=None, undoes="key-0001").undoes == "key-0001"


def test_names_in_one_spelling() -> None:
    """`é` as one character and as two are one annotator, and so is a name with more spaces."""
    assert annotator_name("Rene\u0301") == annotator_name("  René ") == "René"
    assert annotator_name("Ann  Lee") == "Ann Lee"
    assert annotator_name("王小明") == "王小明"
    assert annotator_name("O'Brien <x>") == "O'Brien <x>"


@pytest.mark.parametrize(
    "text",
    [
        "\u202eabc",
        "a\u2066b",
        "a\x1b[2J",
        "a\tb",
        "a\u2028b",
        "a\u200db",
        "\ufeffa",
        "a\x7f",
        "\ue000",
        "\uffff",
    ],
)
def test_names_that_do_not_show_what_they_are(text: str) -> None:
    with pytest.raises(ValueError, match="visible"):
        annotator_name(text)


@given(st.text(max_size=60))
def test_a_name_that_is_taken_is_taken_again_as_it_is(text: str) -> None:
    try:
        name = annotator_name(text)
    except ValueError:
        return
    assert annotator_name(name) == name
    assert 1 <= len(name) <= 40
    assert "\x00" not in name
    name.encode("utf-8")


def test_what_a_page_has() -> None:
    assert showings("") == frozenset()
    assert showings(f"{ITEM}:0,{ITEM}:1") == {(ITEM, 0), (ITEM, 1)}


@pytest.mark.parametrize(
    "text",
    [",", ITEM, f"{ITEM}:2", f"{ITEM}:0,", f" {ITEM}:0", f"{ITEM}:0\n", "x" * 16 + ":0",
    ",".join([f"{ITEM}:0"] * 501)],
)  # fmt: skip
def test_what_says_nothing_of_what_a_page_has(text: str) -> None:
    with pytest.raises(Refused):
        showings(text)


@pytest.mark.parametrize("text", ["", "0", "51", "-1", "1.0", "1e1", " 1", "٣", "１", "1" * 5000, "x"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(Refused):
        whole_number("count", text, 1, 50)
    assert whole_number("count", "50", 1, 50) == 50
