"""Examples as arrays: their tokens one after another, and beside them what there is to know of each.

A million examples as Python objects are tens of gigabytes; as these arrays they are four bytes a token, and a
table in files is mapped, not read. What is looked through as a whole (keys, prompts, weights) are columns.

A token is an unsigned number of 32 bits whose highest one says whether the token is scored.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from palate.data import Record
from palate.data.split import prompt_rank
from palate.engine import Branch
from palate.records import Messages, SetAside, as_messages
from palate.train.example import Example, key_of

__all__ = [
    "NO_LABEL",
    "Encoded",
    "TableWriter",
    "TokenTable",
    "id_number",
    "load_table",
    "save_columns",
    "table_in_memory",
]

Array = npt.NDArray[Any]

_SCORED = np.uint32(1 << 31)
_NOWHERE = -1
NO_LABEL = -1
"""What stands in the column `desirable` for records that are no labels."""

# One for every record that was to be learned from. A record that could not be used has a reason and no
# branches. Ids are 16 hexadecimal digits, here as numbers; lines below 0 stand for records without one.
_ENTRY = np.dtype(
    [
        ("key", "V32"),
        ("prompt", "<u8"),
        ("record", "<u8"),
        ("line", "<i8"),
        ("margin", "<f8"),
        ("weight", "<f8"),
        ("first_branch", "<i8"),
        ("prompt_text", "<i8"),
        ("completion_text", "<i8"),
        ("source", "<i4"),
        ("reason", "<i4"),
        ("num_branches", "<i4"),
        ("num_merges", "<i4"),
        ("desirable", "<i1"),
        ("is_truncated", "?"),
        ("is_too_long", "?"),
    ]
)
_BRANCH = np.dtype([("stop", "<i8"), ("digest", "V16")])
_ASIDE = np.dtype([("line", "<i8"), ("source", "<i4"), ("reason", "<i4")])
_PROMPT = np.dtype([("id", "<u8"), ("rank", "<u8")])
_COLUMNS = {"entries": _ENTRY, "branches": _BRANCH, "asides": _ASIDE, "prompts": _PROMPT}
_SMALL_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What became of a record: branches, or the reason why there are none."""

    branches: tuple[Branch, ...] = ()
    reason: str | None = None
    is_truncated: bool = False
    is_too_long: bool = False
    num_merges: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class TokenTable:
    """Examples and what was set aside, as arrays that may lie in files.

    tokens: all branches' tokens. branches: where each ends, and a digest of its content. entries: one for
    every record. asides: the rows set aside in reading. prompts: the distinct prompts of what was read, used
    or not, with their ranks for holding out. texts: prompts, and completions where those were asked for.
    num_rows: all that were read. name: what it is called where it is kept; empty where it is not.
    """

    tokens: npt.NDArray[np.uint32]
    branches: Array
    entries: Array
    asides: Array
    prompts: Array
    texts: npt.NDArray[np.uint8]
    sources: tuple[str, ...]
    reasons: tuple[str, ...]
    num_rows: int
    name: str = ""

    def branch(self, number: int) -> Branch:
        """One branch, its tokens copied out."""
        start = int(self.branches["stop"][number - 1]) if number else 0
        stored = np.asarray(self.tokens[start : int(self.branches["stop"][number])])
        return Branch((stored & ~_SCORED).astype(np.int64), stored >= _SCORED)

    def example(self, place: int, mismatched: Branch | None = None) -> Example:
        """The example at a place among the entries."""
        entry = self.entries[place]
        first, margin, desirable = int(entry["first_branch"]), float(entry["margin"]), int(entry["desirable"])
        return Example(
            tuple(self.branch(first + side) for side in range(int(entry["num_branches"]))),
            f"{int(entry['prompt']):016x}",
            f"{int(entry['record']):016x}",
            margin=None if np.isnan(margin) else margin,
            weight=float(entry["weight"]),
            desirable=None if desirable < 0 else bool(desirable),
            mismatched=mismatched,
        )

    def prompt(self, place: int) -> Messages:
        """The prompt of the entry at a place, as it was read."""
        return self._text(int(self.entries["prompt_text"][place]))

    def completion(self, place: int) -> Messages:
        """Its preferred completion; only where the table was made with them."""
        return self._text(int(self.entries["completion_text"][place]))

    def _text(self, start: int) -> Messages:
        if start == _NOWHERE:
            raise ValueError("this table was made without these texts")
        content = start + 4
        size = int.from_bytes(self.texts[start:content].tobytes(), "little")
        text = zlib.decompress(self.texts[content : content + size].tobytes()).decode(
            "utf-8", "surrogatepass"
        )
        return as_messages([{"role": role, "content": said} for role, said in json.loads(text)])


