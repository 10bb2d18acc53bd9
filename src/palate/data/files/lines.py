"""Lines of text of bounded length, from files that may hold anything."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from palate.errors import DataError

__all__ = [
    "MAX_BLANK_LINES",
    "MAX_ROW_CHARACTERS",
    "MAX_SKIPPED_CHARACTERS",
    "LineTooLong",
    "Lines",
    "Stream",
    "refuse_blank_lines",
    "text_of",
]

Stream = io.BufferedReader | gzip.GzipFile

MAX_ROW_CHARACTERS = 16 * 1024 * 1024
"""A longer row is never held whole. Some four million tokens: no row to learn from is near it."""
MAX_SKIPPED_CHARACTERS = 1024 * 1024 * 1024
"""What is passed over at one place before the file is given up: a small file can unpack without end."""
MAX_BLANK_LINES = 10_000_000
"""So many in a row are no accident of an editor: a small compressed file can unpack to them without end."""

_CHUNK_CHARACTERS = 1024 * 1024
_QUOTED_CHARACTERS = 1000


@dataclass
class LineTooLong(Exception):
    """A line, or what a reader still holds with it, is longer than a row may be. The line is passed over."""

    start: str
    """Its first characters."""
    has_quote: bool
    """Whether a quotation mark stands anywhere in the line."""


def text_of(stream: Stream, path: str, newline: str = "\n") -> IO[str]:
    """The stream as text: UTF-8, with or without a mark; what is not UTF-8 becomes lone surrogates.

    Raises:
        DataError: it is UTF-16.
    """
    if stream.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError("the file is UTF-16", where=path, why="Palate reads UTF-8", next="save it as UTF-8")
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline=newline)


def refuse_blank_lines(num_blank: int, line: int, path: str) -> None:
    """Raises:
    DataError: there are more blank lines in a row, up to `line`, than a file of rows has.
    """
    if num_blank > MAX_BLANK_LINES:
        raise DataError(f"{MAX_BLANK_LINES:,} blank lines follow each other", where=f"{path}:{line}")


class Lines:
    """The lines of a text with their ends. After `LineTooLong` it goes on with the next line.

    A reader that puts rows together from several lines sets `num_held` to 0 where a row starts: all lines
    of a row together are bounded.
    """

    def __init__(self, text: IO[str], path: str) -> None:
        self._text = text
        self._path = path
        self.number = 0
        """The number of the last line, from 1."""
        self.num_held = 0
        """How many characters were handed out since it was last set to 0."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_ROW_CHARACTERS + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self.num_held += len(line)
        if self.num_held > MAX_ROW_CHARACTERS:
            whole = len(line) <= MAX_ROW_CHARACTERS or line.endswith(("\n", "\r"))
            start, has_quote = line[:_QUOTED_CHARACTERS], '"' in line
            del line  # before more is read
            raise LineTooLong(start, has_quote if whole else self._pass_over_rest() or has_quote)
        return line

    def _pass_over_rest(self) -> bool:
        """Read to the end of a line; whether there is a quotation mark in what was left of it."""
        has_quote, num_skipped = False, 0
        while chunk := self._text.readline(_CHUNK_CHARACTERS):
            has_quote = has_quote or '"' in chunk
            if chunk.endswith(("\n", "\r")):
                break
            num_skipped += len(chunk)
            if num_skipped > MAX_SKIPPED_CHARACTERS:
                raise DataError(
                    f"line {self.number:,} is longer than {MAX_SKIPPED_CHARACTERS:,} characters",
                    where=f"{self._path}:{self.number}",
                    why="no file of rows has such a line, and a small compressed file can unpack without end",
                    next="look at how the file was made; rows stand on lines of their own",
                )
        return has_quote
