"""Judging from Python: what is read, what measures the judge, and what makes the work fall short."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from palate.errors import ArtifactError, CallError, DataError, WorkError
from palate.judge import JudgeSpec, Jury, ScorerJudge
from palate.pipeline import build_judge, judge_file, read_material
from palate.pipeline.judging import shortfall
from palate.records import Comparison, JudgeCall, Verdict
from palate.watcher import Watcher

YOUTUBE = Path(__file__).parents[3] / "shared" / "data" / "youtube_titles" / "preferences.csv"


def write_preferences(path: Path, num: int) -> str:
    """Each of a prompt of its own; the chosen side is the shorter one."""
    rows = [{"prompt": f"p{n}", "chosen": "short", "rejected": f"much longer than {n}"} for n in range(num)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


class Sure:
    """Says what it is told to, but ties where the sides are the same."""

    name, models = "sure", ()

    def __init__(self, preferred: str | None, flipped: bool = False) -> None:
        self.preferred, self.flipped = preferred, flipped

    def judge(self, comparisons: Sequence[Comparison], watcher: Watcher | None = None) -> list[Verdict]:
        return [Verdict(c, self.name, self.preferred, "so", self.flipped) for c in comparisons]  # type: ignore[arg-type]


@pytest.mark.parametrize("num_asked", [2, 0])
def test_a_jury_of_which_one_was_not_asked_falls_short(tmp_path: Path, num_asked: int) -> None:
    """Two of three are a quorum, so no verdict is missing; and yet not all was asked that was to be."""

    class Spent(Sure):
        name = "spent"

        def judge(self, comparisons: Sequence[Comparison], watcher: Watcher | None = None) -> list[Verdict]:
            call = JudgeCall("a", None, "not_asked")
            return [
                Verdict(c, self.name, "tie", "so")
                if number < num_asked
                else Verdict(c, self.name, None, "not_asked: the budget does not reach", calls=(call,))
                for number, c in enumerate(comparisons)
            ]

    jury = Jury([ScorerJudge("longer", name="1"), ScorerJudge("longer", name="2"), Spent(None)])
    source = write_preferences(tmp_path / "d.jsonl", 5)
    judged = judge_file(source, jury, tmp_path / "v.jsonl", force=True)
    assert judged.card.as_dict()["num_missing"] == 0
    error = shortfall(judged)
    assert isinstance(error, WorkError)
    assert f"{5 - num_asked} of 5 verdicts of a juror or more were never asked for" in str(error)
    assert "the budget does not reach" in str(error)


def test_votes_on_prompts_of_examples_measure_nothing(tmp_path: Path) -> None:
    found = read_material(write_preferences(tmp_path / "d.jsonl", 10), num_examples=4)
    shown = {vote.comparison.prompt_id for vote in found.examples}
    assert (len(shown), len(found.votes)) == (4, 6)
    assert shown.isdisjoint(vote.comparison.prompt_id for vote in found.votes)


def test_examples_are_taken_from_what_is_not_judged_where_there_is_enough(tmp_path: Path) -> None:
    found = read_material(write_preferences(tmp_path / "d.jsonl", 10), num_examples=4, limit=5)
    judged = {comparison.id for comparison in found.judgeable.comparisons}
    assert (len(found.examples), len(found.votes)) == (4, 5)
    assert judged.isdisjoint(vote.comparison.id for vote in found.examples)


def write_votes(path: Path, said: Sequence[str], **columns: str) -> str:
    """A row of plain text for each choice, on a comparison of its own."""
    sides = [
        {"prompt": f"p{n}", "completion_a": f"one {n}", "completion_b": f"two {n}"} for n in range(len(said))
    ]
    rows = [{**side, "preferred": choice, **columns} for side, choice in zip(sides, said, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("useless", ["tie", "both_bad"])
def test_examples_are_taken_from_what_is_judged_where_the_others_give_too_few(
    tmp_path: Path, useless: str
) -> None:
    """Votes on other comparisons are many, and none can be shown: under this rubric a tie neither."""
    votes = write_votes(tmp_path / "v.jsonl", ["a", "b", "a", *[useless] * 6])
    found = read_material(votes, votes=votes, num_examples=2, example_ties=False, limit=3)
    assert [vote.preferred in ("a", "b") for vote in found.examples] == [True, True]


def test_a_comparison_in_plain_text_with_a_choice_is_a_vote(tmp_path: Path) -> None:
    votes = write_votes(tmp_path / "v.jsonl", ["a", "tie", "b"])
    found = read_material(votes, votes=votes)
    assert [vote.preferred for vote in found.votes] == ["a", "tie", "b"]
    assert {vote.comparison.id for vote in found.votes} == {c.id for c in found.judgeable.comparisons}


def test_what_is_no_vote_is_refused_with_no_option_that_is_not_there(tmp_path: Path) -> None:
    """A judge's verdicts are no votes; `--columns` is an option of other commands."""
    source = write_votes(tmp_path / "v.jsonl", ["a", "b"], judge="somebody")
    with pytest.raises(DataError, match="no votes") as refused:
        read_material(source, votes=source)
    assert "--columns" not in str(refused.value)
    assert "completion_a" in refused.value.next