class TableWriter:
    """Makes a table, entry by entry. Tokens and texts go where they are written; the rest is gathered."""

    def __init__(self, tokens: IO[bytes], texts: IO[bytes], *, with_completions: bool = False) -> None:
        self.with_completions = with_completions
        self.num_rows = 0
        self._tokens, self._texts = tokens, texts
        self._num_tokens = self._num_branches = self._num_text_bytes = 0
        self._num_without_line = 0
        self._sources: dict[str, int] = {}
        self._reasons: dict[str, int] = {}
        self._fresh: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _COLUMNS}
        self._packed: dict[str, list[Array]] = {name: [] for name in _COLUMNS}
        self._last_prompt: tuple[Messages, int, int] | None = None

    def set_aside(self, row: SetAside) -> None:
        """A row that could not be read."""
        self.num_rows += 1
        place = self._place(row.source, row.line)
        self._put("asides", (*place, self._reason(row.reason)))

    def add(self, record: Record, found: Encoded, completion: Messages) -> None:
        """A record, used or not; `completion` is its preferred one."""
        prompt, prompt_text = self._prompt(record)
        line, source = self._place(record.provenance.source, record.provenance.line)
        example = Example.of(record, found.branches)
        self._add(
            example,
            found,
            (prompt, id_number(example.id), line, source),
            (prompt_text, self._write_text(completion) if self.with_completions else _NOWHERE),
        )

    def add_example(self, example: Example) -> int | None:
        """An example that is tokens already; returns the number of its mismatched branch."""
        numbers = id_number(example.prompt_id), id_number(example.id)
        self._add(example, Encoded(example.branches), (*numbers, _NOWHERE, _NOWHERE), (_NOWHERE, _NOWHERE))
        if example.mismatched is None:
            return None
        self._write_branch(example.mismatched, example.mismatched.key)
        return self._num_branches - 1

    def add_lone(self, branch: Branch | None) -> int:
        """An entry of one branch or none, of which nothing else is known; returns the branch's number."""
        branches = () if branch is None else (branch,)
        nothing = Example(branches, "0", "0")
        self._add(nothing, Encoded(branches), (0, 0, _NOWHERE, _NOWHERE), (_NOWHERE, _NOWHERE))
        return self._num_branches - 1

    def _add(
        self, example: Example, found: Encoded, origin: tuple[int, int, int, int], texts: tuple[int, int]
    ) -> None:
        keys = [branch.key for branch in found.branches]
        first = self._num_branches
        for branch, key in zip(found.branches, keys, strict=True):
            self._write_branch(branch, key)
        prompt, record, line, source = origin
        self._put(
            "entries",
            (
                key_of(keys, example.desirable) if keys else b"",
                prompt,
                record,
                line,
                np.nan if example.margin is None else example.margin,
                example.weight,
                first,
                *texts,
                source,
                _NOWHERE if found.reason is None else self._reason(found.reason),
                len(keys),
                found.num_merges,
                NO_LABEL if example.desirable is None else example.desirable,
                found.is_truncated,
                found.is_too_long,
            ),
        )

    def finish(self) -> dict[str, Any]:
        """The columns, and what else a table consists of beside tokens and texts."""
        columns = {name: self._column(name) for name in _COLUMNS}
        # Sorted by id, each once: the split needs no more.
        _, first = np.unique(columns["prompts"]["id"], return_index=True)
        columns["prompts"] = columns["prompts"][first]
        names = {"sources": list(self._sources), "reasons": list(self._reasons), "num_rows": self.num_rows}
        return columns | names

    def _column(self, name: str) -> Array:
        self._pack(name)
        return np.concatenate([np.empty(0, _COLUMNS[name]), *self._packed.pop(name)])

    def _put(self, name: str, values: tuple[Any, ...]) -> None:
        self._fresh[name].append(values)
        if len(self._fresh[name]) == 4096:
            self._pack(name)

    def _pack(self, name: str) -> None:
        self._packed[name].append(np.array(self._fresh[name], _COLUMNS[name]))
        self._fresh[name] = []

    def _prompt(self, record: Record) -> tuple[int, int]:
        """The number of the record's prompt, and where its text is. Records of one row have one prompt."""
        if self._last_prompt is None or self._last_prompt[0] != record.prompt:
            number = id_number(record.prompt_id)
            self._put("prompts", (number, id_number(prompt_rank(record.prompt))))
            self._last_prompt = record.prompt, number, self._write_text(record.prompt)
        return self._last_prompt[1:]

    def _place(self, source: str, line: int | None) -> tuple[int, int]:
        number = self._sources.setdefault(source, len(self._sources))
        if line is None:
            self._num_without_line += 1
            return -1 - self._num_without_line, number
        return line, number

    def _reason(self, reason: str) -> int:
        return self._reasons.setdefault(reason, len(self._reasons))

    def _write_branch(self, branch: Branch, key: bytes) -> None:
        stored = branch.token_ids.astype("<u4") | np.where(branch.scored, _SCORED, np.uint32(0))
        self._tokens.write(stored.astype("<u4").tobytes())
        self._num_tokens += len(branch)
        self._num_branches += 1
        self._put("branches", (self._num_tokens, hashlib.blake2b(key, digest_size=16).digest()))

    def _write_text(self, messages: Messages) -> int:
        content = json.dumps([[m.role, m.content] for m in messages], ensure_ascii=False)
        packed = zlib.compress(content.encode("utf-8", "surrogatepass"), 1)
        start = self._num_text_bytes
        self._texts.write(len(packed).to_bytes(4, "little") + packed)
        self._num_text_bytes += 4 + len(packed)
        return start


