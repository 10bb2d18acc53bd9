"""Texts of equal standing: a target corpus cut into pieces that answers can be compared with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from palate.evaluate.style.features import tokens_of

__all__ = ["MIN_DOCUMENTS", "pieces_like"]

MIN_DOCUMENTS = 20
"""With fewer documents a piece of each says too little, and several are cut from each."""

_SENTENCE_START = re.compile(r"(?:(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n+)(?=\S)")


def pieces_like(
    documents: Sequence[str], sizes: Sequence[int], generator: np.random.Generator
) -> tuple[list[str], bool]:
    """Pieces of documents, each of whole sentences and as long as an answer.

    An answer of 60 words and a book are not two of a kind: rare words and long sentences show in a long text
    alone. So every document gives one piece, from a sentence drawn at random, as long as an answer drawn at
    random (or all of it, where it is shorter). Fewer than `MIN_DOCUMENTS` documents are cut from end to end.

    Args:
        documents: the target.
        sizes: how many tokens the answers have.
        generator: draws.

    Returns:
        The pieces, and whether each is of a document of its own.
    """
    wanted = [max(1, int(size)) for size in generator.choice(np.asarray(sizes), size=len(documents))]
    written = [document.strip() for document in documents]
    if sum(bool(document) for document in written) >= MIN_DOCUMENTS:
        pieces = [_piece(text, size, generator) for text, size in zip(written, wanted, strict=True) if text]
        return pieces, True
    typical = max(1, round(float(np.median(sizes))))
    return [piece for document in written for piece in _cut(document, typical)], False


def _sentences(document: str) -> list[str]:
    starts = [0, *(match.end() for match in _SENTENCE_START.finditer(document)), len(document)]
    found = (document[a:b].strip() for a, b in pairwise(starts))
    return [sentence for sentence in found if sentence]


def _piece(document: str, size: int, generator: np.random.Generator) -> str:
    sentences = _sentences(document)
    lengths = np.array([len(tokens_of(sentence)) for sentence in sentences])
    # Any start that leaves enough behind it; the whole document where none does.
    left = lengths[::-1].cumsum()[::-1]
    starts = np.flatnonzero(left >= size)
    first = int(generator.choice(starts)) if len(starts) else 0
    # As long as it comes nearest to: always going beyond would make pieces longer than answers.
    num_sentences = 1 + int(np.abs(lengths[first:].cumsum() - size).argmin())
    return _joined(document, sentences[first : first + num_sentences])


def _cut(document: str, size: int) -> list[str]:
    pieces: list[list[str]] = [[]]
    num_tokens = 0
    for sentence in _sentences(document):
        pieces[-1].append(sentence)
        num_tokens += len(tokens_of(sentence))
        if num_tokens >= size:
            pieces.append([])
            num_tokens = 0
    return [_joined(document, piece) for piece in pieces if piece]


def _joined(document: str, sentences: Sequence[str]) -> str:
    """As they stand in the document, with whatever is between them."""
    begin = document.index(sentences[0])
    position = begin
    for sentence in sentences:
        position = document.index(sentence, position) + len(sentence)
    return document[begin:position]