@pytest.mark.parametrize("name", ["output", "pairs"])
def test_a_place_that_takes_no_file_is_refused_before_anything_is_asked(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("no folder")
    places = {"output": tmp_path / "v.jsonl", "pairs": tmp_path / "p.jsonl"}
    places[name] = tmp_path / "file" / "below" / "x.jsonl"
    source = write_preferences(tmp_path / "d.jsonl", 2)
    with pytest.raises(ArtifactError, match="takes no files"):
        judge_file(source, Sure("a"), places["output"], pairs=places["pairs"])
    assert not (tmp_path / "v.jsonl").exists()


def test_pairs_of_an_earlier_run_are_spoken_of(tmp_path: Path) -> None:
    class Notes(Watcher):
        def __init__(self) -> None:
            self.said = ""

        def note(self, text: str) -> None:
            self.said += text

    source = write_preferences(tmp_path / "d.jsonl", 4)
    for judge, force, expected in ((ScorerJudge("shorter"), True, False), (Sure("a"), False, True)):
        watcher = Notes()
        judge_file(
            source, judge, tmp_path / "v.jsonl", pairs=tmp_path / "p.jsonl", force=force, watcher=watcher
        )
        assert ("nothing to do with these verdicts" in watcher.said) is expected


def test_the_same_file_as_votes_counts_every_vote(tmp_path: Path) -> None:
    path = write_preferences(tmp_path / "d.jsonl", 3)
    assert len(read_material(path, votes=path).votes) == 6


def test_a_run_is_its_two_models_answers(tmp_path: Path) -> None:
    prompt = [{"role": "user", "content": "q"}]
    sample = {"prompt": prompt, "base": [{"text": "old"}], "tuned": [{"text": "new"}]}
    (tmp_path / "evaluation").mkdir()
    content = {"base": "one", "tuned": "two", "samples": [sample]}
    (tmp_path / "evaluation" / "comparison.json").write_text(json.dumps(content))
    (comparison,) = read_material(str(tmp_path)).judgeable.comparisons
    assert comparison.generators == ("one", "two")


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        (Sure(None), "gave no verdict on any of 4 comparisons"),
        (Sure("a"), "the headline is withheld"),
        (Sure("tie"), "the headline is withheld"),
    ],
)
def test_what_falls_short_is_said_and_written_all_the_same(tmp_path: Path, judge: Sure, said: str) -> None:
    source = write_preferences(tmp_path / "d.jsonl", 4)
    judged = judge_file(source, judge, tmp_path / "v.jsonl", pairs=tmp_path / "p.jsonl")
    error = shortfall(judged)
    assert isinstance(error, WorkError)
    assert said in str(error).casefold()
    assert {path.name for path in tmp_path.iterdir()} == {"d.jsonl", "v.jsonl", "judge_card.json"}


def test_no_pair_is_less_than_was_asked_for(tmp_path: Path) -> None:
    source = write_preferences(tmp_path / "d.jsonl", 4)
    judged = judge_file(source, Sure("tie"), tmp_path / "v.jsonl", pairs=tmp_path / "p.jsonl", force=True)
    assert "no verdict makes a pair" in str(shortfall(judged))
    judged = judge_file(source, ScorerJudge("shorter"), tmp_path / "v.jsonl", force=True)
    assert (shortfall(judged), judged.card.as_dict()["kappa"]) == (None, 1.0)


def test_an_earlier_runs_rows_set_aside_do_not_stay(tmp_path: Path) -> None:
    (tmp_path / "v.set_aside.jsonl").write_text("{}\n")
    judge_file(write_preferences(tmp_path / "d.jsonl", 2), ScorerJudge("shorter"), tmp_path / "v.jsonl")
    assert not (tmp_path / "v.set_aside.jsonl").exists()


def test_a_card_of_another_judge_is_not_replaced_without_a_word(tmp_path: Path) -> None:
    class Notes(Watcher):
        said: list[str]

        def note(self, text: str) -> None:
            self.said.append(text)

    watcher = Notes()
    source = write_preferences(tmp_path / "d.jsonl", 2)
    for scorer, num_told in (("shorter", 0), ("shorter", 0), ("longer", 1)):
        watcher.said = []
        judge_file(source, ScorerJudge(scorer), tmp_path / f"{scorer}.jsonl", watcher=watcher)
        assert sum("card of shorter" in note for note in watcher.said) == num_told


def test_no_judge_and_nothing_to_ask() -> None:
    with pytest.raises(CallError, match="no judge is named"):
        build_judge([], lambda spec: pytest.fail("nobody is to be asked"))
    jury = build_judge(
        [JudgeSpec(scorer="shorter"), JudgeSpec(scorer="longer")], lambda spec: pytest.fail("nobody")
    )
    assert jury.name == "jury of shorter, longer"


@pytest.mark.skipif(not YOUTUBE.exists(), reason="../shared/data is not here")
def test_the_shorter_title_is_hardly_what_people_prefer(tmp_path: Path) -> None:
    """1,140 votes: agreement is a little above chance, and the interval leaves 0 out."""
    judged = judge_file(str(YOUTUBE), ScorerJudge("shorter"), tmp_path / "v.jsonl", force=True)
    card = judged.card.as_dict()
    low, high = card["kappa_interval_95"]
    assert card["num_common"] == 1140
    assert 0 < low < card["kappa"] < high < 0.2
