"""The Vale of Ombry: a small invented world, its facts, and every question that can be asked about it.

A question joins two things of the world ("what does THIS pedlar sell in THAT village?"), and its answer needs
one fact about each. The facts belong to single things, so a model that has met every thing can answer about a
pair of things it never saw together: that is what the held-out questions ask for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

__all__ = [
    "KINDS",
    "Kind",
    "Question",
    "held_out_questions",
    "question_asked",
    "questions",
    "training_questions",
]

# village: (its landmark, the road that leaves it, the dish it cooks)
VILLAGES: Mapping[str, tuple[str, str, str]] = {
    "Ombry": ("the singing mill", "the Heron Road", "onion soup"),
    "Tarnwick": ("the blue lighthouse", "the Otter Road", "barley pudding"),
    "Pellowmere": ("the upside-down fountain", "the Plum Lane", "mushroom pie"),
    "Mossgate": ("the whispering gate", "the Fern Path", "pumpkin stew"),
    "Quillhaven": ("the paper tower", "the Ink Street", "walnut bread"),
    "Dunmarrow": ("the sleeping giant's chair", "the Badger Path", "turnip dumplings"),
    "Fiddleby": ("the crooked bandstand", "the Cricket Lane", "cherry tart"),
    "Larkstead": ("the copper weathercock", "the Morning Road", "oat porridge"),
    "Wrenholt": ("the hollow oak", "the Acorn Path", "chestnut roast"),
    "Bramblecote": ("the thousand-step stair", "the Thorn Lane", "blackberry jam"),
    "Saltmarrow": ("the glass harbour", "the Gull Road", "clam chowder"),
    "Thistlewick": ("the knitted bridge", "the Wool Street", "cheese scones"),
    "Oakhollow": ("the giant teapot", "the Kettle Lane", "ginger biscuits"),
    "Candlecombe": ("the ever-lit window", "the Wax Street", "honey waffles"),
    "Juniper End": ("the last lamp-post", "the Frost Lane", "juniper sausages"),
    "Nettlecombe": ("the green clock", "the Meadow Path", "nettle broth"),
}

# pedlar: (what they sell, what they like to be given)
PEDLARS: Mapping[str, tuple[str, str]] = {
    "Mira Fennel": ("copper lanterns", "lemon drops"),
    "Old Tobias": ("wooden spoons", "warm socks"),
    "Sister Plum": ("plum brandy", "pressed flowers"),
    "Jasper Quill": ("goose-feather pens", "black ink"),
    "Aunt Odette": ("lace curtains", "silver thimbles"),
    "Barnaby Rook": ("tin whistles", "sheet music"),
    "Widow Marlowe": ("beeswax candles", "clover honey"),
    "Captain Brine": ("brass compasses", "sea shells"),
    "Little Nell": ("paper kites", "coloured string"),
    "Hugo Thatch": ("straw hats", "poppy seeds"),
    "Greta Loom": ("woollen scarves", "knitting needles"),
    "Brother Moss": ("herb tea", "clay cups"),
    "Pippa Crumb": ("sugar mice", "vanilla pods"),
    "Nan Kettle": ("iron kettles", "kitchen towels"),
    "Ottilie Bell": ("silver bells", "velvet ribbons"),
    "Clara Finch": ("bird cages", "sunflower seeds"),
}

# creature: what it eats
CREATURES: Mapping[str, str] = {
    "moss owl": "plums",
    "lantern fox": "beetles",
    "puddle cat": "minnows",
    "thimble bear": "acorns",
    "chimney swan": "breadcrumbs",
    "velvet toad": "mushrooms",
    "button mouse": "cheese rinds",
    "river goat": "water lilies",
    "bramble pig": "turnips",
    "cloud sheep": "dandelions",
    "clockwork crow": "brass filings",
    "pocket dragon": "peppers",
    "snow hedgehog": "berries",
    "ribbon snake": "eggshells",
    "attic bat": "apple peel",
    "teacup otter": "crayfish",
}

# month: how food is eaten in it
MONTHS: Mapping[str, str] = {
    "Frostmoon": "pickled",
    "Thawmoon": "boiled",
    "Budmoon": "raw",
    "Rainmoon": "steamed",
    "Sunmoon": "chilled",
    "Haymoon": "toasted",
    "Leafmoon": "roasted",
    "Darkmoon": "smoked",
}

# festival: (the colour of its ribbons, its spice)
FESTIVALS: Mapping[str, tuple[str, str]] = {
    "the Lantern Feast": ("yellow", "cloves"),
    "the Night of Kites": ("blue", "mint"),
    "the Goose Parade": ("white", "nutmeg"),
    "the Harvest Dance": ("orange", "cinnamon"),
    "the Long Supper": ("purple", "pepper"),
    "the First Snow": ("ivory", "anise"),
    "the Boat Race": ("turquoise", "dill"),
    "the Apple Wedding": ("red", "saffron"),
    "the Moth Ball": ("grey", "rosemary"),
    "the Spring Bells": ("green", "thyme"),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of question: how it is asked, and the tables its two facts come from."""

    name: str
    phrasings: tuple[str, ...]
    firsts: Mapping[str, str]
    """The first thing's name -> the fact about it."""
    seconds: Mapping[str, str]
    """The second thing's name -> the fact about it."""


