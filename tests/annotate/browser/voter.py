"""What a person does at the voting page, as the tests do it."""

from __future__ import annotations

from typing import Any

LEAST_SHOWN_MS = 260
"""A little longer than the page wants a pair to have been shown before it takes a choice."""


def come_in(page: Any, address: str, name: str) -> None:
    """Open the link, say a name with the keyboard, and see the first pair."""
    page.goto(address)
    page.wait_for_selector("#entry:not([hidden])")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    see_pair(page)


def see_pair(page: Any) -> str:
    """Wait for a pair, and say which it is."""
    page.wait_for_selector("#pair[data-item]:not([hidden])")
    return str(page.get_attribute("#pair", "data-item"))


def press(page: Any, key: str) -> None:
    """Choose by key, and wait until something else is shown."""
    before = see_pair(page)
    page.wait_for_timeout(LEAST_SHOWN_MS)
    page.keyboard.press(key)
    page.wait_for_function("(before) => document.getElementById('pair').dataset.item !== before", arg=before)


def all_saved(page: Any) -> None:
    """Wait until the page says so, and has nothing left to send."""
    page.wait_for_selector("#saved[data-unsent='0']:text-is('All saved')")
