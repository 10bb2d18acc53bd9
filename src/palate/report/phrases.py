"""Every word of a report, in each language it speaks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast, get_args

import yaml

from palate.report.catalogue import translated
from palate.report.checked import Interval
from palate.report.wording import ABSENT, number

__all__ = ["ENGLISH", "LANGUAGES", "Language", "Phrases", "wording_of"]

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


@cache
def wording_of(language: Language) -> Mapping[str, str]:
    """The wording of one language by name. `{n}` and the like are filled in; `one|many` follows n."""
    text = (files("palate.report") / f"wording.{language}.yaml").read_text(encoding="utf-8")
    return cast("dict[str, str]", yaml.safe_load(text))


class Phrases:
    """What a report says in one language."""

    def __init__(self, language: Language = "en") -> None:
        self.language = language

    def __call__(self, name: str, /, **values: Any) -> str:
        """The wording `name`, with `values` filled in; whole numbers get their separators.

        What is filled in is never read as wording: text of a model keeps its braces.
        """
        text = wording_of(self.language)[name]
        if "n" in values:
            forms = text.split("|")
            text = forms[0] if values["n"] == 1 else forms[-1]
        return text.format_map({key: _readable(value) for key, value in values.items()})

    def knows(self, name: str) -> bool:
        """Whether there is such a wording: names of figures and rules come from files, too."""
        return name in wording_of(self.language)

    def named(self, kind: str, name: str) -> str:
        """What `name` of a file is called: our word for it, else its own with spaces."""
        known = f"{kind}_{name}"
        return self(known) if self.knows(known) else name.replace("_", " ")

    def translated(self, text: str) -> str | None:
        """What another command said in English, in this language; None where it is not known how."""
        return text if self.language == "en" else translated(text, self.language)

    def known(self, text: str) -> str:
        """The same, in English where nothing else is known: for names, which need no mark of it."""
        return self.translated(text) or text

    def joined(self, items: list[str] | tuple[str, ...]) -> str:
        """`a, b and c`."""
        if len(items) < 2:
            return "".join(items)
        return self("and", first=self("list_comma").join(items[:-1]), last=items[-1])

    def interval(self, interval: Interval | None) -> str:
        """`95% interval 68.2% to 93.1%`, rounded outwards so that the words never claim a narrower one."""
        if interval is None:
            return ""
        return self("interval", range=self.share_range(interval))

    def share_range(self, interval: Interval | None) -> str:
        """An interval of a share as a table shows it, rounded outwards."""
        if interval is None:
            return ABSENT
        low, high = math.floor(interval[0] * 1000) / 10, math.ceil(interval[1] * 1000) / 10
        return self("range", low=f"{low:.1f}%", high=f"{high:.1f}%")

    def range(self, interval: Interval | None, show: Callable[[float], str] = number) -> str:
        """An interval of any figure as a table shows it; `show` writes its ends."""
        if interval is None:
            return ABSENT
        return self("range", low=show(interval[0]), high=show(interval[1]))

    def duration(self, seconds: float | None) -> str:
        """`48 s`, `3 min 20 s`, `2 h 5 min`."""
        if seconds is None:
            return ABSENT
        if seconds < 10:
            return self("seconds", seconds=number(seconds, 2))
        minutes, rest = divmod(round(seconds), 60)
        if minutes == 0:
            return self("seconds", seconds=rest)
        hours, left = divmod(minutes, 60)
        if hours:
            return self("hours_minutes", hours=hours, minutes=left)
        return self("minutes_seconds", minutes=minutes, seconds=rest)


def _readable(value: Any) -> Any:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value


ENGLISH = Phrases("en")
