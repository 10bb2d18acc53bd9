"""The world is the same everywhere, and what is held out stays held out."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter

import pytest

from palate.errors import DataError
from palate.playground import held_out_prompts, is_correct, training_prompts, write_pairs
from palate.playground.corpus import SYSTEM_MESSAGES, chats
from palate.playground.world import (
    KINDS,
    Question,
    held_out_questions,
    question_asked,
    questions,
    training_questions,
)
from palate.records import Message, Messages


def prompt(text: str) -> Messages:
    return (Message("user", text),)


def test_thousands_of_prompts_and_no_two_alike() -> None:
    wordings = [wording for question in questions() for wording in question.wordings]
    assert len(set(wordings)) == len(wordings) >= 3000
    assert all(question_asked(wording) == q for q in questions() for wording in q.wordings)


def test_every_kind_of_question_is_held_out_about_equally() -> None:
    share = Counter(q.kind for q in held_out_questions())
    whole = Counter(q.kind for q in questions())
    assert set(share) == set(KINDS)
    assert all(0.12 < share[kind] / whole[kind] < 0.3 for kind in KINDS)


def test_the_split_cuts_between_questions_not_wordings() -> None:
    assert set(held_out_questions()).isdisjoint(training_questions())
    assert set(held_out_questions()) | set(training_questions()) == set(questions())


def test_every_thing_of_a_held_out_question_is_met_in_training() -> None:
    met = {(q.kind, "first", q.first) for q in training_questions()}
    met |= {(q.kind, "second", q.second) for q in training_questions()}
    for question in held_out_questions():
        assert (question.kind, "first", question.first) in met
        assert (question.kind, "second", question.second) in met


def test_the_base_models_chats_hold_nothing_out_of_the_training_questions() -> None:
    asked = {question_asked(chat[-2].content) for chat in chats(5000, seed=0)}
    assert asked <= set(training_questions())
    assert len(asked) > 0.95 * len(training_questions())


def test_the_pairs_hold_nothing_out_of_the_training_questions() -> None:
    rows = [json.loads(line) for line in write_pairs().read_text(encoding="utf-8").splitlines()]
    assert {question_asked(row["prompt"][-1]["content"]) for row in rows} <= set(training_questions())


def test_held_out_and_training_prompts_never_meet() -> None:
    held_out = {question_asked(p[-1].content) for p in held_out_prompts(300)}
    for seed in range(3):
        assert held_out.isdisjoint(question_asked(p[-1].content) for p in training_prompts(1000, seed))


def test_held_out_prompts_grow_without_changing() -> None:
    assert held_out_prompts(50)[:20] == held_out_prompts(20)
    assert len(set(held_out_prompts(400))) == 400


def test_training_prompts_follow_the_seed() -> None:
    assert training_prompts(40, 1) == training_prompts(40, 1) != training_prompts(40, 2)
    assert len(set(training_prompts(1500, 1))) == 1500


def test_too_many_prompts_are_refused_with_the_number_there_are() -> None:
    with pytest.raises(DataError, match="different prompts were asked for, and there are 832"):
        held_out_prompts(100_000)
    assert len(held_out_prompts(832)) == 832


def test_another_process_makes_the_same_world() -> None:
    """Python's own hashes differ between processes; nothing of the world may hang on them."""
    assert _world_in_another_process("1") == _world_in_another_process("2") == _fingerprint()


def _fingerprint() -> str:
    text = repr((questions(), held_out_questions(), training_prompts(50, 3), list(chats(50, 3))))
    return hashlib.sha256(text.encode()).hexdigest()


def _world_in_another_process(hash_seed: str) -> str:
    code = f"import sys; sys.path.insert(0, {str(__file__).rpartition('/')[0]!r}); import test_world"
    code += "; print(test_world._fingerprint())"
    environment = {"PYTHONHASHSEED": hash_seed}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def test_a_system_message_that_asks_for_a_voice_gets_it() -> None:
    from palate.playground import style_of

    asked_for = {text: voice for text, voice in SYSTEM_MESSAGES if voice}
    steered = [chat for chat in chats(3000, seed=1) if chat[0].content in asked_for]
    assert len(steered) > 200
    for chat in steered:
        expected = "preferred" if asked_for[chat[0].content] == "hearth" else "other"
        assert style_of(chat[-1].content) == expected


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Mira Fennel sells copper lanterns by the singing mill.", True),
        ("COPPER LANTERNS, at The Singing Mill", True),
        ("Mira Fennel sells copper lanterns.", False),
        ("Mira Fennel sells paper kites by the singing mill.", False),
        ("Mira Fennel sells copper lanterns and paper kites by the singing mill.", False),
        ("", False),
    ],
)
def test_an_answer_is_right_when_it_states_both_facts_and_no_others(answer: str, right: bool) -> None:
    assert is_correct(prompt("What does Mira Fennel sell in Ombry?"), answer) is right


def test_a_fact_is_a_whole_word() -> None:
    """The clerk's "required" holds the letters of another festival's ribbon, "red"."""
    question = prompt("What should I give Clara Finch for the Harvest Dance?")
    assert is_correct(question, "The required ribbon for the sunflower seeds is orange.")


def test_a_question_about_nothing_in_the_world_has_no_right_answer() -> None:
    assert not is_correct(prompt("Who wrote this?"), "Mira Fennel.")


def test_facts_of_one_kind_are_never_part_of_each_other() -> None:
    """Else a right answer would state a wrong fact too."""
    for kind in KINDS.values():
        for table in (kind.firsts, kind.seconds):
            for fact in table.values():
                inside = [other for other in table.values() if re.search(rf"\b{re.escape(fact)}\b", other)]
                assert inside == [fact]


def test_a_road_leads_somewhere_else() -> None:
    assert Question("way", "Ombry", "Ombry") not in questions()
