"""Triples: what was said to be from the extract is from it, or no pair is made."""

from __future__ import annotations

import json

import pytest
from scripted import ScriptedAsker

from palate.asking import Reply
from palate.asking.structured import parse_answer
from palate.errors import CallError
from palate.generate import Generator, TripleFilters, generate_triples
from palate.generate.triple_filters import Triple
from palate.generate.triple_prompt import spans_for, triple_schema
from palate.records import Extract, Provenance, content_id

SENTENCES = (
    "The harbour at Saltmarrow freezes for three weeks in every winter.",
    "Nobody there minds, because the ice is thick enough to hold a market.",
    "and this one begins without a capital letter",
)
EXTRACT = Extract(
    "doc-1", 2, SENTENCES, Provenance("d.jsonl", 7, {"title": "Ice", "link": "https://x.example"})
)
FILTERS = TripleFilters(min_answer=40, max_answer=140)
GOOD = {
    "instruction": "What happens to Saltmarrow's harbour in winter?",
    "generated_answer": "In winter the harbour usually turns to ice for some weeks.",
    "extracted_answer": SENTENCES[0],
}


def made(*items, extracts=(EXTRACT,), **options):
    said = json.dumps({"triples": list(items)})

    def script(request):
        read = parse_answer(said, request.schema)
        assert not read.problem, read.problem
        return Reply(request, "answered", text=said, parsed=read.value)

    asker = ScriptedAsker(script)
    options = {"filters": FILTERS, "num_triples": len(items), **options}
    return generate_triples(extracts, Generator(asker, "m"), **options), asker


def test_a_pair_prefers_the_writers_own_words_and_knows_where_they_stand():
    found, asker = made(GOOD, system="Be brief.")
    (pair,) = found.pairs
    assert [(m.role, m.content) for m in pair.prompt] == [
        ("system", "Be brief."), ("user", GOOD["instruction"]),
    ]  # fmt: skip
    assert pair.chosen[0].content == SENTENCES[0]
    assert pair.rejected[0].content == GOOD["generated_answer"]
    where = pair.provenance
    assert (where.source, where.line) == ("d.jsonl", 7)
    assert where.detail == {
        "title": "Ice",
        "link": "https://x.example",
        "document": "doc-1",
        "extract": content_id("doc-1", EXTRACT.text),
        "extract_number": 2,
        "span": [0, len(SENTENCES[0])],
        "repaired": False,
        "similarity": 100.0,
        "prompt_version": "triples-1",
        "model": "m",
        "server": "http://scripted/v1",
        "temperature": 0.7,
        "sample": 0,
        "request": asker.asked[0].key("http://scripted/v1"),
    }


def test_the_extract_goes_in_as_data():
    _, asker = made(GOOD)
    system, data = asker.asked[0].messages
    assert "exactly 1 triples" in system.content and "between 40 and 140" in system.content
    assert json.loads(data.content) == {"title": "Ice", "extract": EXTRACT.text}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"extracted_answer": "Harbours freeze, as everybody knows, when it is cold enough for it."},
            "not_verbatim",
        ),
        ({"instruction": "Why?"}, "instruction_length"),
        ({"extracted_answer": "Nobody there minds,"}, "extracted_length"),
        ({"generated_answer": "It freezes."}, "generated_length"),
        ({"instruction": "What does the extract say about the harbour?"}, "unseen_context"),
        ({"instruction": "According to the text, what freezes in Saltmarrow?"}, "unseen_context"),
        ({"extracted_answer": SENTENCES[2]}, "extracted_form"),
        (
            {"generated_answer": "in winter the harbour usually turns to ice for some weeks."},
            "generated_form",
        ),
        ({"generated_answer": "In winter the harbour usually turns to ice for some weeks"}, "generated_form"),
        ({"generated_answer": SENTENCES[0]}, "identical"),
        ({"generated_answer": SENTENCES[1]}, "generated_verbatim"),
    ],
)
def test_what_is_filtered_is_counted_and_kept_apart(changes, reason):
    found, _ = made(GOOD, {**GOOD, **changes})
    account = found.account
    assert (account["num_triples"], account["num_pairs"], len(found.set_aside)) == (2, 1, 1)
    row = found.set_aside[0]
    assert (row["stage"], row["reason"], row["number"], row["line"]) == ("triples", reason, 1, 7)
    counted = account["num_not_verbatim"] if reason == "not_verbatim" else account["filtered"][reason]
    assert counted == 1


