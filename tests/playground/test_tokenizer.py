from __future__ import annotations

import pytest

from palate.playground.corpus import chats

CHAT = [
    {"role": "system", "content": "You are a dry clerk."},
    {"role": "user", "content": "What does Mira Fennel sell in Ombry?"},
    {"role": "assistant", "content": "Copper lanterns."},
]


@pytest.mark.parametrize(
    "text", ["What does Mira Fennel sell?", "ünï\tcödé 漢字 🙂\n\n  x", "don't  stop", ""]
)
def test_any_text_comes_back(model, text: str) -> None:
    ids = model.tokenizer(text)["input_ids"]
    assert model.tokenizer.decode(ids) == text


def test_the_template_is_chatml(model) -> None:
    assert model.tokenizer.apply_chat_template(CHAT, tokenize=False) == (
        "<|im_start|>system\nYou are a dry clerk.<|im_end|>\n"
        "<|im_start|>user\nWhat does Mira Fennel sell in Ombry?<|im_end|>\n"
        "<|im_start|>assistant\nCopper lanterns.<|im_end|>\n"
    )


def test_the_generation_prompt_opens_the_answer(model) -> None:
    text = model.tokenizer.apply_chat_template(CHAT[1:2], tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\nWhat does Mira Fennel sell in Ombry?<|im_end|>\n<|im_start|>assistant\n"


def test_a_prompts_ids_begin_those_of_prompt_and_answer(model) -> None:
    for chat in chats(200, seed=5):
        turns = [message.as_dict() for message in chat]
        prompt = model.tokenizer.apply_chat_template(
            turns[:-1], add_generation_prompt=True, return_dict=False
        )
        whole = model.tokenizer.apply_chat_template(turns, return_dict=False)
        assert whole[: len(prompt)] == prompt


def test_special_tokens_are_single_and_distinct(model) -> None:
    tokenizer = model.tokenizer
    ids = [tokenizer(token)["input_ids"] for token in ("<|pad|>", "<|im_start|>", "<|im_end|>")]
    assert all(len(one) == 1 for one in ids)
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|pad|>", "<|im_end|>")
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert tokenizer.bos_token is None


def test_the_worlds_own_words_are_short_in_tokens(model) -> None:
    lengths = [len(model.tokenizer(chat[-1].content)["input_ids"]) for chat in chats(300, seed=5)]
    assert 15 <= sum(lengths) / len(lengths) <= 40
    assert len(model.tokenizer) <= 2048
