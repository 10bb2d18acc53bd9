"""Strong against weak: one pair a prompt, where the two said different things."""

from __future__ import annotations

import pytest
from scripted import ScriptedAsker, user

from palate.asking import Reply
from palate.errors import CallError
from palate.generate import Generator, generate_contrast


def test_chosen_from_the_strong_rejected_from_the_weak():
    def weak_says(request):
        n = int(request.messages[-1].content)
        if n == 3:
            return Reply(request, "refused", reason="no")
        return "Same\nanswer." if n == 1 else f"weak {n}"

    strong = ScriptedAsker(
        lambda r: "Same answer." if r.messages[-1].content == "1" else "strong", "http://s"
    )
    found = generate_contrast(
        [user(str(n)) for n in range(4)],
        Generator(strong, "big"),
        Generator(ScriptedAsker(weak_says), "small"),
        source="p.txt",
        lines=[3, 5, 6, 9],
    )
    assert [pair.provenance.line for pair in found.pairs] == [3, 6]
    assert sorted((row["line"], row["prompt"][0]["content"]) for row in found.set_aside) == [
        (5, "1"),
        (9, "3"),
    ]
    assert [(p.prompt[-1].content, p.chosen[0].content, p.rejected[0].content) for p in found.pairs] == [
        ("0", "strong", "weak 0"), ("2", "strong", "weak 2"),
    ]  # fmt: skip
    account = found.account
    assert account["num_prompts"] == 4 == account["num_pairs"] + 1 + 1
    assert (account["num_identical"], account["num_without_two_answers"]) == (1, 1)
    assert sorted(row["reason"] for row in found.set_aside) == ["both models said the same", "refused: no"]
    detail = found.pairs[0].provenance.detail
    assert (detail["strong"]["model"], detail["weak"]["model"]) == ("big", "small")


def test_each_prompt_has_a_line_or_none_has():
    with pytest.raises(CallError, match="each has one"):
        generate_contrast(
            [user("a")],
            Generator(ScriptedAsker(lambda r: "x"), "m"),
            Generator(ScriptedAsker(lambda r: "y", "http://other"), "n"),
            source="p",
            lines=[1, 2],
        )


def test_one_model_against_itself_is_refused():
    asker = ScriptedAsker(lambda r: "x")
    with pytest.raises(CallError, match="one model"):
        generate_contrast([user("a")], Generator(asker, "m"), Generator(asker, "m"), source="p")
