"""The examples of a table: made when asked for, and looked through as columns."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from palate.engine import Branch
from palate.records import Messages
from palate.train.example import Example
from palate.train.token_table import TableWriter, TokenTable, table_in_memory

__all__ = ["Branches", "Example", "Examples", "Mismatched"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Mismatched:
    """The mismatched branch of each entry of a table: its number in `table`, -1 where it has none."""

    table: TokenTable
    numbers: IntArray

    def of(self, place: int) -> Branch | None:
        """The branch of the entry at a place."""
        number = int(self.numbers[place])
        return self.table.branch(number) if number >= 0 else None


class Examples(Sequence[Example]):
    """Some entries of a table, in some order. An `Example` is made on access and not kept.

    places: where each stands among the table's entries.
    """

    def __init__(self, table: TokenTable, places: IntArray, mismatched: Mismatched | None = None) -> None:
        self.table = table
        self.places = places
        self.mismatched = mismatched

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Examples:
        """These examples as a table in memory; one that is a table already stays as it is."""
        if isinstance(examples, Examples):
            return examples
        tokens, texts = io.BytesIO(), io.BytesIO()
        writer = TableWriter(tokens, texts)
        numbers = [writer.add_example(example) for example in examples]
        table = table_in_memory(writer, tokens, texts)
        mismatched = Mismatched(table, np.array([-1 if n is None else n for n in numbers], np.int64))
        return cls(table, np.arange(len(numbers)), mismatched)

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, which: int) -> Example: ...
    @overload
    def __getitem__(self, which: slice) -> Examples: ...
    def __getitem__(self, which: int | slice) -> Example | Examples:
        if isinstance(which, slice):
            return self.take(np.arange(len(self))[which])
        place = int(self.places[which])
        return self.table.example(place, self.mismatched.of(place) if self.mismatched is not None else None)

    def __iter__(self) -> Iterator[Example]:
        return (self[i] for i in range(len(self)))

    def take(self, which: IntArray) -> Examples:
        """Those at these positions, in this order."""
        return Examples(self.table, self.places[which], self.mismatched)

    def column(self, name: str) -> npt.NDArray[Any]:
        """[N] what the table's entries say under this name."""
        found: npt.NDArray[Any] = self.table.entries[name][self.places]
        return found

    def by_key(self) -> IntArray:
        """[N] positions in the order of the keys; of equal ones the first comes first."""
        keys = np.ascontiguousarray(self.column("key")).view(">u8").reshape(len(self), 4)
        # The last key of a lexsort counts first.
        return np.lexsort((keys[:, 3], keys[:, 2], keys[:, 1], keys[:, 0]))

    @property
    def num_prompts(self) -> int:
        """How many different prompts they have."""
        return len(np.unique(self.column("prompt")))

    def fingerprints(self) -> Iterator[str]:
        """Each names all of an example that training reads, the margin and the weight too."""
        columns = (self.column(name) for name in ("key", "margin", "weight"))
        for key, margin, weight in zip(*columns, strict=True):
            stated = None if np.isnan(margin) else float(margin)
            yield f"{key.tobytes().hex()} {stated} {float(weight)}"

    def prompts(self) -> Iterator[Messages]:
        """The different prompts as they were read, in the order in which they come up first."""
        _, first = np.unique(self.column("prompt"), return_index=True)
        return (self.table.prompt(int(place)) for place in self.places[np.sort(first)])

    def branches(self) -> Branches:
        """All branches, example after example, a mismatched one behind those of its example."""
        counts = self.column("num_branches").astype(np.int64)
        crossed = np.full(len(self), -1) if self.mismatched is None else self.mismatched.numbers[self.places]
        extra = crossed >= 0
        stops = np.cumsum(counts + extra)
        owner = np.repeat(np.arange(len(self)), counts + extra)
        side = np.arange(len(owner)) - (stops - counts - extra)[owner]
        is_crossed = side == counts[owner]
        numbers = np.where(is_crossed, crossed[owner], self.column("first_branch")[owner] + side)
        tables = [self.table] if self.mismatched is None else [self.table, self.mismatched.table]
        return Branches(tables, is_crossed.astype(np.int64), numbers)


class Branches(Sequence[Branch]):
    """Branches of one or more tables, made on access.

    which: of each, the table it is in. numbers: its number there.
    """

    def __init__(self, tables: Sequence[TokenTable], which: IntArray, numbers: IntArray) -> None:
        self._tables = tables
        self._which = which
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, which: int) -> Branch: ...
    @overload
    def __getitem__(self, which: slice) -> Branches: ...
    def __getitem__(self, which: int | slice) -> Branch | Branches:
        if isinstance(which, slice):
            return self.take(np.arange(len(self))[which])
        return self._tables[self._which[which]].branch(int(self._numbers[which]))

    def take(self, which: IntArray) -> Branches:
        """Those at these positions, in this order."""
        return Branches(self._tables, self._which[which], self._numbers[which])

    def __add__(self, others: Branches) -> Branches:
        return Branches(
            [*self._tables, *others._tables],
            np.concatenate([self._which, others._which + len(self._tables)]),
            np.concatenate([self._numbers, others._numbers]),
        )

    def distinct(self) -> Branches:
        """Each content once, where it comes first."""
        _, first = np.unique(self._digests(), return_index=True)
        return self.take(np.sort(first))

    def _digests(self) -> npt.NDArray[Any]:
        """[N] a name of each branch's content, as 32 hexadecimal digits."""
        found = np.empty(len(self), "V16")
        for number, table in enumerate(self._tables):
            mine = self._which == number
            found[mine] = table.branches["digest"][self._numbers[mine]]
        # Bytes as such have no order in numpy; written as text they have.
        return np.frombuffer(found.tobytes().hex().encode(), "S32")
