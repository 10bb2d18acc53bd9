"""From messages to tokens: a prompt, a completion, and which tokens count.

Three things go wrong silently elsewhere and are settled here. The prompt's tokens must be a prefix of the
tokens of prompt and completion together; where a merge across the boundary breaks that, the completion is
tokenised apart, and counted. Only assistant turns of the completion are scored. A completion ends in exactly
one end-of-turn token, and nothing after it is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
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


# Pairs of one prompt mostly follow one another.
_NUM_PROMPTS_KEPT = 1024

Segments = list[tuple[str, bool]]
"""Text pieces that make up a whole, each with whether the assistant wrote it."""


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
        self._prompts: dict[Messages, str] = {}
        self._blank: dict[int, bool] = {}
        self.stop_ids = {self.eos_id, *stop_ids}
        self._plain_ending = ""
        self._learn_ending()

    def prompt_ids(self, prompt: Messages) -> list[int]:
        """Tokens of the prompt up to where the answer begins."""
        return self._ids(self._prompt(prompt))

    def render(self, prompt: Messages, completion: Messages) -> Rendered:
        """Tokens of prompt and completion, and which of them are scored.

        Raises:
            UnusableRow: the template rewrites the prompt once an answer follows, or the answer holds the end
                token in its text.
        """
        (found,) = self.render_many([(prompt, completion)])
        if isinstance(found, UnusableRow):
            raise found
        return found

    def render_many(self, items: Sequence[tuple[Messages, Messages]]) -> list[Rendered | UnusableRow]:
        """What `render` gives for each prompt and completion, or the reason why it gives nothing.

        The tokenizer is called once for all, and a text that several of them have is tokenised once.
        """
        drafts: list[Segments | UnusableRow] = []
        for prompt, completion in items:
            try:
                drafts.append(self._segments(prompt, completion))
            except UnusableRow as reason:
                drafts.append(reason)
        usable = [draft for draft in drafts if not isinstance(draft, UnusableRow)]
        ids_of = self._ids_of(head for draft in usable for head in _heads(draft))
        results: list[Rendered | UnusableRow] = []
        for draft in drafts:
            try:
                results.append(draft if isinstance(draft, UnusableRow) else self._rendered(draft, ids_of))
            except UnusableRow as reason:
                results.append(reason)
        return results

    def _rendered(self, segments: Segments, ids_of: dict[str, list[int]]) -> Rendered:
        pieces, merged = self._tokenise(segments, ids_of)
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

    def _segments(self, prompt: Messages, completion: Messages) -> Segments:
        """Text pieces that make up the whole, each with whether the assistant wrote it."""
        done = self._prompt(prompt)
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

    def _tokenise(self, segments: Segments, ids_of: dict[str, list[int]]) -> tuple[list[list[int]], bool]:
        """Tokens of each segment, and whether they had to be taken apart; `ids_of` has those of every head.

        The proof: the tokens of everything before a boundary must be a prefix of the tokens of the whole.
        Where it fails at any boundary, tokens merge across it, and every segment is tokenised by itself,
        which is also what the model sees when it generates.
        """
        heads = [ids_of[head] for head in _heads(segments)]
        whole = heads[-1]
        if any(whole[: len(head)] != head for head in heads):
            return [heads[0], *(self._ids_inside(piece) for piece, _ in segments[1:])], True
        return [whole[a:b] for a, b in pairwise([0, *(len(head) for head in heads)])], False

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
        if token not in self._blank:
            self._blank[token] = not str(self.tokenizer.decode([token])).strip()
        return self._blank[token]

    def _prompt(self, prompt: Messages) -> str:
        if prompt not in self._prompts:
            if len(self._prompts) >= _NUM_PROMPTS_KEPT:
                self._prompts.clear()
            self._prompts[prompt] = self._text(prompt, generation=True)
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

    def _ids_of(self, texts: Iterable[str]) -> dict[str, list[int]]:
        """Tokens of each distinct text."""
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return {}
        found = self.tokenizer(
            distinct,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        return dict(zip(distinct, found["input_ids"], strict=True))

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


def _heads(segments: Segments) -> list[str]:
    """The text up to the end of each segment; the last one is the whole."""
    return list(accumulate(text for text, _ in segments))


def _rest_of(text: str, beginning: str) -> str:
    if not text.startswith(beginning):
        raise UnusableRow("the chat template rewrites earlier turns once an answer follows")
    return text[len(beginning) :]
