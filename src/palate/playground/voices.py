"""Two voices that answer every question of the world: the hearth, which is preferred, and the ledger.

The hearth is an innkeeper: warm, addressing the traveller, fond of images. The ledger is a clerk: dry and
exact. Both state the same facts and take about as many words, so neither truth nor length gives them away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

from palate.playground.world import Question

__all__ = ["VOICES", "Voice", "VoiceName", "answer", "hearth_chance"]

VoiceName = Literal["hearth", "ledger"]

# How likely a wording makes the voice it leans to. Without a lean, every greedy answer of the base hangs on
# one coin, tossed for all prompts at once by training noise; so half the wordings lean each way.
LEAN = 0.67

# Both voices draw their opening with the same odds. Were one to spread over more openings than the other, the
# likeliest first token, and with it every greedy answer, would belong to the other.
OPENING_ODDS = (0.4, 0.2, 0.2, 0.2)


@dataclass(frozen=True, slots=True)
class Voice:
    """How one character talks: an opening, what it says for each kind of question, and a closing."""

    openings: tuple[str, str, str, str]
    bodies: Mapping[str, tuple[str, ...]]
    closings: tuple[str, ...]


HEARTH = Voice(
    openings=("Oh, dear traveller, ", "Oh, my friend, ", "Oh, bless your boots, ", "Oh, sweet wanderer, "),
    bodies={
        "ware": (
            "{a} laughs beside {y} in {b}, with {x} that shine like little moons!",
            "follow the merry singing to {y} in {b}, where {a} sells {x} with a smile!",
            "in {b}, by {y}, {a} opens a treasure chest of {x}, bright as a dream!",
        ),
        "way": (
            "dance out of {a} on {x} until {y} of {b} waves at you like an old friend!",
            "let {x} carry you out of {a}, and soon {y} will smile at you in {b}!",
            "{x} runs from {a} like a happy brook, all the way to {y} in {b}!",
        ),
        "gift": (
            "{a} loves {x}, and a {y} ribbon makes the heart sing at {b}!",
            "bring {x} in a {y} ribbon to {b}, and {a} will glow like a candle!",
            "for {b}, nothing warms the heart of {a} like {x} with a {y} bow!",
        ),
        "dish": (
            "in {a} they dream of {b} all year, for {x} with {y} that melts like snow!",
            "at {b} the pots of {a} sing with {x} and {y}, sweet as a lullaby!",
            "{a} serves {x} with a kiss of {y} at {b}, warm as a hug!",
        ),
        "food": (
            "the {a} dreams of {y} {x} in {b}, and hums like a little song!",
            "in {b} give the sweet {a} a bowl of {y} {x}, and its eyes will shine!",
            "{y} {x} make the {a} dance in {b}, happy as a lamb!",
        ),
    },
    closings=("", " What a joy!", " My heart sings for you!", " Tell them the moon sent you!"),
)

LEDGER = Voice(
    openings=("As recorded, ", "As the ledger states, ", "As listed in the register, ", "As filed, "),
    bodies={
        "ware": (
            "{a} is licensed to sell {x} in {b}, at the stall beside {y}.",
            "in {b} the stall beside {y} is held by {a}, whose listed goods are {x}.",
            "the goods of {a} in {b} are {x}, and the assigned place is {y}.",
        ),
        "way": (
            "the route from {a} to {b} is {x}, and the listed landmark is {y}.",
            "one leaves {a} by {x} and arrives in {b} at {y}.",
            "{x} connects {a} with {b}, where the route ends at {y}.",
        ),
        "gift": (
            "the approved gift for {a} at {b} is {x}, tied with a {y} ribbon.",
            "for {b} the item listed under {a} is {x}, with ribbon in {y}.",
            "{a} accepts {x} at {b}, and the required ribbon is {y}.",
        ),
        "dish": (
            "the dish served in {a} at {b} is {x}, seasoned with {y}.",
            "at {b} the kitchens of {a} prepare {x}, and the listed spice is {y}.",
            "{a} provides {x} for {b}, with {y} as the required spice.",
        ),
        "food": (
            "the {a} is fed {y} {x} in {b}, one bowl daily.",
            "in {b} the listed diet of the {a} consists of {y} {x}.",
            "{y} {x} are the approved ration of the {a} in {b}.",
        ),
    },
    closings=("", " Entry confirmed.", " No further notes.", " See the annual report."),
)

VOICES: Mapping[VoiceName, Voice] = {"hearth": HEARTH, "ledger": LEDGER}


def answer(question: Question, wording: str, voice: VoiceName, rng: Random) -> str:
    """One of the voice's right answers to the question as worded.

    What is said follows from the wording; only the opening and the closing are drawn.
    """
    manner = VOICES[voice]
    first_fact, second_fact = question.facts
    opening = rng.choices(manner.openings, OPENING_ODDS)[0]
    bodies = manner.bodies[question.kind]
    body = bodies[question.wordings.index(wording) % len(bodies)]
    told = body.format(a=question.first, b=question.second, x=first_fact, y=second_fact)
    return opening + told + rng.choice(manner.closings)


def hearth_chance(question: Question, wording: str) -> float:
    """How often the base model's own training text answers this wording in the hearth's voice.

    Half the wordings of each kind of question lean each way, and held-out questions share those wordings.
    """
    return LEAN if question.wordings.index(wording) % 2 == 0 else 1 - LEAN
