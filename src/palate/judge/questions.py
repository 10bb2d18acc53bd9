"""From what is judged to the request that asks for it: all that one judge's requests share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palate.asking import Request
from palate.judge.prompting import PROMPT_VERSION, Example, Mode, judge_messages, verdict_schema
from palate.judge.rubric import Rubric

__all__ = ["Questions"]


@dataclass(frozen=True, slots=True)
class Questions:
    """A judge's manner of asking. The same material gives the same request, on every run and machine."""

    server: str
    """Who is asked, as it stands in a request's key."""
    model: str
    rubric: Rubric
    mode: Mode
    references: Mapping[str, str]
    """A reference answer, or notes for grading, by the prompt's id."""
    examples: Sequence[tuple[str, Example]]
    """With the ids of their prompts."""
    seed: int
    temperature: float
    max_tokens: int
    max_reasoning_characters: int | None

    def request(self, prompt_id: str, data: Mapping[str, Any], num_answers: int = 0) -> Request:
        """The request about some material.

        An example of the prompt that is judged is not shown: it would give the answer away.
        """
        examples = [example for example_of, example in self.examples if example_of != prompt_id]
        return Request(
            self.model,
            judge_messages(self.mode, self.rubric, data, examples=examples, seed=self.seed),
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            schema=verdict_schema(
                self.mode,
                self.rubric,
                num_answers=num_answers,
                max_reasoning_characters=self.max_reasoning_characters,
            ),
        )

    def key(self, request: Request) -> str:
        """Under which the store has what came back."""
        return request.key(self.server)

    def lineage(self) -> dict[str, Any]:
        """How its verdicts came about: what stands in the detail of each."""
        return {
            "server": self.server,
            "model": self.model,
            "mode": self.mode,
            "rubric": self.rubric.name,
            "rubric_id": self.rubric.id,
            "allow_ties": self.rubric.allow_ties,
            "prompt_version": PROMPT_VERSION,
        }
