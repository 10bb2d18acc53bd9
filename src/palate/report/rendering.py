"""What every page is rendered in: text escaped, nothing loaded, nothing run."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from palate.report.phrases import Phrases
from palate.report.wording import flat, number, percent, visible

if TYPE_CHECKING:
    from jinja2 import Environment

_CHINESE = re.compile(r"[\u3400-\u9fff]")

__all__ = ["page_environment", "page_policy", "told"]


def page_environment() -> Environment:
    """What pages are rendered in: everything is escaped that is not ours, and a missing value is an error."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters.update(
        number=number, percent=percent, flat=flat, known=lambda text, say: say.known(text)
    )
    return environment


def page_policy(css: str) -> str:
    """Nothing may load, run or be sent; of styles, exactly the one sheet in the page."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def told(text: str, say: Phrases) -> str | Markup:
    """What another command said, in the page's language; marked as English where it is not known how."""
    known = say.translated(text)
    if known is not None or _CHINESE.search(text):
        return known or text
    return Markup('<span lang="en">{}</span>').format(visible(text))


def _template(name: str) -> str:
    return (files("palate.report") / name).read_text(encoding="utf-8")


def _printable(value: Any) -> Any:
    # Markup is ours; any other text may be a model's, and comes out with control characters shown as signs.
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
