"""Text made from the world: chats for the base model, pairs for tuning it, and prompts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from palate.errors import DataError
from palate.playground.voices import VoiceName, answer, hearth_chance
from palate.playground.world import Question, held_out_questions, training_questions
from palate.records import Message, Messages

__all__ = ["PairText", "chats", "held_out_prompts", "pairs", "training_prompts"]

# Some chats open with a system message, lest one throw the model, and half of these messages ask for a voice.
# A model that never had to tell the voices apart holds their first words so close together that tuning it for
# one pushes it off both. The steered chats teach it the difference, as instructions do for any grown model.
SYSTEM_SHARE = 0.3
SYSTEM_MESSAGES: tuple[tuple[str, VoiceName | None], ...] = (
    ("You are a guide to the Vale of Ombry.", None),
    ("You are a helpful assistant.", None),
    ("You are a warm innkeeper.", "hearth"),
    ("You are a dry clerk.", "ledger"),
)


@dataclass(frozen=True, slots=True)
class PairText:
    """One prompt and two answers to it, the first in the preferred voice."""

    prompt: Messages
    chosen: str
    rejected: str


def chats(num_chats: int, seed: int) -> Iterator[Messages]:
    """What the base model learns from: training questions, each answered in a voice drawn by chance."""
    rng = Random(f"chats {seed}")
    for _ in range(num_chats):
        question = rng.choice(training_questions())
        wording = rng.choice(question.wordings)
        voice: VoiceName = "hearth" if rng.random() < hearth_chance(question, wording) else "ledger"
        opening: Messages = ()
        if rng.random() < SYSTEM_SHARE:
            system, asked_voice = rng.choice(SYSTEM_MESSAGES)
            opening, voice = (Message("system", system),), asked_voice or voice
        yield (*opening, *_prompt(wording), Message("assistant", answer(question, wording, voice, rng)))


def pairs(num_prompts: int, num_answers: int, seed: int) -> Iterator[PairText]:
    """`num_answers` different answers of each voice to each prompt, each against each of the other voice."""
    for question, wording in _asked(training_questions(), num_prompts, Random(f"pairs {seed}")):
        rng = Random(f"answers {seed} {wording}")
        warm = _different_answers(question, wording, "hearth", num_answers, rng)
        dry = _different_answers(question, wording, "ledger", num_answers, rng)
        for chosen, rejected in itertools.product(warm, dry):
            yield PairText(_prompt(wording), chosen, rejected)


def training_prompts(num_prompts: int, seed: int = 0) -> list[Messages]:
    """Different prompts that models and pairs may be made from, drawn by `seed`."""
    return [
        _prompt(wording)
        for _, wording in _asked(training_questions(), num_prompts, Random(f"prompts {seed}"))
    ]


def held_out_prompts(num_prompts: int) -> list[Messages]:
    """Prompts about things together that no model and no pair was made from: always the same."""
    return [_prompt(wording) for _, wording in _asked(held_out_questions(), num_prompts, None)]


def _asked(
    questions: Sequence[Question], num_prompts: int, rng: Random | None
) -> Iterator[tuple[Question, str]]:
    """Questions and one wording of each; second wordings come only when every question has been asked."""
    num_wordings = min(len(question.wordings) for question in questions)
    if num_prompts > len(questions) * num_wordings:
        raise DataError(
            f"{num_prompts} different prompts were asked for, and there are {len(questions) * num_wordings}",
            where="the playground",
            next=f"ask for at most {len(questions) * num_wordings}",
        )
    order = list(questions)
    if rng is not None:
        rng.shuffle(order)
    for turn in range(num_prompts):
        place, round_ = turn % len(order), turn // len(order)
        wordings = order[place].wordings
        yield order[place], wordings[(place + round_) % len(wordings)]


def _prompt(text: str) -> Messages:
    return (Message("user", text),)


def _different_answers(
    question: Question, wording: str, voice: VoiceName, num_answers: int, rng: Random
) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < num_answers:
        found[answer(question, wording, voice, rng)] = None
    return list(found)
