"""The voting pages as HTML, and the files they load: all of them Palate's own, none from another host."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from palate.annotate.wording import LANGUAGES, Language, words

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = [
    "CONTENT_SECURITY_POLICY",
    "KEYS",
    "STATIC",
    "LoginProblem",
    "PageName",
    "page_status",
    "render_page",
]

PageName = Literal["vote", "dashboard", "login", "enter"]

LoginProblem = Literal["", "wrong", "wait"]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""All that the pages need. Trusted types: even our own scripts cannot make HTML of a string."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "left": ("ArrowLeft", "f", "1"),
    "right": ("ArrowRight", "j", "2"),
    "tie": ("t", "3"),
    "both_bad": ("b", "4"),
    "skip": ("s",),
    "undo": ("u", "Backspace"),
    "note": ("n",),
    "expand": ("p",),
    "help": ("?", "h"),
}
"""What each key does, always, whatever is shown: `KeyboardEvent.key` in lower case where it is a letter.

The arrows up and down are no votes: whoever reads a long text by keyboard scrolls with them.
"""

_LABELS = {"ArrowLeft": "←", "ArrowRight": "→", "Backspace": "⌫"}

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def _read_static() -> dict[str, tuple[str, bytes]]:
    found = {}
    for file in files("palate.annotate").joinpath("pages").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in _CONTENT_TYPES:
            found[file.name] = (_CONTENT_TYPES[suffix], file.read_bytes())
    return dict(sorted(found.items()))


STATIC: Mapping[str, tuple[str, bytes]] = _read_static()
"""What `/static/NAME` may answer: content type and bytes by name. There is no other name."""


def render_page(
    name: PageName,
    language: Language,
    csrf: str = "",
    *,
    store: str = "",
    problem: LoginProblem = "",
    wait_seconds: int = 0,
) -> str:
    """One page as HTML.

    `csrf` is what the page's scripts send as `X-Palate-CSRF` (and its login form as `csrf`). `store` names
    the votes' store without saying where it is (a hash): unsent votes that the browser keeps are never sent
    to another store that happens to be served at the same address. `problem` and `wait_seconds` are the
    login's: a wrong password, and how long to wait after several.
    """
    spoken = words(language)
    return _template(name).render(
        w=spoken,
        language=language,
        other_languages=[(other, words(other)["language_name"]) for other in LANGUAGES if other != language],
        csrf=csrf,
        store=store,
        problem=problem,
        wait_seconds=wait_seconds,
        keys={does: [_LABELS.get(key, key.upper()) for key in keys] for does, keys in KEYS.items()},
        shortcuts={
            does: " ".join(key.upper() if len(key) == 1 else key for key in keys)
            for does, keys in KEYS.items()
        },
        data={"words": dict(spoken), "keys": KEYS, "language": language, "store": store},
    )


def page_status(name: PageName, problem: LoginProblem = "") -> int:
    """The HTTP status that the page goes out with: being let in is 200, anything else says so."""
    if name == "enter":
        return 401
    return {"": 200, "wrong": 401, "wait": 429}[problem]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("palate.annotate", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "sort_keys": True}
    return environment


def _template(name: PageName) -> Any:
    return _environment().get_template(f"{name}.html")
