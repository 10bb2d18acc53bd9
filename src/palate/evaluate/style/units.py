"""Texts of equal standing: answers, and pieces of a target corpus, of which none is longer than another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from palate.evaluate.style.features import normal, spans_of, tokens_of

__all__ = ["MIN_DOCUMENTS", "Pieces", "beginning", "pieces_like"]

MIN_DOCUMENTS = 20
"""With fewer documents a piece of each says too little, and several are cut from each."""
MAX_PIECES = 2000
"""More of them would tell nothing more, beside answers of which there are hundreds at the most."""

_SENTENCE_START = re.compile(
    r"(?:(?<=[.!?…؟।])[\"'”’)\]]*\s+|(?<=[。！？])[」』”’）]*(?![。！？」』”’）])|\n+)(?=\S)"
)


@dataclass(frozen=True, slots=True)
class Pieces:
    """What answers are compared with."""

    texts: tuple[str, ...]
    are_apart: bool
    """Is each of a document of its own?"""
    room: tuple[int, ...]
    """Of each, how many tokens its document has: no piece can be longer."""


def pieces_like(documents: Sequence[str], sizes: Sequence[int], generator: np.random.Generator) -> Pieces:
    """Pieces of documents, each as long as an answer.

    An answer of 60 words and a book are not two of a kind: rare words and long sentences show in a long text
    alone. So every document gives one piece, from a sentence drawn at random, as long as an answer drawn at
    random (or all of it, where it is shorter). Fewer than `MIN_DOCUMENTS` documents are cut from end to end.
    Of more than `MAX_PIECES` so many are drawn.

    Args:
        documents: the target.
        sizes: how many tokens the answers have.
        generator: draws.
    """
    written = [text for text in (normal(document).strip() for document in documents) if text]
    are_apart = len(written) >= MIN_DOCUMENTS
    if len(written) > MAX_PIECES:
        written = [written[place] for place in np.sort(generator.permutation(len(written))[:MAX_PIECES])]
    texts = [_Text(document) for document in written]
    if are_apart:
        pieces = [(text.piece(int(generator.choice(sizes)), generator), text.num_tokens) for text in texts]
    else:
        pieces = [(piece, text.num_tokens) for text in texts for piece in text.cut(sizes, generator)]
    if len(pieces) > MAX_PIECES:
        pieces = [pieces[place] for place in np.sort(generator.permutation(len(pieces))[:MAX_PIECES])]
    return Pieces(tuple(piece for piece, _ in pieces), are_apart, tuple(room for _, room in pieces))


def beginning(text: str, size: int) -> str:
    """As much of a text as comes nearest to `size` tokens: all of it where it has no more."""
    whole = _Text(normal(text).strip())
    return whole.text if whole.num_tokens <= size else whole.stretch(0, size)[0]


class _Text:
    """A text with its sentences, by their places: the same sentence may stand in it twice."""

    def __init__(self, text: str) -> None:
        self.text = text
        starts = [0, *(match.end() for match in _SENTENCE_START.finditer(text)), len(text)]
        self.sentences = [(a, b) for a, b in pairwise(starts) if text[a:b].strip()]
        self.lengths: NDArray[np.int64] = np.array(
            [len(tokens_of(text[a:b])) for a, b in self.sentences], dtype=np.int64
        )
        self.num_tokens = int(self.lengths.sum())

    def piece(self, size: int, generator: np.random.Generator) -> str:
        """From any sentence that leaves enough behind it; from the first where none does."""
        left = self.lengths[::-1].cumsum()[::-1]
        starts = np.flatnonzero(left >= size)
        return self.stretch(int(generator.choice(starts)) if len(starts) else 0, size)[0]

    def stretch(self, first: int, size: int) -> tuple[str, int]:
        """From this sentence on, nearest to `size` tokens, and where in the text it ends.

        It ends with a sentence where one ends nearby: whole answers do so, too. Where none does (a list
        without a full stop, a sentence of two hundred words) it ends after exactly so many tokens.
        """
        # As near as it comes: always going beyond would make pieces longer than answers.
        reached = self.lengths[first : first + 2 * size + 1].cumsum()
        last = int(np.abs(reached - size).argmin())
        begin, end = self.sentences[first][0], self.sentences[first + last][1]
        if reached[last] > 1.5 * size or (reached[last] < 0.5 * size and reached[-1] > size):
            end = next(islice(spans_of(self.text, begin), size - 1, None))[1]
        return self.text[begin:end].strip(), end

    def cut(self, sizes: Sequence[int], generator: np.random.Generator) -> list[str]:
        """All of it, in pieces as long as answers."""
        pieces = []
        first = 0
        while first < len(self.sentences):
            size = int(generator.choice(sizes))
            piece, end = self.stretch(first, size)
            pieces.append(piece)
            while first < len(self.sentences) and self.sentences[first][1] <= end:
                size -= int(self.lengths[first])
                first += 1
            if first < len(self.sentences) and self.sentences[first][0] < end:  # goes on inside a sentence
                self.sentences[first] = (end, self.sentences[first][1])
                self.lengths[first] -= size
        return pieces
