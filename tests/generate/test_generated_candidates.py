"""Candidates: n from each combination, each once, and every two of them compared."""

from __future__ import annotations

from collections import Counter

import pytest
from scripted import ScriptedAsker, user

from palate.asking import Reply, Request
from palate.data.comparisons import read_comparisons, write_comparisons
from palate.errors import CallError
from palate.generate import Generator, generate_candidates


def by_sample(request: Request) -> str:
    return f"{request.messages[-1].content} {request.model} {request.temperature} {request.sample}"


def made(script=by_sample, prompts=("One?", "Two?"), models=("m",), **options):
    asker = ScriptedAsker(script)
    generators = [Generator(asker, model) for model in models]
    found = generate_candidates([user(p) for p in prompts], generators, source="p.txt", **options)
    return found, asker


def test_five_titles_make_ten_pairs():
    found, asker = made(num_samples=5)
    assert [request.sample for request in asker.asked] == [0, 1, 2, 3, 4] * 2
    assert [c.text for c in found.candidates[:2]] == ["One? m 1.0 0", "One? m 1.0 1"]
    assert Counter(c.prompt for c in found.comparisons) == {user("One?"): 10, user("Two?"): 10}
    assert len({c.id for c in found.comparisons}) == 20
    account = found.account
    assert (account["num_requests"], account["num_candidates"], account["num_comparisons"]) == (10, 10, 20)


def test_n_from_each_model_at_each_temperature():
    found, asker = made(models=("a", "b"), temperatures=(0.7, 1.0), num_samples=2, prompts=("One?",))
    combinations = [(r.model, r.temperature, r.sample) for r in asker.asked]
    assert combinations == [(m, t, s) for m in "ab" for t in (0.7, 1.0) for s in (0, 1)]
    assert len(found.comparisons) == 8 * 7 // 2


@pytest.mark.parametrize(("num", "fewest", "most"), [(3, 1, 1), (5, 2, 2), (7, 3, 3), (4, 1, 2), (6, 2, 3)])
def test_each_candidate_stands_first_as_often_as_the_others(num, fewest, most):
    for seed in range(4):
        found, _ = made(num_samples=num, seed=seed, prompts=("One?",))
        first = Counter(c.completion_a for c in found.comparisons)
        counts = [
            first[(c,)] for c in {m for x in found.comparisons for m in x.completion_a + x.completion_b}
        ]
        assert (min(counts), max(counts)) == (fewest, most)


def test_of_two_models_neither_stands_first_more_often():
    found, _ = made(models=("a", "b"), num_samples=1, prompts=[f"Q{n}?" for n in range(10)])
    assert Counter(c.provenance.detail["a"]["model"] for c in found.comparisons) == {"a": 5, "b": 5}


def test_the_seed_changes_who_stands_first_and_nothing_else():
    one, two = (made(num_samples=5, seed=seed)[0] for seed in (0, 1))
    assert [c.id for c in one.comparisons] == [c.id for c in two.comparisons]
    assert [c.completion_a for c in one.comparisons] != [c.completion_a for c in two.comparisons]
    assert one.comparisons == made(num_samples=5, seed=0)[0].comparisons


def test_repeats_and_what_is_no_answer():
    said = ["Same  text.\n", " Same text.", "Other.", "half a sen", "Sorry."]
    status = ["answered", "answered", "answered", "truncated", "refused"]

    def script(request):
        n = request.sample
        reason = "" if status[n] == "answered" else "why"
        return Reply(request, status[n], text=said[n], reason=reason, is_new=n > 0)

    found, _ = made(script, prompts=("One?",), num_samples=5)
    assert [(c.text, c.num_repeats) for c in found.candidates] == [("Same  text.", 1), ("Other.", 0)]
    assert len(found.comparisons) == 1
    account = found.account
    assert account["statuses"] == {"answered": 3, "truncated": 1, "refused": 1}
    assert account["num_requests"] == account["num_candidates"] + account["num_repeats"] + len(
        found.set_aside
    )
    assert (account["num_from_store"], account["num_prompts_without_pair"]) == (1, 0)
    assert [row["reason"] for row in found.set_aside] == ["truncated: why", "refused: why"]


def test_lineage_names_model_settings_and_request():
    found, asker = made(num_samples=2, prompts=("One?",), temperatures=(0.5,))
    detail = found.comparisons[0].provenance.detail
    keys = {request.key(asker.server) for request in asker.asked}
    assert {detail["a"]["request"], detail["b"]["request"]} == keys
    assert detail["a"]["model"] == "m" and detail["a"]["temperature"] == 0.5
    assert found.comparisons[0].provenance.source == "p.txt"


@pytest.mark.parametrize(
    "options",
    [
        {"temperatures": (0.0,)}, {"num_samples": 1}, {"num_samples": 0}, {"models": ("m", "m")},
        {"temperatures": (1.0, 1.0)}, {"temperatures": (-1.0,)}, {"prompts": ()},
    ],
)  # fmt: skip
def test_calls_that_make_no_sense(options):
    with pytest.raises(CallError):
        made(**options)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_comparisons_come_back(suffix, tmp_path):
    found, _ = made(num_samples=3)
    path = tmp_path / f"c.{suffix}"
    write_comparisons(found.comparisons, path)
    again, set_aside = read_comparisons(str(path))
    assert (again, set_aside) == (found.comparisons, ())


def test_comparisons_are_rows_that_datasets_reads(tmp_path):
    import datasets

    found, _ = made(num_samples=2)
    for suffix, kind in (("jsonl", "json"), ("parquet", "parquet")):
        write_comparisons(found.comparisons, tmp_path / f"c.{suffix}")
        rows = datasets.load_dataset(kind, data_files=str(tmp_path / f"c.{suffix}"), split="train")
        assert rows.column_names == ["id", "prompt", "completion_a", "completion_b", "provenance"]
        assert rows[0]["completion_a"][0]["content"] == found.comparisons[0].completion_a[0].content
