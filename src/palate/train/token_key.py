"""What a table of tokens is made from, as one name: equal for equal content, whatever its path."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from palate.data import RecordStream
from palate.data.files import format_of
from palate.engine import Renderer
from palate.recipe import DataOptions
from palate.records import Message, SetAside, content_id
from palate.train.environment import file_hash

__all__ = ["content_hash", "local_file", "mismatched_key", "table_key"]

# What of `data` leaves the tokens of a source as they are: where they come from is named by content, the
# split is made on the table, and the options of the source stand beside these.
_NOT_OF_THE_TOKENS = {"train", "eval", "eval_fraction", "audit"}
_NOT_OF_THE_CONTENT = {"source", "split", "revision"}
# Code that decides which tokens a row becomes: a table that another version made is another table.
_SHAPING = {
    ".": ("records.py",),
    "data": None,
    "data/files": None,
    "data/layouts": None,
    "engine": ("tokens.py",),
    "train": (
        "encoding.py",
        "example.py",
        "example_set.py",
        "fitting.py",
        "mismatched.py",
        "token_table.py",
    ),
}


def table_key(
    found: RecordStream,
    content: str,
    kind: str,
    renderer: Renderer,
    options: DataOptions,
    *,
    with_completions: bool,
) -> str:
    """Names the tokens that the rows of a source become; `content` is its `content_hash`."""
    parts = {
        "content": content,
        # The end of its name says how a file is read.
        "format": format_of(found.options.source) if local_file(found.options.source) is not None else None,
        "layout": found.layout,
        "source": found.options.model_dump(mode="json", exclude=_NOT_OF_THE_CONTENT),
        "system": found.system,
        "kind": kind,
        "data": options.model_dump(mode="json", exclude=_NOT_OF_THE_TOKENS),
        "renderer": _renderer_hash(renderer),
        "with_completions": with_completions,
        "code": _code_hash(),
        "libraries": [version("tokenizers"), version("transformers")],
    }
    return _digest(parts)


def mismatched_key(table: str, places: bytes) -> str:
    """Names the mismatched completions of the examples at these places of a table."""
    return _digest({"mismatched of": table, "places": hashlib.sha256(places).hexdigest()})


def local_file(source: str) -> Path | None:
    """The file that a source names, if it is one."""
    path = Path(source).expanduser() if source.startswith("~/") else Path(source)
    return path if path.is_file() else None


def content_hash(found: RecordStream) -> str:
    """Of a file its bytes; of anything else the records themselves, which are gone through for it once."""
    path = local_file(found.options.source)
    if path is not None:
        return str(file_hash(str(path)))
    total = hashlib.sha256()
    for row in found:
        if isinstance(row, SetAside):
            total.update(f"{row.line} {row.reason}\n".encode("utf-8", "surrogatepass"))
        else:
            stated = (
                row.provenance.line,
                row.weight,
                getattr(row, "margin", None),
                getattr(row, "scores", None),
                # What the rows said beside their texts: a difference of scores decides which pairs are made.
                sorted(row.provenance.detail.items()),
            )
            total.update(f"{row.id} {stated}\n".encode("utf-8", "surrogatepass"))
    return total.hexdigest()


def _renderer_hash(renderer: Renderer) -> str:
    """The tokenizer, the template, and the tokens that they make of a question now.

    The latter because some templates write today's date into every prompt.
    """
    tokenizer = renderer.tokenizer
    inner = getattr(tokenizer, "backend_tokenizer", None)
    if inner is not None:
        content = hashlib.sha256(inner.to_str().encode()).hexdigest()
    else:
        content = _written_in_python(tokenizer)
    asked = (Message("user", "A question?"),)
    return content_id(
        content,
        renderer.template or tokenizer.chat_template,
        sorted(renderer.stop_ids),
        {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        renderer.prompt_ids(asked),
    )


def _written_in_python(tokenizer: Any) -> str:
    """A tokenizer without a backend: its files, of which the vocabulary may be but one, and its settings."""
    with tempfile.TemporaryDirectory() as folder:
        files = [file_hash(name) for name in tokenizer.save_vocabulary(folder) or ()]
    settings = {
        name: value
        for name, value in tokenizer.init_kwargs.items()
        if isinstance(value, (str, int, float, bool, type(None)))
    }
    return _digest(
        {
            "class": type(tokenizer).__qualname__,
            "vocabulary": tokenizer.get_vocab(),
            "files": files,
            "settings": settings,
        }
    )


@cache
def _code_hash() -> str:
    total = hashlib.sha256()
    for room, names in _SHAPING.items():
        folder = resources.files("palate").joinpath(*room.split("/"))
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith(".py") and (names is None or file.name in names):
                total.update(file.read_bytes())
    return total.hexdigest()


def _digest(parts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
