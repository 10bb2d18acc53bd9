"""A real browser, watched: nothing goes wrong in it unnoticed, and it asks no other host for anything."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from voting_server import VotingServer, comparison, fill_store, voting_server

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The machine's own, without a window; gone with its file, for a loop runs in this thread meanwhile."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium on PATH")
    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


class Watched:
    """A browser of one person, and all that was seen in it that should not be."""

    def __init__(self, browser: Any, root: str, **options: Any) -> None:
        options = {"locale": "en-GB", "viewport": {"width": 1280, "height": 800}} | options
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(20_000)
        self.context.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error('CSP: ' + e.violatedDirective))"
        )
        self.host = urlsplit(root).netloc
        self.problems: list[str] = []
        self.context.on("request", self._requested)
        self.context.on("console", self._said)
        self.context.on("weberror", lambda found: self.problems.append(f"error: {found.error}"))
        self.context.on("dialog", self._asked)

    def page(self) -> Any:
        """A new tab."""
        return self.context.new_page()

    def _requested(self, request: Any) -> None:
        if urlsplit(request.url).netloc != self.host:
            self.problems.append(f"request: {request.url}")

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console: {message.text}")

    def _asked(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def forgive_lost_requests(self) -> None:
        """What the browser itself says of a request that came to nothing; the rest stays a problem."""
        self.problems = [text for text in self.problems if "Failed to load resource" not in text]


@pytest.fixture
def watched(chromium: Any) -> Iterator[Callable[..., Watched]]:
    """Makes browsers; at the end nothing bad may have been seen in any."""
    made: list[Watched] = []

    def make(root: str, **options: Any) -> Watched:
        made.append(Watched(chromium, root, **options))
        return made[-1]

    yield make
    problems = [problem for one in made for problem in one.problems]
    for one in made:
        one.context.close()
    assert problems == []


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VotingServer]:
    """One of 40 pairs for tests that each vote under a name of their own."""
    path: Path = tmp_path_factory.mktemp("shared") / "votes.sqlite3"
    fill_store(path, [comparison(number) for number in range(40)])
    with voting_server(store=path) as server:
        yield server
