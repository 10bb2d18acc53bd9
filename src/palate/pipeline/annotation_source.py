"""What people are to vote on: comparisons, preference data with its choices hidden, the answers of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from palate.annotate.events import Task
from palate.data.excerpts import excerpt
from palate.data.judgeable import read_judgeable
from palate.errors import ArtifactError, CallError, DataError
from palate.records import Comparison, Message, Messages, Provenance, SetAside, as_messages

__all__ = ["AnnotationSource", "read_annotation_source"]

_COMPARISON_FILE = Path("evaluation") / "comparison.json"


@dataclass(frozen=True, slots=True)
class AnnotationSource:
    """What people are to vote on."""

    comparisons: tuple[Comparison, ...]
    """No two have the same content."""
    set_aside: tuple[SetAside, ...]
    num_repeated: int
    """Left out because an earlier one has the same content."""
    num_identical: int
    """Of a run: prompts to which both models said the same, so that there is nothing to choose."""
    task: Task
    """What it is for, where nobody says otherwise."""
    store: str
    """Where its votes go, where nobody says otherwise."""


def read_annotation_source(source: str, *, limit: int | None = None) -> AnnotationSource:
    """Read what is to be voted on: comparisons, preference data with its choices hidden, a run, `playground`.

    Of a run that is what base and tuned model answered when they were compared.

    Args:
        limit: take the first so many comparisons.

    Raises:
        CallError: the limit is no number of comparisons.
        DataError: the source cannot be read, or there is nothing to vote on.
        ArtifactError: the run's comparison is damaged.
    """
    if limit is not None and limit < 1:
        raise CallError(f"--limit {limit}: at least 1 comparison", where="palate annotate")
    path = Path(source).expanduser()
    if path.is_dir():
        found = _of_run(path)
    elif source == "playground":
        from palate.playground import write_pairs

        found = _of_data(str(write_pairs()), "playground.votes.sqlite3")
    else:
        found = _of_data(source, _beside(source))
    return replace(found, comparisons=found.comparisons[:limit])


def _of_data(source: str, store: str) -> AnnotationSource:
    found = read_judgeable(source)
    return AnnotationSource(found.comparisons, found.set_aside, found.num_repeated, 0, "label", store)


def _beside(source: str) -> str:
    """A file's store stands beside it, that of a Hub data set in the current folder."""
    path = Path(source).expanduser()
    stem = path.name.removesuffix(".gz").removesuffix(".zst")
    name = f"{Path(stem).stem}.votes.sqlite3"
    return str(path.with_name(name)) if path.exists() else source.replace("/", "-") + ".votes.sqlite3"


def _of_run(folder: Path) -> AnnotationSource:
    path = folder / _COMPARISON_FILE
    content = _comparison_json(path)
    try:
        found = list(_answers(content, str(path)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            "this is no comparison as palate compare writes it",
            where=str(path),
            why=excerpt(f"{type(error).__name__}: {error}", 200),
            next=f"palate compare {folder} makes it anew",
        ) from None
    different = [comparison for comparison in found if comparison.completion_a != comparison.completion_b]
    distinct = tuple({comparison.id: comparison for comparison in reversed(different)}.values())[::-1]
    if not distinct:
        raise DataError(
            "there is nothing to vote on",
            where=str(path),
            why="both models gave the same answers" if found else "it holds no answers",
        )
    return AnnotationSource(
        distinct,
        (),
        num_repeated=len(different) - len(distinct),
        num_identical=len(found) - len(different),
        task="compare",
        store=str(folder / "evaluation" / "votes.sqlite3"),
    )


def _comparison_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            "this folder holds no comparison of two models",
            where=str(path.parent.parent),
            why=f"{_COMPARISON_FILE} is missing",
            next="name a file of pairs or comparisons, or run palate compare on the folder first",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(
            "the run's comparison cannot be read", where=str(path), why=excerpt(str(error), 200)
        ) from None
    if not isinstance(content, dict):
        raise ArtifactError("the run's comparison is no JSON object", where=str(path))
    return content


def _answers(content: Mapping[str, Any], path: str) -> Iterator[Comparison]:
    """Each answer of one model beside every other model's to the same prompt."""
    two = [(str(content[name]), name) for name in ("base", "tuned")]
    for number, sample in enumerate(content["samples"], 1):
        prompt = as_messages(sample["prompt"])
        if not prompt or any(not isinstance(message.content, str) for message in prompt):
            raise ValueError("a prompt holds no text")
        several = sample.get("answers")
        models = [(name, sample[key]) for name, key in two] if several is None else list(several.items())
        for (a, own), (b, other) in combinations(models, 2):
            for first, second in zip(own, other, strict=True):
                detail = {"a": {"model": a}, "b": {"model": b}}
                yield Comparison(prompt, _said(first), _said(second), Provenance(path, number, detail))


def _said(answer: Mapping[str, Any]) -> Messages:
    if not isinstance(answer["text"], str):
        raise TypeError("an answer is no text")
    return (Message("assistant", answer["text"]),)
