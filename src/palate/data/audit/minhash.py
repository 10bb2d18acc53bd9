"""Which of very many texts are nearly the same: shingles, MinHash signatures, and bands of them.

Broder, "On the resemblance and containment of documents" (1997); bands as in Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", chapter 3. Departure: the permutations are odd multiples modulo 2^32 of an
already mixed 32-bit hash, which numpy computes faster than a prime field; a test holds the estimates to the
true similarity.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NUM_BANDS",
    "NUM_PERMUTATIONS",
    "SHINGLE_CHARACTERS",
    "band_names",
    "jaccard",
    "shingles",
    "signatures",
    "template_of",
    "without_template",
]

SHINGLE_CHARACTERS = 5
"""A text is the set of its runs of so many characters, so that languages without spaces need nothing else."""
NUM_PERMUTATIONS = 64
NUM_BANDS = 16
"""Texts are compared when one of 16 bands of 4 values agrees: of texts with a Jaccard similarity of 0.8 this
misses 2 in 10,000, of 0.9 4 in 100 million."""

_MIN_TEXTS_OF_TEMPLATE = 20

_RNG = np.random.default_rng(20240101)
_FACTORS = (_RNG.integers(0, 2**32, NUM_PERMUTATIONS, dtype=np.uint64) | np.uint64(1)).astype(np.uint32)
_SHIFTS = _RNG.integers(0, 2**32, NUM_PERMUTATIONS, dtype=np.uint64).astype(np.uint32)
_PLACES = (_RNG.integers(0, 2**32, SHINGLE_CHARACTERS, dtype=np.uint64) | np.uint64(1)).astype(np.uint32)

Hashes = NDArray[np.uint32]


def shingles(texts: Sequence[str]) -> tuple[Hashes, NDArray[np.int64]]:
    """The 32-bit hashes of all texts' shingles, one text after the other, and where each text starts.

    A text shorter than a shingle is one.
    """
    padded = [text if len(text) >= SHINGLE_CHARACTERS else text.ljust(SHINGLE_CHARACTERS) for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.array([len(text) for text in padded], np.int64)
    width = SHINGLE_CHARACTERS - 1
    hashes = np.zeros(len(codes) - width, np.uint32)
    for place, factor in enumerate(_PLACES):
        hashes += codes[place : len(codes) - width + place] * factor
        hashes ^= hashes >> np.uint32(15)
        hashes *= np.uint32(0x2C1B3C6D)
    hashes ^= hashes >> np.uint32(12)
    hashes *= np.uint32(0x297A2D39)
    hashes ^= hashes >> np.uint32(15)
    inside = np.ones(len(codes), bool)
    ends = np.cumsum(lengths)
    for place in range(width):  # runs that would reach into the next text
        inside[ends - 1 - place] = False
    return hashes[inside[: len(hashes)]], np.concatenate([[0], np.cumsum(lengths - width)[:-1]])


def template_of(texts: Sequence[str]) -> Hashes:
    """The shingles that stand in at least half of the distinct texts; none where these are few."""
    distinct = list(dict.fromkeys(texts))
    if len(distinct) < _MIN_TEXTS_OF_TEMPLATE:
        return np.zeros(0, np.uint32)
    hashes, starts = shingles(distinct)
    each, counts = np.unique(
        np.concatenate([np.unique(part) for part in np.split(hashes, starts[1:])]), return_counts=True
    )
    return each[2 * counts >= len(distinct)]


def without_template(
    hashes: Hashes, starts: NDArray[np.int64], template: Hashes
) -> tuple[Hashes, NDArray[np.int64]]:
    """The shingles of texts as `shingles` gives them, less those of the template; a text that has no others
    keeps them."""
    if not len(template):
        return hashes, starts
    kept = ~np.isin(hashes, template)
    sizes = np.diff(np.append(starts, len(hashes)))
    kept |= np.repeat(np.add.reduceat(kept.astype(np.int64), starts) == 0, sizes)
    counts = np.add.reduceat(kept.astype(np.int64), starts)
    return hashes[kept], np.concatenate([[0], np.cumsum(counts)[:-1]])


def signatures(hashes: Hashes, starts: NDArray[np.int64]) -> Hashes:
    """[texts, NUM_PERMUTATIONS]: of each text the smallest hash under each permutation."""
    found = np.empty((len(starts), NUM_PERMUTATIONS), np.uint32)
    permuted = np.empty_like(hashes)
    for place in range(NUM_PERMUTATIONS):
        np.multiply(hashes, _FACTORS[place], out=permuted)
        np.add(permuted, _SHIFTS[place], out=permuted)
        found[:, place] = np.minimum.reduceat(permuted, starts)
    return found


def band_names(signature: Hashes) -> Hashes:
    """[texts, NUM_BANDS]: a 32-bit name of each band. By chance names agree once in 4 billion comparisons."""
    bands = signature.reshape(len(signature), NUM_BANDS, -1).astype(np.uint64)
    name = np.zeros(bands.shape[:2], np.uint64)
    for place in range(bands.shape[2]):
        name = (name ^ bands[:, :, place]) * np.uint64(0x9E3779B97F4A7C15)
        name ^= name >> np.uint64(32)
    return name.astype(np.uint32)


def jaccard(one: Hashes, other: Hashes) -> float:
    """How much of the two sets of hashes together is in both; each is sorted and has no hash twice."""
    num_both = len(np.intersect1d(one, other, assume_unique=True))
    return num_both / (len(one) + len(other) - num_both)