def table_in_memory(writer: TableWriter, tokens: io.BytesIO, texts: io.BytesIO) -> TokenTable:
    """The table that a writer into memory has made."""
    return _table(
        writer.finish(),
        np.frombuffer(tokens.getvalue(), "<u4") if tokens.tell() else np.empty(0, "<u4"),
        np.frombuffer(texts.getvalue(), "u1") if texts.tell() else np.empty(0, "u1"),
    )


class _Plain:
    """A file that numpy does not know as one: what it writes by itself fails without the system's reason."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write


def save_columns(columns: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write the columns that a writer has made into a folder; returns what `load_table` needs besides.

    Raises:
        OSError: they cannot be written.
    """
    for name in _COLUMNS:
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(_Plain(file), columns[name], allow_pickle=False)
    return {name: value for name, value in columns.items() if name not in _COLUMNS}


def load_table(folder: Path, manifest: Mapping[str, Any]) -> TokenTable:
    """The table in a folder that columns, tokens and texts were written into, mapped where it is large."""
    columns = {name: _mapped(folder / f"{name}.npy") for name in _COLUMNS}
    return _table(
        {**manifest, **columns}, _raw(folder / "tokens.bin", "<u4"), _raw(folder / "texts.bin", "u1")
    )


def id_number(content_id: str) -> int:
    """An id of sixteen hexadecimal digits as a number; their order is the same."""
    return int(content_id, 16)


def _table(parts: Mapping[str, Any], tokens: Array, texts: Array) -> TokenTable:
    return TokenTable(
        tokens,
        parts["branches"],
        parts["entries"],
        parts["asides"],
        parts["prompts"],
        texts,
        tuple(parts["sources"]),
        tuple(parts["reasons"]),
        parts["num_rows"],
    )


def _mapped(file: Path) -> Array:
    mode: Literal["r"] | None = "r" if file.stat().st_size > _SMALL_BYTES else None
    found: Array = np.load(file, mmap_mode=mode, allow_pickle=False)
    return found


def _raw(file: Path, kind: str) -> Array:
    if file.stat().st_size == 0:  # nothing cannot be mapped
        return np.empty(0, kind)
    return np.memmap(file, kind, "r")
