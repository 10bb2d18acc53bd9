"""Documents cut into extracts of whole sentences: none lost, none twice, all about equally long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from palate.data.documents.sentences import split_sentences
from palate.data.excerpts import excerpt
from palate.errors import DataError
from palate.records import Document, Extract, SetAside

__all__ = ["Extracts", "extract_row", "make_extracts"]


@dataclass(frozen=True, slots=True)
class Extracts:
    """Extracts of documents, and the documents too short to make one.

    Every sentence of every document that is not in `too_short` is in exactly one extract, in order.
    """

    extracts: tuple[Extract, ...]
    too_short: tuple[SetAside, ...]
    num_documents: int
    num_sentences: int
    """Of the documents that made extracts."""
    num_oversized: int
    """Extracts above the most characters: mostly a single sentence that is longer itself."""
    num_undersized: int
    """Extracts below the least: what stood between two sentences too long to join it."""

    def account(self) -> dict[str, int]:
        """The counts; documents = those with extracts + those too short."""
        return {
            "num_documents": self.num_documents,
            "num_too_short": len(self.too_short),
            "num_sentences": self.num_sentences,
            "num_extracts": len(self.extracts),
            "num_oversized": self.num_oversized,
            "num_undersized": self.num_undersized,
        }


def make_extracts(
    documents: Sequence[Document],
    *,
    min_characters: int = 1000,
    max_characters: int = 2000,
    language: str = "en",
) -> Extracts:
    """Each document as extracts of whole sentences, `min_characters` to `max_characters` long.

    Of all ways to cut a document the one is taken that leaves the fewest characters outside the bounds, and
    among those the one whose extracts come nearest to the middle of the bounds. So a sentence longer than
    the most stands alone and whole, unless what is left beside it would be too short to stand by itself.

    Raises:
        DataError: the bounds are none, or there are no rules for the language.
    """
    if not 1 <= min_characters < max_characters:
        raise DataError(
            f"extracts of {min_characters} to {max_characters} characters cannot be made",
            where="min_characters, max_characters",
            next="give a least of 1 or more and a larger most; twice the least leaves room to balance",
        )
    extracts: list[Extract] = []
    too_short: list[SetAside] = []
    counts: Counter[str] = Counter()
    for document in documents:
        sentences = split_sentences(document.text, language)
        if len(" ".join(sentences)) < min_characters:
            where = document.provenance
            reason = f"the document has fewer than {min_characters:,} characters"
            too_short.append(SetAside(where.source, where.line, reason, excerpt(document.text)))
            continue
        counts["sentences"] += len(sentences)
        for extract in _of_document(document, sentences, min_characters, max_characters):
            extracts.append(extract)
            counts["oversized"] += len(extract.text) > max_characters
            counts["undersized"] += len(extract.text) < min_characters
    return Extracts(
        tuple(extracts),
        tuple(too_short),
        len(documents),
        counts["sentences"],
        counts["oversized"],
        counts["undersized"],
    )


def extract_row(extract: Extract) -> dict[str, Any]:
    """An extract as plain data, one row of a JSONL file."""
    where = extract.provenance
    return {
        "id": extract.id,
        "document": extract.document,
        "number": extract.number,
        "num_characters": len(extract.text),
        "text": extract.text,
        "sentences": list(extract.sentences),
        "source": where.source,
        "line": where.line,
        **where.detail,
    }


def _of_document(
    document: Document, sentences: Sequence[str], minimum: int, maximum: int
) -> Iterator[Extract]:
    ends = _best_ends([len(sentence) for sentence in sentences], minimum, maximum)
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        detail = {**document.provenance.detail, "first_sentence": start}
        provenance = replace(document.provenance, detail=detail)
        yield Extract(document.id, number, tuple(sentences[start:end]), provenance)


_Cost = tuple[int, int]
"""Characters outside the bounds, then twice the squared distances from the middle of them."""


def _best_ends(lengths: Sequence[int], minimum: int, maximum: int) -> list[int]:
    """Where the extracts end, as numbers of sentences.

    Dynamic programming from the end: the best cut of the sentences from `start` on is the best first extract
    with the best cut of what follows it.
    """
    num = len(lengths)
    best: list[_Cost] = [(0, 0)] * (num + 1)
    first_end = [num] * (num + 1)
    for start in range(num - 1, -1, -1):
        found: _Cost | None = None
        length, longest = -1, 0
        for end in range(start + 1, num + 1):
            length += lengths[end - 1] + 1
            longest = max(longest, lengths[end - 1])
            # Two short ends beside the longest sentence: with more, one of them can be cut off at no loss.
            if end > start + 1 and length > max(longest, maximum) + 2 * (minimum + 1):
                break
            outside = max(0, length - maximum) + max(0, minimum - length)
            cost = (best[end][0] + outside, best[end][1] + (2 * length - minimum - maximum) ** 2)
            if found is None or cost < found:
                found, first_end[start] = cost, end
        assert found is not None
        best[start] = found
    ends, place = [], 0
    while place < num:
        place = first_end[place]
        ends.append(place)
    return ends
