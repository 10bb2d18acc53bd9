"""`not_verbatim`: preferred completions that are claimed to be excerpts and stand in no document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from palate.data.audit.check import AuditedRecord, Check
from palate.data.audit.finding import CheckName, Finding
from palate.data.audit.tally import Tally
from palate.data.excerpts import excerpt
from palate.data.spans import FoldedText
from palate.records import Document

__all__ = ["DocumentIndex", "NotVerbatim"]

_UNIT = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_WORDS_IN_A_ROW = 4
_MAX_COMPARED_CHARACTERS = 2000
_MAX_NEAREST = 1000
_NEAR = 90.0


class DocumentIndex:
    """Documents by runs of four words (of Chinese, Japanese, Korean: signs), to find the one a text is of."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self.documents = list(documents)
        self._folded = [FoldedText(document.text) for document in self.documents]
        self._by_id = {document.id: place for place, document in enumerate(self.documents)}
        self._runs: dict[int, set[int]] = {}
        for place, document in enumerate(self.documents):
            for run in _runs(document.text):
                self._runs.setdefault(run, set()).add(place)

    def holding(self, text: str, document: str | None = None) -> int | None:
        """Which document the text stands in word for word, as `fold` writes both; None where it is in none.

        Where `document` names one of them, only that one counts.
        """
        own = self._by_id.get(document) if document is not None else None
        places = [own] if own is not None else self._candidates(text)
        return next((place for place in places if self._folded[place].find(text) is not None), None)

    def nearest(self, text: str) -> tuple[int, float] | None:
        """The document with most runs in common, and how like its likest passage is, from 0 to 100 (of the
        text's first 2,000 characters, by rapidfuzz). None where no document shares a run."""
        from rapidfuzz import fuzz

        votes = Counter(
            place for run in _runs(text[:_MAX_COMPARED_CHARACTERS]) for place in self._runs.get(run, ())
        )
        if not votes:
            return None
        place = votes.most_common(1)[0][0]
        folded = self._folded[place].folded
        return place, fuzz.partial_ratio(text[:_MAX_COMPARED_CHARACTERS], folded)

    def _candidates(self, text: str) -> Iterable[int]:
        runs = _runs(text)
        # The first and the last word may be parts of the document's words; what is between is whole.
        if len(runs) < 3:
            return range(len(self.documents))
        return sorted(self._runs.get(runs[len(runs) // 2], ()))


def _runs(text: str) -> list[int]:
    words = [word.casefold() for word in _UNIT.findall(text)]
    num = len(words) - _WORDS_IN_A_ROW + 1
    return [hash(tuple(words[start : start + _WORDS_IN_A_ROW])) for start in range(max(0, num))]


class NotVerbatim(Check):
    """Whether the preferred completion of each row stands in a document.

    A row that names its document (`document` in its provenance) is held against that one, any other against
    all of them.
    """

    name: CheckName = "not_verbatim"

    def __init__(self, documents: Iterable[Document]) -> None:
        self._index = DocumentIndex(documents)
        self._found = Tally()
        self._num_rows = self._num_near = self._num_compared = self._num_unlike = 0

    def see(self, record: AuditedRecord) -> None:
        said = [turn.content for turn in record.completions[0] if turn.role == "assistant"]
        if not said or getattr(record.record, "desirable", True) is False:
            return
        self._num_rows += 1
        named = record.record.provenance.detail.get("document")
        text = said[-1]
        if self._index.holding(text, named if isinstance(named, str) else None) is not None:
            return
        self._found.add(record, completion=excerpt(text, 80), **self._how_near(text))

    def _how_near(self, text: str) -> dict[str, str]:
        if self._num_compared >= _MAX_NEAREST:
            return {}
        self._num_compared += 1
        nearest = self._index.nearest(text)
        if nearest is None:
            self._num_unlike += 1
            return {"nearest": "no document shares four words in a row"}
        place, likeness = nearest
        self._num_near += likeness >= _NEAR
        document = self._index.documents[place]
        return {"nearest": f"{likeness:.0f}% like a passage of document {excerpt(document.id, 40)}"}

    def findings(self) -> Iterator[Finding]:
        count = self._found.count
        if not count:
            return
        figures: dict[str, Any] = {
            "num_rows": self._num_rows,
            "num_documents": len(self._index.documents),
            "num_compared": self._num_compared,
            "num_near": self._num_near,
            "num_unlike": self._num_unlike,
        }
        yield Finding(
            self.name,
            "error",
            count,
            tuple(self._found.examples),
            f"Word for word in none of the documents ({len(self._index.documents):,}): {count:,} of "
            f"{self._num_rows:,} preferred completions. Looked at closely: {self._num_compared:,}, of which "
            f"{self._num_near:,} at least {_NEAR:.0f}% like a passage, {self._num_unlike:,} without four "
            "words in a row that any document has.",
            "Make pairs whose excerpts are checked: palate generate triples DOCUMENTS -o OUT. Leave out "
            "--documents where completions do not claim to be excerpts.",
            figures,
            count,
        )
