"""From messages to tokens: a prompt, a completion, and which tokens count.

Three things go wrong silently elsewhere and are settled here. The prompt's tokens must be a prefix of the
tokens of prompt and completion together; where a merge across the boundary breaks that, the completion is
tokenised apart, and counted. Only assistant turns of the completion are scored. A completion ends in exactly
one end-of-turn token, and nothing after it is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from palate.engine.tree import Branch
from palate.errors import DataError, ModelError
from palate.records import Message, Messages

__all__ = ["TEMPLATES", "Rendered", "Renderer", "UnusableRow"]

TEMPLATES = {
    "chatml": (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
        "+ '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "alpaca": (
        "{% for message in messages %}"
        "{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
        "{% elif message['role'] == 'user' %}{{ '### Instruction:\n' + message['content'] + '\n\n' }}"
        "{% else %}{{ '### Response:\n' + message['content'] }}{% if not loop.last %}{{ '\n\n' }}{% endif %}"
        "{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}"
    ),
    "plain": "{% for message in messages %}{{ message['content'] }}{% endfor %}",
}
"""Templates a recipe can name instead of the tokenizer's own. They add no end token: the renderer does."""


class UnusableRow(DataError):
    """A row that cannot be turned into tokens without training on something wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A branch and how its boundary between prompt and completion came out.

    `num_prompt` is the length of the prompt; `boundary_merged` tells that tokenising the whole would have
    merged across it, and that the completion was therefore tokenised apart.
    """

    branch: Branch
    num_prompt: int
    boundary_merged: bool