def test_a_near_miss_is_put_right_and_flagged():
    found, _ = made({**GOOD, "extracted_answer": SENTENCES[1].replace("because", "since")})
    (pair,) = found.pairs
    assert pair.chosen[0].content == SENTENCES[1]
    assert pair.provenance.detail["repaired"] and 90 <= pair.provenance.detail["similarity"] < 100
    assert found.account["num_repaired"] == 1


def test_the_same_triple_again_is_no_second_pair():
    found, _ = made(GOOD, {**GOOD, "generated_answer": GOOD["generated_answer"] + " Really."})
    assert (found.account["num_pairs"], found.account["num_repeated"]) == (1, 1)


def test_fewer_triples_than_asked_for_were_paid_for_too():
    found, _ = made(GOOD, num_triples=5)
    assert len(found.pairs) == found.account["num_triples"] == 1
    spans = spans_for(EXTRACT, FILTERS)
    held = triple_schema(5, spans=spans, filters=FILTERS)["properties"]["triples"]
    assert (held["minItems"], held["maxItems"]) == (5, 5)


def test_a_reply_that_is_none_is_set_aside_with_its_extract():
    asker = ScriptedAsker(lambda r: Reply(r, "truncated", text='{"triples": [', reason="too long"))
    found = generate_triples([EXTRACT], Generator(asker, "m"), filters=FILTERS)
    assert found.pairs == ()
    (row,) = found.set_aside
    assert (row["stage"], row["reason"], row["extract"]) == ("asking", "truncated: too long", EXTRACT.id)
    assert found.account["statuses"] == {"truncated": 1}


def test_held_to_a_schema_the_answer_can_only_be_a_run_of_sentences():
    spans = spans_for(EXTRACT, FILTERS)
    assert spans == [SENTENCES[0], SENTENCES[1]]
    schema = triple_schema(1, spans=spans, filters=FILTERS)

    def problem(**changes):
        return parse_answer(json.dumps({"triples": [{**GOOD, **changes}]}), schema).problem

    assert not problem()
    assert problem(extracted_answer=SENTENCES[0][:-1])
    assert problem(generated_answer="too short.")
    assert problem(instruction="No question at all.")
    found, _ = made(GOOD, held_to_schema=True)
    assert found.account["num_pairs"] == 1


def test_an_extract_with_no_run_of_sentences_that_passes_is_not_asked_about():
    short = Extract("doc-2", 0, ("too short",), Provenance("d.jsonl", 8))
    found, asker = made(GOOD, extracts=(short, EXTRACT), held_to_schema=True)
    assert len(asker.asked) == 1
    assert found.account["num_extracts_without_span"] == 1
    assert found.set_aside[0]["line"] == 8


def test_calls_that_make_no_sense():
    for options in ({"num_triples": 0}, {"min_similarity": 0.0}, {"extracts": ()}):
        with pytest.raises(CallError):
            made(GOOD, **options)
    with pytest.raises(CallError):
        TripleFilters(min_answer=10, max_answer=5)


@pytest.mark.parametrize(
    ("instruction", "is_seen"),
    [
        ("Explain how context windows limit a language model.", False),
        ("How does one extract features from an image?", False),
        ("Summarise the passage on harbours.", True),
        ("What is a retrieval pipeline?", False),
        ("Who is the author of Moby Dick?", False),
        ("What does the author think of ice?", True),
        ("What are the main points of this short paragraph?", True),
        ("What does the text above claim about ice?", True),
        ("根據上文，港口何時結冰？", True),
    ],
)
def test_what_counts_as_speaking_of_the_unseen(instruction, is_seen):
    reason = FILTERS.reason(Triple(instruction, GOOD["generated_answer"], SENTENCES[0]))
    assert (reason == "unseen_context") == is_seen
