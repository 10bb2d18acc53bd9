"""Refusals told by their wording: the usual ones, and nothing that only begins like one."""

from __future__ import annotations

import pytest

from palate.asking.refusals import MAX_REFUSAL_CHARACTERS, declining_words


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I cannot assist with that request.",
        "Sorry, I can't help with that.",
        "I am sorry, I am unable to provide that.",
        "I apologize, but I cannot fulfil this.",
        "Unfortunately, I cannot assist you here.",
        "I can't help with that.",
        "I cannot create content of this kind.",
        "As an AI language model, I cannot have opinions.",
        "I must respectfully decline.",
        "抱歉，我无法协助完成这个请求。",
        "很抱歉，我不能提供相关信息。",
        "对不起，我无法回答这个问题。",
        "作为一个人工智能，我无法提供医疗建议。",
        "我无法提供这类内容。",
    ],
)
def test_it_declines(text: str) -> None:
    assert declining_words(text)
    assert declining_words(f'  "{text}')


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I'm sorry, but I can't come to your party on Friday.",
        "Sorry to hear that! Here are three things to try.",
        "I cannot recommend this book enough.",
        "I can't help falling in love with you",
        "The assistant said: I'm sorry, but I can't help with that.",
        "I can help with that.",
        "Unfortunately, the train was late.",
        "抱歉让你久等了，这是答案。",
        "我无法忘记那个夏天。",
        "对不起，我来晚了。",
        "I'm sorry, but I can't help with that. " + "x" * MAX_REFUSAL_CHARACTERS,
    ],
)
def test_it_does_not(text: str) -> None:
    assert declining_words(text) is None
