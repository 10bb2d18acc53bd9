"""Which texts share a run of words with a test set."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from palate.data.audit.check import AuditedRecord, text_of
from palate.data.detection import SAMPLE_ROWS, claimed_layout
from palate.data.files import format_of, read_lines
from palate.data.prompts import read_prompts
from palate.data.reading import stream_records
from palate.data.sources import open_rows
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import SetAside

__all__ = ["DEFAULT_NGRAM", "Overlap", "TestSet", "TestText", "read_test_texts"]

DEFAULT_NGRAM = 8
MAX_TEXTS_OF_A_LEAK = 10
"""A run in more different test texts than this is a phrase of their template (GPT-3's rule, appendix C)."""

# Scripts written without spaces: each character is a token, and two of them stand for a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKENS = re.compile(rf"[{_UNSPACED}\U00020000-\U0003ffff]|[^\W_{_UNSPACED}\U00020000-\U0003ffff]+")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}\U00020000-\U0003ffff]")


@dataclass(frozen=True, slots=True)
class TestText:
    """One text of a test set and where it stands."""

    __test__ = False

    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a text has in common with a test set: words, folded, and the place of the test row."""

    words: str
    place: str


class TestSet:
    """The runs of words of a test set. Memory grows with the test set, never with what is held against it.

    Words are compared without case, punctuation and Unicode form. A run is `ngram` words, or 2 * `ngram`
    characters where most of a test text is in a script without spaces. A text is also compared whole, which
    is all that can be done with one shorter than a run. A run that stands in more than
    MAX_TEXTS_OF_A_LEAK different test texts, or in more than half of three or more, is their template.
    """

    __test__ = False

    def __init__(self, texts: Iterable[TestText], ngram: int = DEFAULT_NGRAM) -> None:
        self._whole: dict[str, str] = {}
        runs: dict[int, Counter[str]] = {ngram: Counter(), 2 * ngram: Counter()}
        places: dict[int, dict[str, str]] = {size: {} for size in runs}
        for said in texts:
            words = _words(said.text)
            whole = " ".join(words)
            if not words or whole in self._whole:
                continue
            self._whole[whole] = said.place
            size = 2 * ngram if _is_unspaced(words) else ngram
            for run in dict.fromkeys(_runs(words, size)):
                runs[size][run] += 1
                places[size].setdefault(run, said.place)
        num = len(self._whole)
        most = min(MAX_TEXTS_OF_A_LEAK, num // 2) if num >= 3 else num
        self._runs = {
            size: {run: places[size][run] for run, count in counts.items() if count <= most}
            for size, counts in runs.items()
            if counts
        }
        self.num_texts = num
        """How many different texts it has."""
        self.num_template_runs = sum(map(len, runs.values())) - sum(map(len, self._runs.values()))
        """Runs that count as template and are not looked for."""

    def overlap(self, text: str) -> Overlap | None:
        """The first thing the text has in common with the test set."""
        words = _words(text)
        if (whole := " ".join(words)) in self._whole:
            return Overlap(whole, self._whole[whole])
        for size, places in self._runs.items():
            for run in _runs(words, size):
                if run in places:
                    return Overlap(run, places[run])
        return None


def read_test_texts(source: str) -> Iterator[TestText]:
    """The texts of a test set: lines of a `.txt` file, prompts, or all prompts and completions of rows.

    Raises:
        DataError: it cannot be read, or holds no text.
    """
    found = False
    for text in _texts(source):
        found = True
        yield text
    if not found:
        raise DataError("there is no text in this test set", where=source, next="name a file that holds some")


def _texts(source: str) -> Iterator[TestText]:
    if format_of(source) == ".txt":
        for number, line in read_lines(source):
            yield TestText(line, f"{source}:{number}")
        return
    options = SourceOptions(source=source)
    if claimed_layout(list(islice(open_rows(options), SAMPLE_ROWS)), source) is None:
        for number, prompt in enumerate(read_prompts(source)[0], 1):
            yield TestText(text_of(prompt), f"{source}, prompt {number}")
        return
    rows = zip(open_rows(options), stream_records(options), strict=True)
    for number, (row, item) in enumerate(rows):
        if isinstance(item, SetAside):
            yield from (TestText(text, item.place) for text in (row.text, *_texts_in(row.fields)) if text)
            continue
        record = AuditedRecord(item, "eval", number)
        yield from (TestText(text, record.place) for text in (record.prompt_text, *record.completion_texts))


def _texts_in(fields: Mapping[str, Any]) -> Iterator[str]:
    """Whatever a row says: one that is no record is in the test set all the same."""
    left: list[Any] = [fields]
    while left:  # without recursion, for a row may be deep
        match left.pop():
            case str() as text:
                yield text
            case Mapping() as inner:
                left += [value for name, value in inner.items() if name not in ("role", "from")]
            case list() | tuple() as items:
                left += items


def _words(text: str) -> list[str]:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _TOKENS.findall(text.casefold())


def _is_unspaced(words: list[str]) -> bool:
    return 2 * sum(len(word) == 1 and _IS_UNSPACED.match(word) is not None for word in words) > len(words)


def _runs(words: list[str], size: int) -> Iterator[str]:
    return (" ".join(words[start : start + size]) for start in range(len(words) - size + 1))
