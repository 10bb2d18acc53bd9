"""The elements of one long JSON list, each parsed by itself as it is met."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

from palate.data.files.lines import MAX_ROW_CHARACTERS, MAX_SKIPPED_CHARACTERS
from palate.data.structured import DECODER
from palate.errors import DataError

__all__ = ["list_items", "not_json", "reason_of"]

_CHUNK_CHARACTERS = 256 * 1024
_LONGEST_TOKEN = 16
"""A number, word or escape that is cut off by the end of what was read is wrong within so many characters."""
_AFTER_VALUE = ",] \t\n\r"
_WHITE = re.compile(r"[ \t\n\r]*")


def reason_of(error: ValueError) -> str:
    """Why it is not JSON, without the position: so that equal reasons count as equal."""
    message = error.msg if isinstance(error, json.JSONDecodeError) else str(error).partition(";")[0]
    return message[:1].lower() + message[1:]


def not_json(error: json.JSONDecodeError, line: int, path: str) -> DataError:
    """The error about a whole file that breaks off being JSON on a line."""
    return DataError(
        f"not JSON: {reason_of(error)}",
        where=f"{path}:{line}",
        next="mend it there; one object a line under the name .jsonl would cost only that line",
    )


def list_items(text: IO[str], path: str) -> Iterator[Any]:
    """The elements of the list that the text is, with memory for one of them.

    Raises:
        DataError: it is not JSON, an element is longer than a row may be, or nested too deeply.
    """
    window = _Window(text, path)
    number = 1
    try:
        window.take("[")
        if window.next_character() == "]":
            window.take("]")
        else:
            while True:
                yield window.value(number)
                number += 1
                if window.next_character() != ",":
                    break
                window.take(",")
            window.take("]")
        if window.next_character():
            raise window.wrong("Extra data")
    except json.JSONDecodeError as error:
        raise not_json(error, window.line_at(error.pos), path) from None
    except RecursionError:
        raise DataError(
            f"not readable as JSON: row {number:,} is nested too deeply",
            where=f"{path}:{window.line_at(window.at)}",
        ) from None
    except ValueError as error:
        where = f"{path}:{window.line_at(window.at)}"
        raise DataError(f"not readable as JSON: {reason_of(error)}", where=where) from None


class _Window:
    """The part of a text that is being looked at: it grows at its end and is cut off at its beginning."""

    def __init__(self, text: IO[str], path: str) -> None:
        self._text = text
        self._path = path
        self._part = ""
        self.at = 0
        self._num_lines_before = 0
        self._ended = False

    def line_at(self, position: int) -> int:
        """The 1-based line of a position in the part."""
        return self._num_lines_before + self._part.count("\n", 0, position) + 1

    def wrong(self, message: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(message, self._part, self.at)

    def take(self, character: str) -> None:
        """Step over a character that has to come next."""
        if self.next_character() != character:
            raise self.wrong("Expecting ',' delimiter" if character == "]" else "Expecting value")
        self.at += 1

    def next_character(self) -> str:
        """The next character that is not white space, which is passed over; empty at the end."""
        num_skipped = 0
        while True:
            found = _WHITE.match(self._part, self.at)
            assert found is not None
            num_skipped += found.end() - self.at
            self.at = found.end()
            if self.at < len(self._part):
                return self._part[self.at]
            if num_skipped > MAX_SKIPPED_CHARACTERS:
                raise DataError(
                    f"more than {MAX_SKIPPED_CHARACTERS:,} characters of white space follow each other",
                    where=f"{self._path}:{self.line_at(self.at)}",
                )
            if not self._grow(_CHUNK_CHARACTERS):
                return ""

    def value(self, number: int) -> Any:
        """The JSON value that comes next, `number` in the list."""
        self.next_character()
        while True:
            try:
                value, end = DECODER.raw_decode(self._part, self.at)
            except json.JSONDecodeError as error:
                open_text = error.msg.startswith("Unterminated string")
                if self._ended or (not open_text and error.pos < len(self._part) - _LONGEST_TOKEN):
                    raise
            else:
                # Cut off in a number, what was read is another number: 0 of 0.5.
                is_over = self._part[end : end + 1] in _AFTER_VALUE and end < len(self._part)
                if is_over or end < len(self._part) - _LONGEST_TOKEN or self._ended:
                    self.at = end
                    return value
            held = len(self._part) - self.at
            if held > MAX_ROW_CHARACTERS:
                raise DataError(
                    f"row {number:,} is longer than {MAX_ROW_CHARACTERS:,} characters",
                    where=f"{self._path}:{self.line_at(self.at)}",
                    why="no row to learn from is so long; it would have to be held whole",
                    next="take it out; one object a line under the name .jsonl would cost only that line",
                )
            # Twice as much each time: what is parsed again and again stays below twice the row.
            self._grow(max(_CHUNK_CHARACTERS, held))

    def _grow(self, num_characters: int) -> bool:
        """Read on, and let go of what is behind; whether there was more."""
        more = self._text.read(num_characters)
        self._num_lines_before += self._part.count("\n", 0, self.at)
        self._part = self._part[self.at :] + more
        self.at = 0
        self._ended = not more
        return bool(more)
