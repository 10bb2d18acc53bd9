"""What is put before people: comparisons as they are, pairs with their choices hidden, a run's answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from palate.annotate.settings import read_settings
from palate.annotate.store import VoteStore
from palate.errors import ArtifactError, CallError, DataError
from palate.pipeline.annotating import settle_settings
from palate.pipeline.annotation_source import read_annotation_source


def a_run(folder: Path, samples: list[dict[str, Any]], **more: Any) -> Path:
    (folder / "evaluation").mkdir(parents=True)
    content = {"base": "small", "tuned": "small, tuned", "samples": samples} | more
    (folder / "evaluation" / "comparison.json").write_text(json.dumps(content))
    return folder


def sample(prompt: str, base: list[str], tuned: list[str]) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": prompt}],
        "base": [{"text": text, "score": None, "finished": True} for text in base],
        "tuned": [{"text": text, "score": None, "finished": True} for text in tuned],
    }


def test_a_run_is_compared_and_its_models_are_known(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", [sample("One?", ["a", "b"], ["c", "b"]), sample("Two?", ["d"], [""])])
    found = read_annotation_source(str(run))
    assert [(c.completion_a[0].content, c.completion_b[0].content) for c in found.comparisons] == [
        ("a", "c"),
        ("d", ""),
    ]
    assert {c.generators for c in found.comparisons} == {("small", "small, tuned")}
    assert (found.task, found.num_identical) == ("compare", 1)
    assert found.store == str(run / "evaluation" / "votes.sqlite3")
    assert found.comparisons[1].provenance.line == 2


def test_what_a_run_says_twice_is_asked_once(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", [sample("One?", ["a", "a"], ["c", "c"]), sample("Two?", ["a"], ["c"])])
    found = read_annotation_source(str(run))
    assert (len(found.comparisons), found.num_repeated) == (2, 1)


def test_a_run_whose_models_say_the_same(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to vote on"):
        read_annotation_source(str(a_run(tmp_path / "run", [sample("One?", ["a"], ["a"])])))


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no comparison") as caught:
        read_annotation_source(str(tmp_path))
    assert "palate compare" in caught.value.next


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"samples": 3}', "[" * 100_000, '{"base": "x", "tuned": "y", "samples": [{}]}',
     '{"base": "x", "tuned": "y", "samples":'
     ' [{"prompt": [{"role": "user", "content": 1}], "base": [], "tuned": []}]}',
     '{"base": "x", "tuned": "y", "samples": [{"prompt": "p", "base": [{"text": "a"}], "tuned": []}]}',
     '{"base": "x", "tuned": "y", "samples": [{"prompt": [{"role": "user", "content": "p"}],'
     ' "base": [{"text": "a"}], "tuned": [{"text": null}]}]}'],
)  # fmt: skip
def test_a_damaged_comparison(tmp_path: Path, content: str) -> None:
    run = a_run(tmp_path / "run", [])
    (run / "evaluation" / "comparison.json").write_text(content)
    with pytest.raises(ArtifactError):
        read_annotation_source(str(run))


def test_pairs_are_shown_without_their_choices(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl.gz"
    import gzip

    rows = [{"prompt": f"P{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(40)]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    found = read_annotation_source(str(path), limit=30)
    assert len(found.comparisons) == 30
    assert found.task == "label"
    assert found.store == str(tmp_path / "pairs.votes.sqlite3")
    firsts = {c.completion_a[0].content.split()[0] for c in found.comparisons}
    assert firsts == {"good", "bad"}, "the chosen one always stands on the same side"


def test_a_data_set_of_the_hub_has_its_store_here(monkeypatch: pytest.MonkeyPatch) -> None:
    from palate.pipeline import annotation_source

    assert annotation_source._beside("org/data") == "org-data.votes.sqlite3"


def test_settings_are_kept_and_the_seed_stays_once_people_have_voted(tmp_path: Path) -> None:
    from palate.annotate.events import Event
    from palate.records import Comparison, Message, Provenance

    def said(text: str) -> tuple[Message, ...]:
        return (Message("assistant", text),)

    with VoteStore(tmp_path / "votes.sqlite3") as store:
        settle_settings(store, {"seed": 3, "overlap": "all"})
        settle_settings(store, {"question": "Which?"})
        settings = read_settings(store)
        assert (settings.seed, settings.overlap, settings.question) == (3, "all", "Which?")
        comparison = Comparison((Message("user", "?"),), said("a"), said("b"), Provenance("x"))
        store.add_items([(comparison, "label")])
        settle_settings(store, {"seed": 4})
        store.append(Event("key-0001", "Ann", "vote", comparison.id, choice="a"))
        settle_settings(store, {"seed": 4, "overlap": 2})
        with pytest.raises(CallError, match="seed 4"):
            settle_settings(store, {"seed": 5})
        assert read_settings(store).seed == 4


def test_a_new_store_draws_a_seed_that_nobody_knows(tmp_path: Path) -> None:
    """Sides are a function of seed, name and item: of a seed that is always 0 anybody could reckon them."""
    seeds = set()
    for number in range(3):
        with VoteStore(tmp_path / f"{number}.sqlite3") as store:
            seed = settle_settings(store, {}).seed
            assert settle_settings(store, {"overlap": 2}).seed == seed
            seeds.add(seed)
    assert len(seeds) == 3


def test_the_seed_stays_once_pairs_were_shown(tmp_path: Path) -> None:
    """A browser may keep votes that no server has seen: under another seed their left would be right."""
    from palate.annotate.voting import Voting

    with VoteStore(tmp_path / "votes.sqlite3") as store:
        settle_settings(store, {"seed": 3})
        assert Voting(store).identity
        settle_settings(store, {"seed": 3, "overlap": 2})
        with pytest.raises(CallError, match="seed 3"):
            settle_settings(store, {"seed": 4})