class Renderer:
    """Turns messages into tokens with one tokenizer and one template.

    Raises:
        ModelError: the tokenizer has no chat template and none was named, or it has no end token.
    """

    def __init__(self, tokenizer: Any, template: str = "tokenizer", stop_ids: Sequence[int] = ()) -> None:
        if template == "tokenizer" and not tokenizer.chat_template:
            raise ModelError(
                "this tokenizer has no chat template",
                where="data.template",
                next="name one: data.template=chatml, alpaca or plain",
            )
        if tokenizer.eos_token_id is None:
            raise ModelError("this tokenizer has no end-of-sequence token", where="tokenizer")
        self.tokenizer = tokenizer
        self.template = None if template == "tokenizer" else TEMPLATES[template]
        self.eos_id = int(tokenizer.eos_token_id)
        self._bos = self._bos_text()
        self._prompts: dict[Messages, tuple[str, list[int]]] = {}
        self.stop_ids = {self.eos_id, *stop_ids}
        self._plain_ending = ""
        self._learn_ending()

    def prompt_ids(self, prompt: Messages) -> list[int]:
        """Tokens of the prompt up to where the answer begins."""
        return self._prompt(prompt)[1]

    def render(self, prompt: Messages, completion: Messages) -> Rendered:
        """Tokens of prompt and completion, and which of them are scored.

        Raises:
            UnusableRow: the template rewrites the prompt once an answer follows, or the answer holds the end
                token in its text.
        """
        segments = self._segments(prompt, completion)
        pieces, merged = self._tokenise(prompt, segments)
        ids: list[int] = []
        scored: list[bool] = []
        for number, ((_, is_answer), piece) in enumerate(zip(segments, pieces, strict=True)):
            if not is_answer:
                ids += piece
                scored += [False] * len(piece)
                continue
            answer, rest = self._cut_after_end(piece)
            last = number == len(segments) - 1
            ids += answer if last else answer + rest
            scored += [True] * len(answer) + [False] * (0 if last else len(rest))
        if not pieces[0]:
            raise UnusableRow("the prompt has no tokens")
        branch = Branch(np.array(ids, np.int64), np.array(scored, np.bool_))
        return Rendered(branch, len(pieces[0]), merged)

    def _segments(self, prompt: Messages, completion: Messages) -> list[tuple[str, bool]]:
        """Text pieces that make up the whole, each with whether the assistant wrote it."""
        done = self._prompt(prompt)[0]
        segments = [(done, False)]
        for number, message in enumerate(completion):
            if message.role != "assistant":
                continue
            if not message.content.strip():
                raise UnusableRow("the answer is empty")
            before = (*prompt, *completion[:number])
            if number:  # turns of others stand between this answer and the last
                opening = self._text(before, generation=True)
                segments.append((_rest_of(opening, done), False))
                done = opening
            whole = self._text((*before, message), generation=False)
            answer = _rest_of(whole, done).removesuffix(self._plain_ending)
            segments.append((answer, True))
            done += answer
        if len(segments) == 1:
            raise UnusableRow("the completion has no assistant turn")
        return segments

    def _tokenise(
        self, prompt: Messages, segments: Sequence[tuple[str, bool]]
    ) -> tuple[list[list[int]], bool]:
        """Tokens of each segment, and whether they had to be taken apart.

        The proof: the tokens of everything before a boundary must be a prefix of the tokens of the whole.
        Where it fails at any boundary, tokens merge across it, and every segment is tokenised by itself,
        which is also what the model sees when it generates.
        """
        whole_text = "".join(text for text, _ in segments)
        whole = self._ids(whole_text)
        cuts, text = [0], ""
        for number, (piece, _) in enumerate(segments[:-1]):
            text += piece
            head = self._prompt(prompt)[1] if number == 0 else self._ids(text)
            if whole[: len(head)] != head:
                apart = [self._prompt(prompt)[1], *(self._ids_inside(piece) for piece, _ in segments[1:])]
                return apart, True
            cuts.append(len(head))
        cuts.append(len(whole))
        return [whole[a:b] for a, b in pairwise(cuts)], False

    def _cut_after_end(self, ids: list[int]) -> tuple[list[int], list[int]]:
        """An answer with exactly one end token, and what the template puts after it."""
        first = next((i for i, token in enumerate(ids) if token in self.stop_ids), len(ids))
        if first == 0:
            raise UnusableRow("the answer is empty once written out as tokens")
        if first == len(ids):
            return [*ids, self.eos_id], []
        # Some templates end a turn with one stop token and the sequence with another: one is enough.
        if any(not self._is_blank(token) and token not in self.stop_ids for token in ids[first + 1 :]):
            raise UnusableRow("the answer holds the end-of-turn token in its text")
        return ids[: first + 1], ids[first + 1 :]

    def _learn_ending(self) -> None:
        """How the template ends an answer: with a special token, with plain text, or not at all.

        Not every model lists the special token among its stop tokens (Gemma's tokenizer ends a sequence with
        another one), but what answers are trained to end with must also end them when they are generated.
        Plain text (a line break, or ChatML's marks in a tokenizer that has no tokens for them) is not part of
        the answer: the end token takes its place.
        """
        question, answer = Message("user", "A question?"), Message("assistant", "An answer.")
        try:
            text = self._segments((question,), (answer,))[1][0]
        except UnusableRow:
            return
        ending = text.partition(answer.content)[2]
        special = {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        found = [token for token in self._ids(ending) if token in special | self.stop_ids]
        if found:
            self.stop_ids.add(found[0])
        else:
            self._plain_ending = ending

    def _is_blank(self, token: int) -> bool:
        return not str(self.tokenizer.decode([token])).strip()

    def _prompt(self, prompt: Messages) -> tuple[str, list[int]]:
        if prompt not in self._prompts:
            text = self._text(prompt, generation=True)
            self._prompts[prompt] = text, self._ids(text)
        return self._prompts[prompt]

    def _text(self, messages: Sequence[Message], *, generation: bool) -> str:
        from jinja2 import TemplateError

        try:
            text = self.tokenizer.apply_chat_template(
                [message.as_dict() for message in messages],
                chat_template=self.template,
                tokenize=False,
                add_generation_prompt=generation,
            )
        except TemplateError as error:
            raise UnusableRow(f"the chat template refuses it: {error}") from None
        if self.template is not None and self._bos and not text.startswith(self._bos):
            return self._bos + str(text)
        return str(text)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _ids_inside(self, text: str) -> list[int]:
        """Tokens of a text that does not stand at the beginning.

        SentencePiece-like tokenizers put a space before whatever they are given; behind a line break there is
        none.
        """
        ids, line_break = self._ids("\n" + text), self._ids("\n")
        return ids[len(line_break) :] if ids[: len(line_break)] == line_break else self._ids(text)

    def _bos_text(self) -> str:
        """The beginning token, where this tokenizer puts one before plain text."""
        bos = self.tokenizer.bos_token_id
        starts = self.tokenizer("a")["input_ids"][:1]
        return str(self.tokenizer.bos_token) if bos is not None and starts == [bos] else ""


def _rest_of(text: str, beginning: str) -> str:
    if not text.startswith(beginning):
        raise UnusableRow("the chat template rewrites earlier turns once an answer follows")
    return text[len(beginning) :]
