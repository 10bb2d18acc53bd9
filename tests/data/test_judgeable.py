"""What can be judged: preference data with its choices hidden, comparisons as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palate.data import write_comparisons
from palate.data.judgeable import blind, read_judgeable
from palate.errors import DataError
from palate.records import Comparison, Message, Pair, Provenance

YOUTUBE = Path(__file__).parents[3] / "shared" / "data" / "youtube_titles" / "preferences.csv"


def said(text: str, role: str = "assistant") -> tuple[Message, ...]:
    return (Message(role, text),)  # type: ignore[arg-type]


def pair(chosen: str, rejected: str, **detail: object) -> Pair:
    return Pair(said("q", "user"), said(chosen), said(rejected), Provenance("file", 7, detail))


def test_the_side_says_nothing_of_the_choice() -> None:
    """A pair and its reverse are the same comparison, the same way round; only the vote turns."""
    (one,), (vote,) = blind([pair("x", "y")], annotator="me")
    (other,), (turned,) = blind([pair("y", "x")], annotator="me")
    assert (one.completion_a, one.completion_b) == (other.completion_a, other.completion_b)
    assert {vote.preferred, turned.preferred} == {"a", "b"}
    chosen = one.completion_a if vote.preferred == "a" else one.completion_b
    assert (chosen, vote.annotator, vote.detail) == (said("x"), "me", {"source": "file", "line": 7})


def test_about_half_of_the_chosen_stand_first() -> None:
    _, votes = blind([pair(f"good {n}", f"bad {n}") for n in range(400)], annotator="me")
    assert 150 < sum(vote.preferred == "a" for vote in votes) < 250


def test_what_is_known_of_a_side_goes_with_it() -> None:
    """No key says `chosen` any more: provenance must not tell what the sides hide."""
    detail = {"chosen_generator": "one", "rejected_generator": "two", "chosen_score": 0.5, "judge": "j"}
    (comparison,), (vote,) = blind([pair("x", "y", **detail)], annotator="me")
    chosen, rejected = ("a", "b") if vote.preferred == "a" else ("b", "a")
    assert comparison.provenance.detail == {
        "judge": "j", chosen: {"model": "one", "score": 0.5}, rejected: {"model": "two"},
    }  # fmt: skip


def test_strong_and_weak_are_the_generators() -> None:
    made = pair("x", "y", strong={"model": "big", "sample": 0}, weak={"model": "small"})
    (comparison,), (vote,) = blind([made], annotator="me")
    by_side = dict(zip("ab", comparison.generators, strict=True))
    assert by_side == {vote.preferred: "big", "b" if vote.preferred == "a" else "a": "small"}


def test_preference_rows_become_comparisons_and_votes(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "chosen": "x", "rejected": "y"},
        {"prompt": "p", "chosen": "y", "rejected": "x"},
        {"prompt": "p", "chosen": "z", "rejected": "z"},
    ]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_judgeable(str(tmp_path / "d.jsonl"))
    assert (len(found.comparisons), found.num_repeated, len(found.votes)) == (1, 1, 2)
    assert [row.line for row in found.set_aside] == [3]
    assert found.layout != "comparisons"


def test_a_ranking_is_its_pairs(tmp_path: Path) -> None:
    row = {"prompt": "p", "completions": ["best", "middle", "worst"], "ranks": [1, 2, 3]}
    (tmp_path / "d.jsonl").write_text(json.dumps(row) + "\n")
    assert len(read_judgeable(str(tmp_path / "d.jsonl")).comparisons) == 3


def test_comparisons_are_taken_as_they_are(tmp_path: Path) -> None:
    comparison = Comparison(
        said("q", "user"), said("x"), said("y"), Provenance("s", 1, {"a": {"model": "m"}})
    )
    turned = Comparison(said("q", "user"), said("y"), said("x"), Provenance("s", 2))
    write_comparisons([comparison, turned], tmp_path / "c.jsonl")
    found = read_judgeable(str(tmp_path / "c.jsonl"))
    assert (found.comparisons, found.votes, found.num_repeated) == ((comparison,), (), 1)


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_comparisons_may_be_plain_text(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"c.{ending}"
    if ending == "csv":
        path.write_text("prompt,completion_a,completion_b\nWhy?,Because.,No idea.\n")
    else:
        path.write_text('{"prompt": "Why?", "completion_a": "Because.", "completion_b": "No idea."}\n')
    found = read_judgeable(str(path))
    assert found.set_aside == ()
    (one,) = found.comparisons
    assert (one.prompt, one.completion_a) == ((Message("user", "Why?"),), (Message("assistant", "Because."),))


def test_columns_may_name_the_generators(tmp_path: Path) -> None:
    row = {"prompt": said_rows("q", "user"), "completion_a": said_rows("x"), "completion_b": said_rows("y"),
           "generator_a": "one", "generator_b": "two"}  # fmt: skip
    (tmp_path / "c.jsonl").write_text(json.dumps(row) + "\n")
    assert read_judgeable(str(tmp_path / "c.jsonl")).comparisons[0].generators == ("one", "two")


def said_rows(text: str, role: str = "assistant") -> list[dict[str, str]]:
    return [message.as_dict() for message in said(text, role)]


def test_labels_compare_nothing(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"prompt": "p", "completion": "x", "label": true}\n')
    with pytest.raises(DataError, match="labels"):
        read_judgeable(str(tmp_path / "d.jsonl"))


def test_nothing_to_compare_is_said_with_the_first_reason(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"prompt": "p", "chosen": "x", "rejected": "x"}\n')
    with pytest.raises(DataError) as raised:
        read_judgeable(str(tmp_path / "d.jsonl"))
    assert "identical" in raised.value.why


@pytest.mark.skipif(not YOUTUBE.exists(), reason="../shared/data is not here")
def test_the_titles_are_1140_comparisons_with_a_vote_each() -> None:
    found = read_judgeable(str(YOUTUBE))
    assert (len(found.comparisons), len(found.votes), found.num_repeated) == (1140, 1140, 0)
