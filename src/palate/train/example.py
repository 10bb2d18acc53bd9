"""One thing to learn from: the completions of a prompt, as tokens, and what the data say of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from palate.data import Record
from palate.engine import Branch
from palate.records import Labelled

__all__ = ["Example", "key_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One record as branches of one prompt: a pair's two, chosen first; a ranking's, best first; or one.

    `prompt_id` is equal for examples of one prompt, `id` names the record. `desirable` is None unless the
    record is a label. `mismatched` is the prompt with a completion that belongs to another, for objectives
    that estimate a KL.
    """

    branches: tuple[Branch, ...]
    prompt_id: str
    id: str
    margin: float | None = None
    weight: float = 1.0
    desirable: bool | None = None
    mismatched: Branch | None = None

    @classmethod
    def of(cls, record: Record, branches: tuple[Branch, ...]) -> Example:
        """The example that a record is, with its completions as tokens."""
        return cls(
            branches,
            record.prompt_id,
            record.id,
            margin=getattr(record, "margin", None),
            weight=record.weight,
            desirable=record.desirable if isinstance(record, Labelled) else None,
        )

    @property
    def key(self) -> str:
        """Names the content, so that an order made from it does not depend on the file's order."""
        return key_of([branch.key for branch in self.branches], self.desirable).hex()

    @property
    def num_target_tokens(self) -> int:
        """The scored tokens of the preferred completion."""
        return self.branches[0].num_scored


def key_of(branch_keys: Sequence[bytes], desirable: bool | None) -> bytes:
    """[32 bytes] the name of an example with these branches and this label."""
    content = b"\1".join(branch_keys)
    if desirable is not None:
        content += b"\2" + bytes([desirable])
    return hashlib.sha256(content).digest()
