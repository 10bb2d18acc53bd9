"""What a browser sends, checked before anything is done with it: nothing odd gets as far as the store."""

from __future__ import annotations

import asyncio
import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn, Self
from urllib.parse import parse_qs

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request

from palate.annotate.events import EventKind
from palate.annotate.guard import Refused

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_NAME_CHARACTERS",
    "MAX_NOTE_CHARACTERS",
    "SentEvent",
    "annotator_name",
    "read_body",
    "read_form",
    "showings",
    "whole_number",
]

MAX_BODY_BYTES = 64 * 1024
MAX_NAME_CHARACTERS = 40
MAX_NOTE_CHARACTERS = 4000
_BODY_TIMEOUT_SECONDS = 15
_MAX_SHOWINGS = 500
_MAX_DEPTH = 8
_ID = "[0-9a-f]{16}"


def annotator_name(text: str) -> str:
    """The name, in one spelling of the several that look alike: composed, with single spaces.

    Raises:
        ValueError: it is empty, too long, or has something in it that is not seen or turns the line round.
    """
    name = unicodedata.normalize("NFC", text)
    # Zl, Zp: ends of lines; Cf: invisible, also what reverses the reading order; Co, Cn: nobody's characters.
    if any(unicodedata.category(character) in _UNSEEN for character in name):
        raise ValueError("a name is made of visible characters")
    name = " ".join(name.split())
    if not name:
        raise ValueError("the name is empty")
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(f"a name has at most {MAX_NAME_CHARACTERS} characters")
    return name


_UNSEEN = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")


def _storable(text: str) -> str:
    """Databases keep no NUL, and half a character is no text."""
    if "\x00" in text:
        raise ValueError("it holds a NUL")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("it holds half a character")
    return text


Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
SentChoice = Literal["left", "right", "tie", "both_bad"]


class SentEvent(BaseModel):
    """One event as the page sends it: it says left and right, and does not know more."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    key: Key
    annotator: Annotated[str, AfterValidator(annotator_name)]
    kind: EventKind
    item: Annotated[str, Field(pattern=rf"^{_ID}$")]
    repeat: Annotated[int, Field(ge=0, le=1)] = 0
    choice: SentChoice | None = None
    note: Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS), AfterValidator(_storable)] = ""
    seconds: Annotated[float, Field(ge=0, le=7 * 24 * 3600, allow_inf_nan=False)] | None = None
    undoes: Key | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.choice is not None) != (self.kind in ("vote", "adjudicate")):
            raise ValueError("a vote and an adjudication have a choice, and nothing else has")
        if (self.undoes is not None) != (self.kind == "undo"):
            raise ValueError("an undo says what it undoes, and nothing else does")
        return self

    @classmethod
    def parse(cls, body: bytes) -> SentEvent:
        """The event that a body holds.

        Raises:
            Refused: it holds none.
        """
        try:
            return cls.model_validate(_json(body))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"] if str(part) in cls.model_fields)
            # A field that is not known is not repeated: it is whatever the sender likes.
            what = first["msg"].removeprefix("Value error, ")
            raise Refused(422, f"{place}: {what}" if place else what) from None


def _json(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
        content = json.loads(text, parse_constant=_no_number, object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise Refused(400, "the body is not UTF-8") from None
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON as it is understood here") from None
    if not isinstance(content, dict):
        raise Refused(400, "the body is no JSON object")
    if _depth(content) > _MAX_DEPTH:
        raise Refused(400, "the body is nested too deeply")
    return content


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _depth(content: Any) -> int:
    """How deep lists and objects stand in each other, no further than is asked for."""
    depth, level = 0, [content]
    while level and depth <= _MAX_DEPTH:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth


async def read_body(request: Request) -> bytes:
    """The body of a request that has JSON to say.

    Raises:
        Refused: it is too long, too slow, or not JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "the body is to be application/json")
    return await _body(request)


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form, of each the first.

    Raises:
        Refused: it is too long, too slow, or no such form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "the body is to be a form")
    try:
        fields = parse_qs(
            (await _body(request)).decode("ascii"), errors="strict", max_num_fields=10, keep_blank_values=True
        )
    except ValueError:
        raise Refused(400, "the form cannot be read") from None
    return {name: values[0] for name, values in fields.items()}


async def _body(request: Request) -> bytes:
    too_long = Refused(413, f"the body has more than {MAX_BODY_BYTES} bytes")
    declared = request.headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()):
        raise Refused(400, "Content-Length is no number")
    if len(declared) > 12 or int(declared) > MAX_BODY_BYTES:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise too_long
    except TimeoutError:
        raise Refused(408, "the body came too slowly") from None
    return bytes(body)


def showings(text: str) -> frozenset[tuple[str, int]]:
    """`id:repeat,id:repeat`: what a page has already.

    Raises:
        Refused: it says something else.
    """
    if not text:
        return frozenset()
    parts = text.split(",")
    if len(parts) > _MAX_SHOWINGS or any(re.fullmatch(rf"{_ID}:[01]", part) is None for part in parts):
        raise Refused(422, f"skip: at most {_MAX_SHOWINGS} of id:repeat, with commas between")
    return frozenset((part[:16], int(part[17])) for part in parts)


def whole_number(name: str, text: str, least: int, most: int) -> int:
    """A number within bounds.

    Raises:
        Refused: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise Refused(422, f"{name}: a whole number from {least} to {most}")
    return int(text)
