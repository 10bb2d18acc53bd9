"""The only things the rooms of the house hand to each other: small frozen records.

Text is always a sequence of chat messages. A dataset of plain strings becomes one user message and one
assistant message; how they are written out as tokens is the template's business (`engine/tokens.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

__all__ = [
    "Answer",
    "Comparison",
    "Document",
    "Extract",
    "JudgeCall",
    "Labelled",
    "Message",
    "Messages",
    "Pair",
    "Provenance",
    "Ranking",
    "SetAside",
    "Verdict",
    "Vote",
    "as_messages",
    "content_id",
]

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def as_dict(self) -> dict[str, str]:
        """The form chat templates and every public dataset use."""
        return {"role": self.role, "content": self.content}


Messages = tuple[Message, ...]


def as_messages(items: Sequence[Mapping[str, str]]) -> Messages:
    """`[{"role": ..., "content": ...}, ...]` as records."""
    return tuple(Message(item["role"], item["content"]) for item in items)  # type: ignore[arg-type]


def content_id(*parts: object) -> str:
    """A short stable name for content: the same parts give the same id on every machine."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _plain(value: object) -> object:
    if isinstance(value, Message):
        return [value.role, value.content]
    raise TypeError(f"content_id takes records and plain data, not {type(value).__name__}")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a record came from.

    `source` is a file or Hub name, `line` its 1-based line in that source (row number where there are no
    lines), `detail` whatever else is known: generator, judge, annotator, document, sampling settings.
    """

    source: str
    line: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two completions of one prompt and which of them is preferred.

    `margin` is by how much, in whatever unit the data states it; `weight` how much the pair counts.
    """

    prompt: Messages
    chosen: Messages
    rejected: Messages
    provenance: Provenance
    margin: float | None = None
    weight: float = 1.0

    @property
    def id(self) -> str:
        """Names the content, not the origin: the same pair from two files has one id."""
        return content_id(self.prompt, self.chosen, self.rejected)

    @property
    def prompt_id(self) -> str:
        """Names the prompt: pairs that share it share their tokens in training and never straddle a split."""
        return content_id(self.prompt)


@dataclass(frozen=True, slots=True)
class Labelled:
    """One completion with a thumb up or down."""

    prompt: Messages
    completion: Messages
    desirable: bool
    provenance: Provenance
    weight: float = 1.0

    @property
    def id(self) -> str:
        """Names the content, not the origin."""
        return content_id(self.prompt, self.completion, self.desirable)

    @property
    def prompt_id(self) -> str:
        """Names the prompt."""
        return content_id(self.prompt)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Several completions of one prompt, best first.

    `scores`, where the data state them, stand beside the completions and never rise; equal scores are a tie.
    Without scores every completion is better than the next.
    """

    prompt: Messages
    completions: tuple[Messages, ...]
    provenance: Provenance
    weight: float = 1.0
    scores: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.scores is None:
            return
        if len(self.scores) != len(self.completions):
            raise ValueError(f"{len(self.completions)} completions and {len(self.scores)} scores")
        if any(later > earlier for earlier, later in pairwise(self.scores)):
            raise ValueError("scores rise: a ranking is best first")

    @property
    def id(self) -> str:
        """Names the content, not the origin."""
        return content_id(self.prompt, *self.completions)

    @property
    def prompt_id(self) -> str:
        """Names the prompt."""
        return content_id(self.prompt)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to a prompt. `finished` is False when it ran into the length limit."""

    prompt: Messages
    text: str
    model: str
    finished: bool = True


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two completions of one prompt that nobody has judged yet."""

    prompt: Messages
    completion_a: Messages
    completion_b: Messages
    provenance: Provenance

    @property
    def generators(self) -> tuple[str | None, str | None]:
        """The models that wrote `a` and `b`, where the provenance knows them (`detail["a"]["model"]`)."""
        a, b = (self.provenance.detail.get(side) for side in ("a", "b"))
        return _model_in(a), _model_in(b)

    @property
    def id(self) -> str:
        """Names the content, whichever of the two stands first."""
        return content_id(self.prompt, *sorted((self.completion_a, self.completion_b), key=content_id))

    @property
    def prompt_id(self) -> str:
        """Names the prompt."""
        return content_id(self.prompt)


def _model_in(detail: object) -> str | None:
    model = detail.get("model") if isinstance(detail, Mapping) else None
    return model if isinstance(model, str) else None


@dataclass(frozen=True, slots=True)
class Document:
    """A text that pairs are made from. `detail` is what is known of it: title, author, link."""

    id: str
    text: str
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Extract:
    """A run of whole sentences of one document, in their order."""

    document: str
    """The document's id."""
    number: int
    """Its place among the document's extracts, from 0."""
    sentences: tuple[str, ...]
    provenance: Provenance

    @property
    def text(self) -> str:
        """The sentences with a space between."""
        return " ".join(self.sentences)

    @property
    def id(self) -> str:
        """Names the content and the document."""
        return content_id(self.document, self.text)


@dataclass(frozen=True, slots=True)
class JudgeCall:
    """One look of a judge at a comparison, in one order of the two completions."""

    shown_first: Literal["a", "b"]
    preferred: Literal["a", "b", "tie"] | None
    """Turned back already: `a` is `completion_a`, wherever it stood. None: no usable answer."""
    problem: str = ""
    """Why it is missing, as a kind that is counted: `truncated`, `refused`, `unparsed`, `failed`, ..."""
    text: str = ""
    """What the judge said, as it came, whatever became of it."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Reasoning, criteria, the request's key, probabilities: whatever the kind of judge gives."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's preference in a comparison. `preferred` is None where it gave none that can be used."""

    comparison: Comparison
    judge: str
    preferred: Literal["a", "b", "tie"] | None
    reason: str = ""
    """Why it is missing; where it is given, what it rests on, in a line, or nothing."""
    flipped: bool = False
    """Each order of the two was preferred once: the verdict is a tie that says more of the judge."""
    calls: tuple[JudgeCall, ...] = ()
    """What it rests on; empty where a judge sees one completion at a time."""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vote:
    """A person's preference in a comparison."""

    comparison: Comparison
    annotator: str
    preferred: Literal["a", "b", "tie", "both_bad"]
    note: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Where and when it was cast: the store's event, seconds taken, which side `a` stood on."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that could not be used: kept, named and counted, never dropped silently."""

    source: str
    line: int | None
    reason: str
    excerpt: str = ""
    code: str = ""
    """What kind of reason it is, where something counts rows by it: `identical_pair` or `empty_side`."""

    @property
    def place(self) -> str:
        """`file:line`, as an editor opens it."""
        return self.source if self.line is None else f"{self.source}:{self.line}"