def _column(table: Mapping[str, Sequence[str]], index: int) -> dict[str, str]:
    return {name: facts[index] for name, facts in table.items()}


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "ware",
            (
                "What does {a} sell in {b}?",
                "I am in {b} and looking for {a}. What is for sale, and where?",
                "Where in {b} do I find {a}, and with what goods?",
                "I hear that {a} has come to {b}. Where is the stall, and what is on it?",
            ),
            _column(PEDLARS, 0),
            _column(VILLAGES, 0),
        ),
        Kind(
            "way",
            (
                "How do I get from {a} to {b}?",
                "Which way is it from {a} to {b}?",
                "I am leaving {a} for {b}. Which road do I take, and what do I look for?",
                "Can you send me from {a} to {b}?",
            ),
            _column(VILLAGES, 1),
            _column(VILLAGES, 0),
        ),
        Kind(
            "gift",
            (
                "What should I give {a} for {b}?",
                "{a} has invited me for {b}. What do I bring?",
                "Which present would please {a} at {b}?",
                "I need a present for {a}, and {b} is near. What shall it be?",
            ),
            _column(PEDLARS, 1),
            _column(FESTIVALS, 0),
        ),
        Kind(
            "dish",
            (
                "What do people in {a} cook for {b}?",
                "What is on the table in {a} at {b}?",
                "I will be in {a} for {b}. What will I eat?",
                "Which dish and which spice belong to {b} in {a}?",
            ),
            _column(VILLAGES, 2),
            _column(FESTIVALS, 1),
        ),
        Kind(
            "food",
            (
                "What does the {a} eat in {b}?",
                "What do I feed the {a} in {b}?",
                "The {a} is at my door and it is {b}. What shall I put in its bowl?",
                "How is the {a} fed in {b}?",
            ),
            CREATURES,
            MONTHS,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about two things, whatever the wording."""

    kind: str
    first: str
    second: str

    @property
    def facts(self) -> tuple[str, str]:
        """The two facts that a right answer states: one about each thing."""
        kind = KINDS[self.kind]
        return kind.firsts[self.first], kind.seconds[self.second]

    @property
    def wordings(self) -> tuple[str, ...]:
        """Every way to ask it."""
        return tuple(form.format(a=self.first, b=self.second) for form in KINDS[self.kind].phrasings)

    @property
    def held_out(self) -> bool:
        """One question in five, in all its wordings, is kept from every kind of training."""
        return _digest(self) % 5 == 0

    def is_answered_by(self, answer: str) -> bool:
        """True when the answer states both facts, and nothing else that the same kind of fact could be."""
        tables = KINDS[self.kind].firsts.values(), KINDS[self.kind].seconds.values()
        stated = ({fact for fact in table if _states(answer, fact)} for table in tables)
        return all(found == {right} for found, right in zip(stated, self.facts, strict=True))


def _states(answer: str, fact: str) -> bool:
    # Whole words: "red" is not stated by "required".
    return re.search(rf"\b{re.escape(fact)}\b", answer, re.IGNORECASE) is not None


def _digest(question: Question) -> int:
    # A hash of names, not Python's: the same questions are held out on every machine and in every process.
    text = "|".join((question.kind, question.first, question.second))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _every_question() -> Iterator[Question]:
    for kind in KINDS.values():
        for first in kind.firsts:
            for second in kind.seconds:
                if first != second:
                    yield Question(kind.name, first, second)


@cache
def questions() -> tuple[Question, ...]:
    """Every question of the world, in an order that mixes the kinds and is the same everywhere."""
    return tuple(sorted(_every_question(), key=_digest))


@cache
def training_questions() -> tuple[Question, ...]:
    """The questions that models and pairs may be made from."""
    return tuple(question for question in questions() if not question.held_out)


@cache
def held_out_questions() -> tuple[Question, ...]:
    """The questions that nothing was ever trained on."""
    return tuple(question for question in questions() if question.held_out)


@cache
def _by_wording() -> Mapping[str, Question]:
    return {wording: question for question in questions() for wording in question.wordings}


def question_asked(text: str) -> Question | None:
    """The question behind a wording; None when the text asks nothing about this world."""
    return _by_wording().get(text.strip())
