"""Votes of files into a store and out of it again, and the public votes that Palate was made for."""

from __future__ import annotations

import csv
import json
from itertools import combinations, permutations
from pathlib import Path

import pytest

from palate.annotate.ballots import Ballots
from palate.annotate.events import Event
from palate.annotate.store import VoteStore
from palate.annotate.store_errors import StoreRefused
from palate.data import read_records
from palate.data.votes import read_votes
from palate.errors import CallError, DataError
from palate.pipeline.votes import export_votes, import_vote_file, read_standing
from palate.recipe import SourceOptions

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "youtube_titles"


def real(name: str) -> str:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{name} is not at hand: it is looked for in ../shared/data")
    return str(path)


@pytest.fixture
def table(tmp_path) -> str:
    path = tmp_path / "anna.csv"
    rows = [
        ("moss", "On moss", "Moss!", 1),
        ("rain", "On rain", "Rain!", 0),
        ("snow", "On snow", "Snow!", "tie"),
    ]
    rows.append(("hail", "On hail", "Hail!", "?"))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["idea", "title_a", "title_b", "title_b_preferred"])
        writer.writerows(rows)
    return str(path)


@pytest.fixture
def store(tmp_path) -> str:
    return str(tmp_path / "votes.sqlite3")


def test_in_and_out(table, store, tmp_path) -> None:
    done = import_vote_file(table, store).as_data()
    counted = {"num_rows": 4, "num_kept": 3, "num_set_aside": 1, "num_added": 3, "num_known": 0}
    assert {name: done[name] for name in counted} == counted
    assert import_vote_file(table, store).votes.num_added == 0
    out = tmp_path / "pairs.jsonl"
    made = export_votes(store, out, votes=tmp_path / "votes.jsonl")
    assert (made.num_items, made.num_pairs, dict(made.set_aside)) == (3, 2, {"tie": 1})
    assert made.num_items == made.num_pairs + sum(made.set_aside.values())
    assert made.set_aside_file == tmp_path / "pairs.set_aside.jsonl"
    assert len(made.set_aside_file.read_text().splitlines()) == 1
    pairs = read_records(SourceOptions(source=str(out))).records
    assert [(pair.chosen[0].content, pair.rejected[0].content) for pair in pairs] == [
        ("Moss!", "On moss"), ("On rain", "Rain!")
    ]  # fmt: skip
    assert pairs[0].provenance.detail["votes"]["annotators"] == ["anna"]
    assert pairs[0].provenance.detail["origin"][0] == {"source": table, "line": 2}


def test_what_was_exported_makes_the_same_store(table, store, tmp_path) -> None:
    import_vote_file(table, store)
    with VoteStore(store) as opened:
        item = opened.items()[2]
        opened.append(Event("k1", "ben", "vote", item.id, choice="b", left="a", seconds=2.0, note="shorter"))
        changed = opened.append(Event("k2", "ben", "vote", item.id, choice="a"))
        opened.append(Event("k3", "ben", "undo", item.id, undoes=changed.key))
        opened.append(Event("k4", "chair", "adjudicate", item.id, choice="b"))
    export_votes(store, votes=tmp_path / "votes.jsonl")
    assert all(vote.detail["key"] != "k2" for vote in read_votes(str(tmp_path / "votes.jsonl")).votes)
    other = str(tmp_path / "other.sqlite3")
    import_vote_file(str(tmp_path / "votes.jsonl"), other)
    first, second = (read_standing(name).as_data() for name in (store, other))
    assert (first.pop("store"), second.pop("store")) == (store, other)
    for found in (first, second):
        for person in found["annotators"]:
            person.pop("num_imported")
    assert first == second
    pairs = [export_votes(name, tmp_path / f"{n}.jsonl").num_pairs for n, name in enumerate((store, other))]
    assert pairs == [3, 3]
    # Back into the store it came from: everything is there.
    back = import_vote_file(str(tmp_path / "votes.jsonl"), store)
    assert (back.votes.num_added, back.votes.num_known) == (0, 5)


def test_files_that_are_there_stay_unless_one_says_otherwise(table, store, tmp_path) -> None:
    import_vote_file(table, store)
    out, votes = tmp_path / "pairs.jsonl", tmp_path / "votes.jsonl"
    votes.write_text("mine")
    with pytest.raises(DataError, match="there already"):
        export_votes(store, out, votes=votes)
    assert not out.exists()
    export_votes(store, out, votes=votes, overwrite=True)
    other = str(tmp_path / "store.jsonl")
    import_vote_file(table, other)
    with pytest.raises(DataError, match="store itself"):
        export_votes(other, votes=Path(other), overwrite=True)


