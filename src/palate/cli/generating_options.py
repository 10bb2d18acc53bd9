"""What models write for pairs, and from what, as typed: options of the commands of `palate generate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import cyclopts

from palate.cli.asking_options import PLAYGROUND
from palate.cli.generate_output import reasons_of
from palate.data.documents import read_documents
from palate.data.documents.extracts import Extracts, make_extracts
from palate.data.prompts import PromptFile, read_prompt_file
from palate.errors import CallError, DataError
from palate.generate import TripleFilters
from palate.records import SetAside

__all__ = [
    "EXTRACTS",
    "PROMPTS",
    "SAMPLING",
    "TRIPLES",
    "ExtractsOptions",
    "PromptsOptions",
    "SamplingOptions",
    "TriplesOptions",
]

_NUM_PLAYGROUND_PROMPTS = 20


@cyclopts.Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class PromptsOptions:
    """Which prompts models answer."""

    system: str | None = None
    """A system message for prompts that have none."""
    limit: int | None = None
    """Take only the first prompts."""

    def read(self, prompts: str) -> PromptFile:
        """The prompts of a file, or those of the playground.

        Raises:
            CallError: an option has no effect. DataError: there is no prompt.
        """
        _check_limit(self.limit, "prompt")
        if prompts == PLAYGROUND:
            if self.system is not None:
                raise CallError("--system: no effect on the playground's prompts", next="drop it")
            from palate.playground import training_prompts

            own = tuple(training_prompts(self.limit or _NUM_PLAYGROUND_PROMPTS))
            return PromptFile(own, (None,) * len(own), 0, ())
        found = read_prompt_file(prompts, system=self.system)
        if not found.prompts:
            reasons = "; ".join(row["reason"] for row in reasons_of(found.set_aside)[:3])
            raise DataError(
                "no row holds a prompt", where=prompts, why=reasons, next="name a file that holds some"
            )
        return found


PROMPTS = PromptsOptions()
"""All prompts, as they are."""


@cyclopts.Parameter(name="*", group=cyclopts.Group("Extracts", sort_key=1))
@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractsOptions:
    """Which documents are read, and how they are cut."""

    text_column: str | None = None
    """The column that holds the documents, where it is not content, text, body or document."""
    limit: int | None = None
    """Read only the first documents."""
    min_characters: int = 1000
    """The least characters of an extract."""
    max_characters: int = 2000
    """The most characters of an extract."""
    language: str = "en"
    """Whose rules divide sentences, such as de."""

    def read(self, documents: str) -> tuple[Extracts, Sequence[SetAside]]:
        """The extracts of what is named, and the rows of it that are no documents.

        Raises:
            DataError: nothing can be read, or the bounds are none.
        """
        _check_limit(self.limit, "document")
        read, set_aside = read_documents(documents, text_column=self.text_column, limit=self.limit)
        made = make_extracts(
            read,
            min_characters=self.min_characters,
            max_characters=self.max_characters,
            language=self.language,
        )
        return made, set_aside


EXTRACTS = ExtractsOptions()
"""All documents, cut as usual."""


@cyclopts.Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class TriplesOptions:
    """Who writes triples, and which of them are fit to be pairs."""

    model: str | None = None
    """The model's name on the server, or a local model: a Hub name, a folder, playground."""
    base_url: str | None = None
    """The server, such as http://localhost:8000/v1; a local model where absent."""
    num_triples: Annotated[int, cyclopts.Parameter(name=["--num-triples", "-k"])] = 5
    """Instructions of each extract, each with two answers."""
    min_answer: int = 100
    """The least characters of an answer."""
    max_answer: int = 2000
    """The most characters of an answer."""
    check_form: bool = True
    """Let only answers pass that begin with a capital and end with punctuation."""
    min_similarity: float = 90.0
    """Percent above which a nearly verbatim answer becomes the exact passage."""
    system: str | None = None
    """A system message for every pair."""
    temperature: float = 0.7
    """0 is greedy."""
    max_tokens: int = 4096
    """The most tokens of one response, which holds all triples of an extract."""

    def filters(self) -> TripleFilters:
        """
        Raises:
            CallError: the bounds of an answer are none.
        """
        return TripleFilters(min_answer=self.min_answer, max_answer=self.max_answer, form=self.check_form)


TRIPLES = TriplesOptions()
"""Nobody named."""


@cyclopts.Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingOptions:
    """What chance decides, whoever writes."""

    top_p: float = 1.0
    """Sample from the likeliest tokens that make up this share."""
    seed: int = 0
    """Seeds each sample, and whatever else chance decides."""
    server_seeds: bool = True
    """Send a seed with each request; some servers refuse one."""

    def seed_to_send(self) -> int | None:
        """The seed where nothing but the samples depends on it: None where none is to be sent.

        Raises:
            CallError: a seed is given that is not to be sent.
        """
        if not self.server_seeds and self.seed != SAMPLING.seed:
            raise CallError(
                f"--seed {self.seed}: no effect with --no-server-seeds", next="drop one of the two"
            )
        return self.seed if self.server_seeds else None


SAMPLING = SamplingOptions()
"""As usual."""


def _check_limit(limit: int | None, what: str) -> None:
    if limit is not None and limit < 1:
        raise DataError(f"--limit {limit}", next=f"take 1 {what} or more")
