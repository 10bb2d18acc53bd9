"""`language_mix`: scripts that differ where one expects one. Scripts, not languages: French and English
are one script, and traditional and simplified Chinese too."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from palate.data.audit.check import AuditedRecord, Check
from palate.data.audit.finding import MAX_EXAMPLES, CheckName, Finding
from palate.data.audit.set_aside import rows
from palate.data.audit.tally import Tally, named_sides
from palate.data.excerpts import excerpt
from palate.records import Messages

__all__ = ["LanguageMix", "script_of"]

_RANGES = {
    "Latin": "A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ",
    "Cyrillic": "\u0400-\u052f",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
    "Kana": "\u3040-\u30ff\u31f0-\u31ff",
    "Hangul": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "Arabic": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff",
    "Hebrew": "\u0590-\u05ff",
    "Devanagari": "\u0900-\u097f",
    "Bengali": "\u0980-\u09ff",
    "Tamil": "\u0b80-\u0bff",
    "Telugu": "\u0c00-\u0c7f",
    "Thai": "\u0e00-\u0e7f",
    "Georgian": "\u10a0-\u10ff",
    "Armenian": "\u0530-\u058f",
    "Ethiopic": "\u1200-\u137f",
}
_LETTERS = re.compile("|".join(f"(?P<{name}>[{letters}]+)" for name, letters in _RANGES.items()))
_ASCII_LETTER = re.compile("[A-Za-z]")
_LETTERS_A_SIGN = {"Han": 3, "Kana": 2, "Hangul": 2}
"""About as many Latin letters say what one of these signs says."""
_READ_CHARACTERS = 600
_MIN_LETTERS = 8
_CLEAR_SHARE = 0.7
_NOT_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\\\w+|<[^>\n]*>", re.DOTALL)
_ASKS_FOR_ANOTHER = re.compile(
    r"translat|tradu|übersetz|перевед|перевод|ترجم|अनुवाद|번역|翻译|翻譯|译成|譯成|译为|譯為|訳"
    r"|\b(?:in|into|to|from)\s+(?:\w+\s+)?(?:arabic|armenian|bengali|bulgarian|cantonese|chinese|english|georgian|"
    r"greek|hebrew|hindi|japanese|korean|mandarin|persian|farsi|russian|tamil|telugu|thai|ukrainian|urdu)\b"
    r"|(?:用|以|成|写|寫|说|說)[^\s，。]{0,3}(?:[中英日俄韩韓法德]文|[汉漢英日俄韩韓法德]语|[英日俄韓法德]語)"
    r"|по-(?:английски|русски|китайски)",
    re.IGNORECASE,
)
_USUAL_SHARE = 0.5
_MIN_UNIFORM_ROWS = 50
_UNIFORM_SHARE = 0.98


def script_of(text: str) -> str | None:
    """The script of a text's beginning; None where there are few letters, or none has 70% of them.

    Code, links and tags do not count. Han with some kana is `Kana`: Japanese is written with both.
    """
    text = text[:_READ_CHARACTERS]
    if text.isascii():
        # A short look is enough for most texts.
        enough = any(len(_ASCII_LETTER.findall(text[:end])) >= _MIN_LETTERS for end in (40, _READ_CHARACTERS))
        return "Latin" if enough else None
    if "`" in text or "//" in text or "\\" in text or "<" in text:
        text = _NOT_PROSE.sub(" ", text)
    letters: Counter[str] = Counter()
    for run in _LETTERS.finditer(text):
        script = str(run.lastgroup)
        letters[script] += _LETTERS_A_SIGN.get(script, 1) * (run.end() - run.start())
    if letters["Kana"] * 4 > letters["Han"]:
        letters["Kana"] += letters.pop("Han", 0)
    if not letters:
        return None
    script, most = letters.most_common(1)[0]
    total = letters.total()
    return script if total >= _MIN_LETTERS and most >= _CLEAR_SHARE * total else None


class LanguageMix(Check):
    """Sides in different scripts, completions in another than their prompt, and rows in another than most."""

    name: CheckName = "language_mix"

    def __init__(self) -> None:
        self._sides, self._answers = Tally(), Tally()
        self._rows: Counter[str] = Counter()
        self._differing: Counter[str] = Counter()
        self._num_asked_for = self._num_prompts = 0
        self._by_script: dict[str, list[dict[str, Any]]] = {}

    def see(self, record: AuditedRecord) -> None:
        asked = _script_of_role(record.record.prompt, "user")
        said = {side: _script_of_role(messages, "assistant") for side, messages in named_sides(record)}
        known = [script for script in said.values() if script is not None]
        differs = len(set(known)) > 1
        self._num_prompts += asked is not None and bool(known)
        if differs:
            self._sides.add(record, **_quotes(record, asked, said))
        elif asked is not None and known and known[0] != asked:
            differs = not _ASKS_FOR_ANOTHER.search(record.prompt_text)
            if differs:
                self._answers.add(record, **_quotes(record, asked, said))
            else:
                self._num_asked_for += 1
        script = asked or (known[0] if known else None)
        if script is not None and record.side == "train":
            self._rows[script] += 1
            self._differing[script] += differs
            examples = self._by_script.setdefault(script, [])
            if len(examples) < MAX_EXAMPLES:
                examples.append({"place": record.place} | _quotes(record, asked, said))

    def findings(self) -> Iterator[Finding]:
        strays = self._stray_scripts()
        num_strays = sum(self._rows[script] for script in strays)
        parts = [
            (self._sides.count, "completions of one prompt in different scripts"),
            (self._answers.count, "completions in another script than their prompt"),
            (num_strays, self._stray_words()),
        ]
        if not any(count for count, _ in parts):
            return
        lone = [example for script in strays for example in self._by_script[script]]
        examples = [*self._sides.examples, *self._answers.examples, *lone]
        distinct = list({example["place"]: example for example in examples}.values())
        said = "; ".join(f"{rows(count)} with {what}" for count, what in parts if count)
        figures: dict[str, Any] = {
            "num_sides_differ": self._sides.count,
            "num_prompt_differs": self._answers.count,
            "num_asked_for_another": self._num_asked_for,
            "num_minority_script": num_strays,
            "num_rows_by_script": dict(self._rows.most_common()),
        }
        # A row that is stray and differs inside too is one row.
        count = self._sides.count + self._answers.count
        count += num_strays - sum(self._differing[script] for script in strays)
        # Where most rows answer so, and both sides do, it is what these data are about.
        is_usual = not self._sides.count and not strays and count > _USUAL_SHARE * self._num_prompts
        yield Finding(
            self.name,
            "info" if is_usual else "warning",
            count,
            tuple(distinct[:MAX_EXAMPLES]),
            f"There {'is' if said.startswith('1 ') else 'are'} {said}."
            + (
                " Where one side alone is in the prompt's language, that is what is learned."
                if self._sides.count
                else " Most rows here answer so: it seems to be what they are about."
                if is_usual
                else ""
            ),
            "Look at these rows, and drop those whose language nobody asked for.",
            figures,
            count,
        )

    def _stray_scripts(self) -> list[str]:
        """Scripts of few rows in a set that is otherwise of one."""
        total = self._rows.total()
        if total < _MIN_UNIFORM_ROWS or self._rows.most_common(1)[0][1] < _UNIFORM_SHARE * total:
            return []
        return [script for script, _ in self._rows.most_common()[1:]]

    def _stray_words(self) -> str:
        strays = self._stray_scripts()
        if not strays:
            return ""
        main, num = self._rows.most_common(1)[0]
        return f"prompts in {', '.join(strays)} among {num:,} in {main}"


def _quotes(record: AuditedRecord, asked: str | None, said: dict[str, str | None]) -> dict[str, str]:
    texts = zip(said.items(), record.completion_texts, strict=False)
    return {"prompt": f"{asked or 'unclear'}: {excerpt(record.prompt_text, 60)}"} | {
        side: f"{script or 'unclear'}: {excerpt(text, 60)}" for (side, script), text in texts
    }


def _script_of_role(messages: Messages, role: str) -> str | None:
    said = [message.content for message in messages if message.role == role]
    return script_of(said[-1]) if said else None