def test_an_export_without_pairs_leaves_no_older_file(store, tmp_path) -> None:
    out = tmp_path / "pairs.jsonl"
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps({"prompt": "p", "x_a": "1", "x_b": "2", "x_b_preferred": "tie"}) + "\n")
    import_vote_file(str(path), store)
    out.write_text("an older export")
    made = export_votes(store, out, overwrite=True)
    assert (made.num_pairs, made.pairs_file, out.exists()) == (0, None, False)


def test_calls_that_make_no_sense(store, tmp_path) -> None:
    out = tmp_path / "pairs.jsonl"
    for problem, call in [
        ("nothing is asked for", {}),
        ("no effect", {"votes": out, "min_agreement": 0.5}),
        ("no share of votes", {"out": out, "min_agreement": 0}),
        ("cannot be one file", {"out": out, "votes": out}),
        ("no format", {"votes": tmp_path / "votes.csv"}),
        ("no format", {"out": tmp_path / "pairs.csv"}),
    ]:
        with pytest.raises(CallError, match=problem):
            export_votes(store, **call)
    for call in (lambda: export_votes(store, out), lambda: read_standing(store)):
        with pytest.raises(StoreRefused):
            call()
    assert not Path(store).exists()


def test_the_title_preferences_are_votes(store) -> None:
    """114 ideas x 10 pairs of 5 titles; which triads go round is counted here once more, triple by triple."""
    path = real("preferences.csv")
    done = import_vote_file(path, store, annotator="me")
    assert (done.file.num_kept, done.votes.num_added, done.file.num_repeated) == (1140, 1140, 0)
    circles = read_standing(store).standing.circles
    better: dict[str, set[tuple[str, str]]] = {}
    with Path(path).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            sides = (row["title_b"], row["title_a"])
            won = sides if row["title_b_preferred"] == "1" else sides[::-1]
            better.setdefault(row["prompt"], set()).add(won)
    num_circular = num_triads = num_best = 0
    for won in better.values():
        titles = sorted({title for pair in won for title in pair})
        for triple in combinations(titles, 3):
            num_triads += all((x, y) in won or (y, x) in won for x, y in combinations(triple, 2))
            num_circular += any(
                (x, y) in won and (y, z) in won and (z, x) in won for x, y, z in permutations(triple)
            )
        num_best += any(all((one, other) in won for other in titles if other != one) for one in titles)
    assert (circles.num_circular, circles.num_triads, circles.num_prompts_with_best) == (
        num_circular, num_triads, num_best
    )  # fmt: skip
    assert (num_circular, num_triads, num_best) == (68, 1140, 91)


def test_the_titles_come_out_as_the_pairs_they_are(store, tmp_path) -> None:
    """What the votes say agrees with the columns `chosen` and `rejected` of the same file."""
    path = real("preferences.csv")
    import_vote_file(path, store)
    out = tmp_path / "pairs.jsonl"
    assert export_votes(store, out).num_pairs == 1140
    ours = read_records(SourceOptions(source=str(out))).records
    theirs = read_records(SourceOptions(source=path, layout="messages")).records
    assert {pair.id for pair in ours} == {pair.id for pair in theirs}


def test_34_of_50_prefer_the_tuned_title(store) -> None:
    done = import_vote_file(real("title_eval_annotated.csv"), store)
    assert not done.file.has_prompts
    (contest,) = read_standing(store).standing.contests
    assert (contest.first, contest.second) == ("base", "ft")
    assert (contest.result.num_wins, contest.result.num_losses) == (34, 16)
    low, high = contest.result.interval_95
    assert (round(low, 3), round(high, 3)) == (0.542, 0.792)  # Wilson's
    assert export_votes(store, Path(store).with_name("pairs.jsonl")).set_aside == {"no_prompt": 50}


def test_undone_imports_stay_undone(table, store) -> None:
    import_vote_file(table, store)
    with VoteStore(store) as opened:
        vote = opened.events()[0]
        opened.append(Event("u1", vote.annotator, "undo", vote.item, undoes=vote.key))
    import_vote_file(table, store)
    with VoteStore(store) as opened:
        assert len(Ballots(opened.events()).votes()) == 2
