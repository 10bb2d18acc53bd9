"""A language model as judge: a rubric, a way of asking, and verdicts that are given or missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from palate.asking import Asker, Reply, Request, ask_in_order
from palate.errors import JudgeError
from palate.judge.examples import as_examples
from palate.judge.listwise import Listwise
from palate.judge.pairwise import Orders, Pairwise
from palate.judge.pointwise import Pointwise
from palate.judge.prompting import Mode
from palate.judge.questions import Questions
from palate.judge.rubric import Rubric
from palate.records import Comparison, Verdict, Vote
from palate.watcher import Watcher

__all__ = ["LLMJudge"]


class _Asking(Protocol):
    """What a mode is: requests about comparisons, and verdicts from the replies."""

    def requests(self, comparisons: Sequence[Comparison]) -> list[Request]: ...

    def verdicts(
        self, comparisons: Sequence[Comparison], reply_to: Callable[[Request], Reply]
    ) -> list[Verdict]: ...


class LLMJudge:
    """A model that is asked which of two answers is better, how good each is, or in what order they come.

    What it says goes through the store of its asker: judging again asks nothing again, and after a crash only
    what is missing. A reply that is no clear verdict is a missing one, with its text and its reason.
    """

    def __init__(
        self,
        asker: Asker,
        model: str,
        rubric: Rubric,
        *,
        mode: Mode = "pairwise",
        orders: Orders = "both",
        examples: Sequence[Vote] = (),
        references: Mapping[str, str] | None = None,
        seed: int = 0,
        temperature: float = 0.0,
        max_tokens: int = 1024,
        max_reasoning_characters: int | None = None,
        name: str | None = None,
    ) -> None:
        """
        Args:
            mode: `pairwise` shows two answers, `pointwise` one at a time, `listwise` all of a prompt at once.
            orders: `both` asks in both orders; `random` once, which is half the price and shows no flips.
            examples: votes that are shown as decided cases (see `choose_examples`); one on the prompt that is
                judged is left out of that request.
            references: a reference answer, or notes for grading, by `prompt_id`.
            seed: of what is drawn: the numbers around the material, orders.
            max_tokens: for reasoning and verdict together.
            max_reasoning_characters: for a local model, which is held to every token of the form.
            name: how verdicts call it; the model's name where none is given.

        Raises:
            JudgeError: an option that has no effect here, or is out of bounds.
        """
        if mode == "pointwise" and orders != "both":
            raise JudgeError(
                "a pointwise judge sees one answer at a time: there is no order",
                where=f"orders = {orders}",
                next="leave orders out",
            )
        if not 0 <= temperature <= 5 or max_tokens < 1:
            raise JudgeError(
                f"temperature {temperature}, max_tokens {max_tokens}: a temperature is from 0 to 5, and "
                "there is at least one token"
            )
        self._asker = asker
        self._model = model
        self._rubric = rubric
        self._name = name or model
        self._references = dict(references or {})
        questions = Questions(
            asker.server,
            model,
            rubric,
            mode,
            self._references,
            as_examples(_checked(examples, rubric, mode)),
            seed,
            temperature,
            max_tokens,
            max_reasoning_characters,
        )
        self._asking: _Asking
        if mode == "pairwise":
            self._asking = Pairwise(self._name, questions, orders)
        elif mode == "pointwise":
            self._asking = Pointwise(self._name, questions)
        else:
            self._asking = Listwise(self._name, questions, orders)

    @property
    def name(self) -> str:
        """How verdicts and the card call it."""
        return self._name

    @property
    def models(self) -> tuple[str, ...]:
        """The model it asks."""
        return (self._model,)

    def requests_for(self, comparisons: Sequence[Comparison]) -> list[Request]:
        """What judging these would ask, each request once, whether or not the store has it already.

        Raises:
            JudgeError: the rubric needs a reference and a prompt has none; too many answers for one ranking.
        """
        self._check_references(comparisons)
        requests = self._asking.requests(comparisons)
        return list({request.key(self._asker.server): request for request in requests}.values())

    def judge(self, comparisons: Sequence[Comparison], watcher: Watcher | None = None) -> list[Verdict]:
        """One verdict for each comparison, in their order.

        Raises:
            JudgeError: as `requests_for`, before anything is asked.
            PalateError: nothing can be asked at all. What came in before is in the store.
        """
        requests = self.requests_for(comparisons)
        replies = ask_in_order([(self._asker, request) for request in requests], watcher)
        server = self._asker.server
        by_key = {reply.request.key(server): reply for reply in replies}
        return self._asking.verdicts(comparisons, lambda request: by_key[request.key(server)])

    def _check_references(self, comparisons: Sequence[Comparison]) -> None:
        if not self._rubric.needs_reference:
            return
        prompts = {comparison.prompt_id for comparison in comparisons}
        if without := prompts - self._references.keys():
            raise JudgeError(
                f"{len(without)} of {len(prompts)} prompts have no reference",
                where=f'rubric "{self._rubric.name}"',
                why="it judges answers by a reference answer or notes for each prompt",
                next="give references for all of them, or judge by a rubric that needs none",
            )


def _checked(examples: Sequence[Vote], rubric: Rubric, mode: Mode) -> Sequence[Vote]:
    if mode == "pairwise" and not rubric.allow_ties and any(vote.preferred == "tie" for vote in examples):
        raise JudgeError(
            "an example is a tie, and the rubric allows none",
            where="examples",
            next="choose examples with allow_ties=False",
        )
    return examples
