"""The local model as one who is asked: repeatable, kept, and held to a schema where one is given."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from scripted import user

from palate.asking import Request, ResponseStore
from palate.engine import Renderer, Sampling, generate, load_trained
from palate.errors import CallError, ModelError
from palate.generate import decoding, local
from palate.generate.local import LocalModel
from palate.playground import held_out_prompts, model_folder
from palate.recipe import ModelOptions

COLOURS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z][a-z ]{3,20}[.]$"},
        "colour": {"enum": ["red", "grün", '"quoted" – blue']},
        "parts": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
    },
    "required": ["name", "colour", "parts"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def folder() -> Path:
    return model_folder()


@pytest.fixture
def store(tmp_path):
    with ResponseStore(tmp_path / "responses.sqlite3") as opened:
        yield opened


def model(store, folder, **options) -> LocalModel:
    return LocalModel("playground", store=store, folder=folder, **options)


def requests(num: int, **options) -> list[Request]:
    options = {"max_tokens": 48, **options}
    return [Request("playground", prompt, **options) for prompt in held_out_prompts(num)]


def texts(replies) -> dict[str, str]:
    return {reply.request.key("s"): reply.text for reply in replies}


def test_an_answer_does_not_depend_on_what_is_asked_beside_it(store, folder, tmp_path):
    asked = [r for n in range(2) for r in requests(3, sample=n)]
    together = texts(model(store, folder, batch_size=6).ask(asked))
    with ResponseStore(tmp_path / "other.sqlite3") as other:
        alone = texts(model(other, folder, batch_size=1).ask(reversed(asked)))
    assert together == alone
    assert len(set(together.values())) > 4  # samples differ


def test_what_it_said_it_says_again_without_loading_anything(store, folder, monkeypatch):
    first = list(model(store, folder).ask(requests(3)))
    assert [reply.is_new for reply in first] == [True] * 3
    assert {reply.status for reply in first} == {"answered"}
    assert all(reply.usage.completion_tokens > 3 and reply.usage.prompt_tokens > 3 for reply in first)

    def refuse(*_, **__):
        raise AssertionError("loaded for nothing")

    monkeypatch.setattr(local, "load_trained", refuse)
    again = model(store, folder)
    replies = list(again.ask(requests(3)))
    assert texts(replies) == texts(first) and not any(reply.is_new for reply in replies)
    assert (again.account.models["playground"].num_stored, again.account.cost) == (3, 0.0)


def test_other_weights_never_get_its_answers(store, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    same = model(store, copy)
    assert same.server == model(store, folder).server
    assert same.server.startswith("local:")
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    assert model(store, copy).server != model(store, folder).server
    other = tmp_path / "template"
    shutil.copytree(folder, other)
    config = json.loads((other / "tokenizer_config.json").read_text())
    (other / "tokenizer_config.json").write_text(json.dumps({**config, "another": 1}))
    assert model(store, other).server != model(store, folder).server


def test_greedily_it_says_what_the_engine_says(store, folder):
    policy = load_trained("playground", ModelOptions(base="playground", adapter=None), folder=folder)
    renderer = Renderer(policy.tokenizer, "tokenizer", policy.stop_ids())
    expected = [a.text for a in generate(policy, renderer, held_out_prompts(4), Sampling(48, 0.0))]
    replies = {r.request.messages: r.text for r in model(store, folder).ask(requests(4, temperature=0.0))}
    assert [replies[prompt] for prompt in held_out_prompts(4)] == expected


def test_every_answer_fits_its_schema(store, folder):
    replies = list(model(store, folder).ask(requests(4, schema=COLOURS, max_tokens=200)))
    assert [(reply.status, reply.form) for reply in replies] == [("answered", "schema")] * 4
    for reply in replies:
        assert reply.parsed["colour"] in COLOURS["properties"]["colour"]["enum"]
        assert reply.parsed["name"][-1] == "." and len(reply.parsed["parts"]) == 2
        assert json.loads(reply.text) == reply.parsed


def test_with_and_without_a_schema_in_one_batch(store, folder):
    mixed = [*requests(2, max_tokens=200), *requests(2, max_tokens=200, schema=COLOURS)]
    replies = {r.request.schema is None: r for r in model(store, folder).ask(mixed)}
    assert replies[True].parsed is None and replies[True].text[0] != "{"
    assert replies[False].parsed is not None


def test_a_schema_that_cannot_be_held_to_is_a_reply_that_says_so(store, folder):
    schema = {"type": "string", "not": {"const": "a"}}
    (reply,) = model(store, folder).ask(requests(1, schema=schema))
    assert reply.status == "failed" and "held to the schema" in reply.reason
    assert len(store) == 0


def test_the_limit_of_tokens_is_told(store, folder):
    (reply,) = model(store, folder).ask(requests(1, max_tokens=3))
    assert (reply.status, reply.usage.completion_tokens) == ("truncated", 3)


def test_a_prompt_without_room_is_a_reply_that_says_so(store, folder):
    asked = [Request("playground", user("word " * 9000)), *requests(1)]
    replies = {reply.status: reply for reply in model(store, folder).ask(asked)}
    assert "the model room for 4,096" in replies["failed"].reason
    assert "answered" in replies


def test_a_stop_string_ends_the_answer(store, folder):
    (whole,) = model(store, folder).ask(requests(1, temperature=0.0))
    word = whole.text.split()[2]
    (cut,) = model(store, folder).ask(requests(1, temperature=0.0, stop=(word,)))
    assert cut.text == whole.text[: whole.text.index(word)] and cut.finish_reason == "stop"


def test_equal_requests_are_asked_once(store, folder):
    replies = list(model(store, folder).ask(requests(1) * 3))
    assert [reply.is_new for reply in replies] == [True, False, False]
    assert len({reply.text for reply in replies}) == 1 and len(store) == 1


def test_what_makes_no_sense_is_refused(store, folder):
    with pytest.raises(CallError, match="extra has no effect"):
        list(model(store, folder).ask(requests(1, extra={"min_p": 0.1})))
    with pytest.raises(CallError, match="this is playground"):
        list(model(store, folder).ask([Request("other", user("Hi"))]))
    with pytest.raises(CallError, match="batches"):
        model(store, folder, batch_size=0)
    with pytest.raises(ModelError):
        LocalModel("./nowhere", store=store)


def test_memory_that_does_not_suffice_halves_the_batch(store, folder, monkeypatch):
    sizes = []

    def cramped(policy, renderer, rows, *rest):
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError
        return decoding.decode(policy, renderer, rows, *rest)

    monkeypatch.setattr(local, "decode", cramped)
    replies = list(model(store, folder, batch_size=5).ask(requests(5)))
    assert sizes == [5, 2, 2, 1] and len(replies) == 5


def test_adding_noise_and_taking_the_largest_is_drawing_from_the_softmax():
    """Four tokens of probability 0.5, 0.3, 0.15, 0.05; 4,000 draws have a standard error below 0.008."""
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()

    def frequencies(temperature: float, top_p: float) -> list[float]:
        row = decoding.Row((), temperature, top_p, 0)
        generator = torch.Generator().manual_seed(1)
        drawn = Counter(int(decoding._drawn(logits, row, generator).argmax()) for _ in range(4000))
        return [drawn[token] / 4000 for token in range(4)]

    assert frequencies(1.0, 1.0) == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)
    # At temperature 0.5 probabilities are squared: 0.25, 0.09, 0.0225, 0.0025 over their sum, 0.365.
    assert frequencies(0.5, 1.0) == pytest.approx([0.685, 0.247, 0.062, 0.007], abs=0.03)
    # The likeliest tokens up to 0.7 are two: 0.5 and 0.3 over 0.8.
    assert frequencies(1.0, 0.7) == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)
    assert frequencies(1.0, 0.4) == [1, 0, 0, 0]
