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

from palate.cli.annotate_options import SERVED, VOTING, ServedOptions, VotingOptions
from palate.cli.annotate_votes import register_votes
from palate.cli.console import error_console, output_console, writing_output
from palate.cli.options import JSON
from palate.data.excerpts import excerpt

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
    limit: int | None = None,
    voting: VotingOptions = VOTING,
    served: ServedOptions = SERVED,
    open_browser: Annotated[bool | None, Parameter(name="--open", negative="--no-open")] = None,
    as_json: Annotated[bool, JSON] = False,
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
    limit
        Take only the first comparisons.
    open_browser
        Open the page in a browser; done where a person sits before a screen.
    as_json
        Print the address, the store and the number of items as one line of JSON.
    """
    from palate.pipeline.annotating import annotate_source

    settings = voting.settings()
    with _browser() as open_page:

        def ready(serving: Serving) -> None:
            _say_ready(serving, as_json)
            if open_browser if open_browser is not None else not as_json and _has_screen():
                open_page(serving.url)

        done = annotate_source(
            source,
            store=store,
            task=task,
            settings=settings,
            limit=limit,
            address=served.address(),
            language=served.language,
            on_ready=ready,
        )
    _say_done(done)


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
