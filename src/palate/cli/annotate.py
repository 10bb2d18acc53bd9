"""`palate annotate`: a page on which people vote."""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter
from rich.text import Text

from palate.cli.annotate_votes import register_votes
from palate.cli.console import error_console, output_console, writing_output
from palate.data.excerpts import excerpt
from palate.errors import CallError

if TYPE_CHECKING:
    from palate.pipeline.annotating import Serving

__all__ = ["annotate_app"]

annotate_app = cyclopts.App(name="annotate", help="A page on which people vote, and what they said.")
register_votes(annotate_app)


@annotate_app.default
def annotate(
    source: str | None = None,
    *,
    store: str | None = None,
    task: Literal["label", "compare"] | None = None,
    question: str | None = None,
    overlap: str | None = None,
    repeats: float | None = None,
    order: Literal["given", "random", "least-certain"] | None = None,
    seed: int | None = None,
    limit: int | None = None,
    port: int = 8765,
    host: str = "127.0.0.1",
    public_name: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    password_env: str | None = None,
    language: Literal["en", "zh"] = "en",
    open_browser: Annotated[bool | None, Parameter(name="--open", negative="--no-open")] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Serve a page on which people vote: left, right, tie, both bad. It runs until it is stopped.

    Parameters
    ----------
    source
        A file of comparisons or preference data, a Hub data set, a run folder, or playground. Left out, what
        is in --store is gone on with.
    store
        Where the votes go: a file or a postgresql:// URL; a file beside the source where absent.
    task
        label: votes become training pairs; compare: two models, blind. A run is compared, the rest labelled.
    question
        What people are asked.
    overlap
        How many people each item is wanted from, or all.
    repeats
        The share of items shown to a person twice, unannounced.
    order
        given: as in the source; random; least-certain: first what would tell most.
    seed
        Decides sides, random orders and repeats; drawn at random where absent.
    limit
        Take only the first comparisons.
    port
        0 takes any that is free.
    host
        The address to listen on. Any but this machine's own needs --password-env.
    public_name
        A name or address under which others reach this server. May be repeated.
    password_env
        The environment variable that holds the password people log in with.
    language
        The page's, for browsers that ask for none it speaks.
    open_browser
        Open the page in a browser; done where a person sits before a screen.
    as_json
        Print the address, the store and the number of items as one line of JSON.
    """
    from palate.pipeline.annotating import Address, annotate_source

    settings = {
        "question": question,
        "overlap": _overlap(overlap),
        "repeat_share": repeats,
        "order": order,
        "seed": seed,
    }
    with _browser() as open_page:

        def ready(serving: Serving) -> None:
            _say_ready(serving, as_json)
            if open_browser if open_browser is not None else not as_json and _has_screen():
                open_page(serving.url)

        done = annotate_source(
            source,
            store=store,
            task=task,
            settings={name: value for name, value in settings.items() if value is not None},
            limit=limit,
            address=Address(host, port, _password(password_env), public_name),
            language=language,
            on_ready=ready,
        )
    _say_done(done)


def _overlap(text: str | None) -> int | str | None:
    if text is None or text == "all":
        return text
    if not (text.isascii() and text.isdigit()):
        raise CallError(
            f'"{excerpt(text)}" is no number of people', where="--overlap", next="1, 2, ... or all"
        )
    return int(text)


def _password(variable: str | None) -> str | None:
    """Taken out of the environment: what this process starts, such as a browser, has no need of it."""
    if variable is None:
        return None
    password = os.environ.pop(variable, "")
    if not password:
        raise CallError(
            f'the environment variable "{excerpt(variable)}" is not set or empty',
            where="--password-env",
            next="it takes the name of a variable that holds the password, not the password",
        )
    return password


def _say_ready(serving: Serving, as_json: bool) -> None:
    notes = error_console()
    for line in _notes(serving):
        notes.print(Text(line))
    if as_json:
        line = json.dumps({"url": serving.url, "store": serving.store, "num_items": serving.num_items})
        with writing_output():
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        return
    console = output_console(soft_wrap=True)
    console.print(Text(f"{_items(serving)}; votes go to {excerpt(serving.store, 500)}"))
    console.print(Text(serving.url, "bold"))
    console.print(Text("Ctrl-C stops it; every vote is kept.", "dim"))
    with writing_output():
        sys.stdout.flush()


def _items(serving: Serving) -> str:
    told = f"{serving.num_items:,} to vote on"
    if serving.num_new < serving.num_items and serving.source is not None:
        told += f", {serving.num_new:,} of them new"
    return told + (f", {serving.num_votes:,} votes there already" if serving.num_votes else "")


def _notes(serving: Serving) -> Iterator[str]:
    source = serving.source
    if source is not None:
        for row in source.set_aside[:3]:
            yield f"set aside: {excerpt(row.place, 200)}: {excerpt(row.reason, 200)}"
        if len(source.set_aside) > 3:
            yield f"{len(source.set_aside):,} rows were set aside in all"
        if source.num_repeated:
            yield f"{source.num_repeated:,} left out that stand in the source before"
        if source.num_identical:
            yield f"{source.num_identical:,} left out because both models gave the same answer: they are ties"
    if not serving.is_encrypted:
        yield "Password and votes are not encrypted on their way: put a server with https before this one."


def _say_done(done: Serving) -> None:
    votes = "1 vote" if done.num_votes == 1 else f"{done.num_votes:,} votes"
    notes = error_console()
    notes.print(Text(f"Stopped. {votes} in {excerpt(done.store, 500)}"))
    if done.num_votes:
        # A store's name has no password in it: where it is a URL, the person puts it in again.
        command = ["palate", "annotate", "export", "--store", done.store, "-o", "votes.pairs.jsonl"]
        notes.print(Text(f"Next: {shlex.join(command)}"))


def _has_screen() -> bool:
    """Whether a person started this where a browser can show itself."""
    if not sys.stdout.isatty() or "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


@contextmanager
def _browser() -> Iterator[Any]:
    """A function that opens an address, without the address ever standing on a command line.

    Command lines can be read by everybody on the machine, and the token is in the address: the browser is
    given a file that only this user can read, and goes on from there.
    """
    import webbrowser

    with tempfile.TemporaryDirectory(prefix="palate-annotate-", ignore_cleanup_errors=True) as folder:

        def open_page(url: str) -> None:
            page = Path(folder) / "vote.html"  # the folder is its owner's alone
            page.write_text(
                '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
                f'<meta http-equiv="refresh" content="0; url={escape(url)}"><title>Palate</title>',
                encoding="utf-8",
            )
            threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()

        yield open_page
