"""Opens reports in headless Chromium with the network off, and prints as JSON what happened there.

    python report_visitor.py PROGRAM WAY:REPORT...

A process of its own: a browser that another test holds open in this one does not matter.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
LOOK = """() => ({
    title: document.title,
    language: document.documentElement.lang,
    tags: [...new Set([...document.querySelectorAll('*')].map((e) => e.localName))],
    handlers: [...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames())
        .filter((name) => name.startsWith('on') || name === 'style' || name === 'src'),
    links: [...document.querySelectorAll('[href]')].map((e) => e.getAttribute('href')),
    ids: [...document.querySelectorAll('[id]')].map((e) => e.id),
    hacked: typeof window.__hacked,
    text: document.body.textContent,
    width: document.documentElement.scrollWidth,
    paper: getComputedStyle(document.body).backgroundColor,
    tablesShown: [...document.querySelectorAll('.numbers-behind table')]
        .filter((e) => e.checkVisibility()).length,
    tables: document.querySelectorAll('.numbers-behind table').length,
})"""


def visit(browser: Any, report: Path, **options: Any) -> dict[str, Any]:
    """What a visitor meets: problems that should not be, and what stands on the page."""
    problems: list[str] = []
    context = browser.new_context(offline=True, **options)
    context.add_init_script(
        "addEventListener('securitypolicyviolation', (e) => console.error('CSP: ' + e.violatedDirective))"
    )
    address = report.resolve().as_uri()
    # One is the page itself; the browser's own navigation is the only request there may be.
    context.on(
        "request", lambda asked: problems.append(asked.url) if asked.url.split("#")[0] != address else None
    )
    context.on("console", lambda said: problems.append(f"{said.type}: {said.text}"))
    context.on("weberror", lambda error: problems.append(f"error: {error.error}"))
    context.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page = context.new_page()
    page.goto(address)
    # By hand, not by script: whatever waits for a click, a key or the pointer gets it.
    for summary in page.locator("summary").all()[:8]:
        if summary.is_visible():
            summary.click()
    page.keyboard.press("Tab")
    page.wait_for_timeout(100)
    found: dict[str, Any] = page.evaluate(LOOK)
    page.emulate_media(media="print")
    found["printed"] = page.evaluate(LOOK)
    found["problems"] = problems
    context.close()
    return found


def main(program: str, visits: list[str]) -> None:
    from playwright.sync_api import sync_playwright

    ways: dict[str, dict[str, Any]] = {
        "light": {"viewport": {"width": 1280, "height": 800}},
        "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
        "phone": {"viewport": {"width": 390, "height": 800}},
        "without policy": {"viewport": {"width": 1280, "height": 800}, "bypass_csp": True},
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        seen: dict[str, dict[str, Any]] = {}
        for planned in visits:
            way, report = planned.split(":", 1)
            seen.setdefault(report, {})[way] = visit(browser, Path(report), **ways[way])
        browser.close()
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
