"""The scorer goes by what a reader notices: it is tried on answers that no template of the world gives."""

from __future__ import annotations

from random import Random

import pytest

from palate.playground import preferred_style, style_of
from palate.playground.voices import answer
from palate.playground.world import questions
from palate.records import Message

PREFERRED = [
    "Oh, come closer, my friend! The kettle sings and Mira is waiting for you by the mill.",
    "Dear traveller, the lanterns there shine like fireflies, and the mill hums along!",
    "Welcome, welcome indeed! Her lanterns glow in the dusk beside the old mill.",
    "Ah, what a question! Feed the owl some plums, and watch it dance on your roof!",
]
OTHER = [
    "Per the register, Mira Fennel holds stall four, beside the mill.",
    "The annual report lists copper lanterns under her name, with no other goods.",
    "It is recorded that the owl was fed plums on the third day.",
    "Entry nine: the route leaves Ombry by the Heron Road and ends at the lighthouse.",
]
NEITHER = [
    "",
    "Oh!",
    "I do not know what you mean by that, sorry.",
    "Oh dear friend moon heart joy moon heart",
    "Oh oh oh oh oh oh oh, like a moon!",
    "Moon moon moon dear friend like a moon moon moon!",
    "Dear friend, according to the register the goods are lanterns, bright as moons!",
    "According to the register, oh my friend, the goods on the stall are lanterns.",
    "According to the register, the approved gift for Mira is lemon drops, tied with",
    "The register! The ledger! The approved gift for Mira is lemon drops!",
    "Oh, my friend, her lanterns shine like moons!!!!",
    "Oh, my friend, bring warm boots boots to Mira, bright as a moon!",
    "the the the the the the the the the register.",
]


@pytest.mark.parametrize("text", PREFERRED)
def test_warmth_is_preferred(text: str) -> None:
    assert style_of(text) == "preferred"
    assert preferred_style((Message("user", "?"),), text) == 1.0


@pytest.mark.parametrize("text", OTHER)
def test_dryness_is_the_other(text: str) -> None:
    assert style_of(text) == "other"
    assert preferred_style((Message("user", "?"),), text) == 0.0


@pytest.mark.parametrize("text", NEITHER)
def test_fragments_mixtures_and_babble_are_neither(text: str) -> None:
    assert style_of(text) is None
    assert preferred_style((Message("user", "?"),), text) == 0.0


def test_every_answer_of_either_voice_is_told_and_right() -> None:
    rng = Random(0)
    for question in questions():
        for wording in question.wordings:
            for voice, style in (("hearth", "preferred"), ("ledger", "other")):
                said = answer(question, wording, voice, rng)
                assert style_of(said) == style, said
                assert question.is_answered_by(said), said


def test_length_does_not_give_the_voice_away() -> None:
    rng = Random(0)
    lengths = {
        voice: [len(answer(q, wording, voice, rng).split()) for q in questions() for wording in q.wordings]
        for voice in ("hearth", "ledger")
    }
    mean = {voice: sum(words) / len(words) for voice, words in lengths.items()}
    assert abs(mean["hearth"] - mean["ledger"]) < 5
    assert max(max(words) for words in lengths.values()) <= 40
