"""`palate annotate`, as typed: what it says, whom it lets in, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from palate.annotate.store import VoteStore
from palate.cli import main

TRACE = (
    "import json, os, sys; from palate.cli import main\n"
    "try: main(sys.argv[1:])\n"
    "finally: sys.stderr.write(json.dumps(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules))))"
)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"Prompt {n}?", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(1, 5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0], {"prompt": "x"}]))
    return path


@contextmanager
def annotating(*words: object, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a child process, and its first line."""
    with subprocess.Popen(
        [sys.executable, "-c", TRACE, "annotate", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables},
    ) as child:  # fmt: skip
        try:
            assert child.stdout is not None
            yield child, child.stdout.readline()
        finally:
            child.kill()


def vote(client: httpx2.Client, url: str) -> str:
    """On one item, as the page does; returns what is asked."""
    page = client.get(url, follow_redirects=True)
    csrf = re.search(r'palate-csrf" content="([0-9a-f]+)"', page.text)
    assert csrf is not None
    root = str(page.url)
    shown = client.get(f"{root}api/next", params={"annotator": "Ann"}).json()
    item = shown["items"][0]["item"]
    sent = {"key": "key-00000001", "annotator": "Ann", "kind": "vote", "item": item, "choice": "left"}
    answer = client.post(f"{root}api/events", json=sent, headers={"X-Palate-CSRF": csrf[1]})
    assert answer.status_code == 200, answer.text
    return str(shown["question"])


def test_in_words_and_stopped_by_hand_and_gone_on_with_for_a_program(pairs: Path) -> None:
    store = pairs.with_name("pairs.votes.sqlite3")
    with annotating(pairs, "--port", 0, "--question", "Which?", "--overlap", "all") as (child, line):
        assert line == f"4 to vote on; votes go to {store}\n"
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/enter\?token=[\w-]{40,}", url)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert "set aside" in err
    assert "1 left out that stand in the source before" in err
    assert "Stopped. 0 votes in" in err

    with annotating("--store", store, "--port", 0, "--json") as (child, line):
        ready = json.loads(line)
        assert ready == {"url": ready["url"], "store": str(store), "num_items": 4}
        with httpx2.Client() as client:
            assert vote(client, ready["url"]) == "Which?"
            child.terminate()
            out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert out == ""
    assert "1 vote in" in err
    assert f"palate annotate export --store {store}" in err
    assert err.endswith("[]"), "torch or the like was loaded"
    token = ready["url"].partition("token=")[2]
    assert len(token) > 40
    assert token not in err, "the token is in the log"
    with VoteStore(store, must_exist=True) as opened:
        assert [event.kind for event in opened.events()] == ["vote"]


def test_a_password_comes_out_of_the_environment_alone(pairs: Path) -> None:
    secret = "correct horse battery"
    words = [pairs, "--port", 0, "--json", "--host", "0.0.0.0", "--public-name", "votes.lan"]
    with annotating(*words, "--password-env", "VOTES_PASSWORD", VOTES_PASSWORD=secret) as (child, line):
        ready = json.loads(line)
        assert ready["url"].startswith("http://votes.lan:")
        assert ready["url"].endswith("/login")
        port = ready["url"].rpartition(":")[2].partition("/")[0]
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Host": f"votes.lan:{port}"}
        ) as client:
            assert client.get("/").headers["location"] == "/login"
            form = client.get("/login")
            csrf = re.search(r'palate-csrf" content="([0-9a-f]+)"', form.text)
            assert csrf is not None
            entered = client.post("/login", data={"csrf": csrf[1], "password": secret})
            assert (entered.status_code, entered.headers["location"]) == (303, "/")
            assert client.get("/").status_code == 200
        child.terminate()
        _, err = child.communicate(timeout=30)
    assert secret not in err + line
    assert "not encrypted" in err


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["annotate", *map(str, words)])
    assert caught.value.code == 2
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "neither a source nor a store"),
        (["--store", "x.sqlite3", "--task", "label"], "--task has no effect"),
        (["--store", "x.sqlite3", "--limit", "1"], "--limit has no effect"),
        (["PAIRS", "--limit", "0"], "--limit 0"),
        (["PAIRS", "--host", "0.0.0.0"], "there is no password"),
        (["PAIRS", "--host", "192.168.1.5"], "there is no password"),
        (["PAIRS", "--public-name", "votes.lan"], "there is no password"),
        (["PAIRS", "--password-env", "NOT_SET"], 'variable "NOT_SET" is not set'),
        (["PAIRS", "--overlap", "some"], "--overlap"),
        (["PAIRS", "--overlap", "0"], "overlap"),
        (["PAIRS", "--repeats", "2"], "repeat"),
        (["PAIRS", "--order", "up"], "order"),
        (["PAIRS", "--task", "sing"], "task"),
        (["PAIRS", "--port", "70000"], "is no port"),
        (["nothing.jsonl"], "nothing.jsonl"),
    ],
)
def test_calls_that_are_wrong(
    pairs: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    words = [str(pairs) if word == "PAIRS" else word for word in words]
    given = ["--port", "0"] if words and "--port" not in words else []
    assert said in refused(capsys, *words, *given)
    assert not pairs.with_name("pairs.votes.sqlite3").exists() or "overlap" in said or "repeat" in said


def test_a_short_password(pairs: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT", "short")
    assert "at least 12" in refused(capsys, pairs, "--port", 0, "--password-env", "SHORT")
    assert "SHORT" not in os.environ  # what is started from here does not see it


def test_a_port_that_is_taken(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        said = refused(capsys, pairs, "--port", other.getsockname()[1])
    assert "is taken" in said
    assert "--port 0" in said


def test_the_browser_is_not_told_the_token_where_others_read_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Everybody on a machine reads command lines; only the user reads this file."""
    import threading

    from palate.cli import annotate

    opened: list[str] = []
    done = threading.Event()

    def note(url: str) -> bool:
        opened.append(url)
        done.set()
        return True

    monkeypatch.setattr("webbrowser.open", note)
    with annotate._browser() as open_page:
        open_page("http://127.0.0.1:1/enter?token=secret&x")
        assert done.wait(20)
        assert "secret" not in opened[0]
        page = Path(opened[0].removeprefix("file://"))
        assert 'url=http://127.0.0.1:1/enter?token=secret&amp;x"' in page.read_text()
        assert page.parent.stat().st_mode & 0o077 == 0
    assert not page.exists()
