"""palate compare with every kind of judge: scripted answers, scripted judges, and real votes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from judging_scene import answer
from judging_server import judging_server

from palate.annotate.events import Event
from palate.annotate.store import VoteStore
from palate.data import read_verdicts
from palate.data.votes import write_votes
from palate.errors import ArtifactError, CallError, DataError, RecipeError
from palate.evaluate import compare
from palate.evaluate.contestants import Answered, Contestant
from palate.generate import local
from palate.pipeline.annotation_source import read_annotation_source
from palate.pipeline.comparing import compare_command, shortfall_of_comparison
from palate.pipeline.comparison_options import compare_options
from palate.records import Answer, Messages, Vote
from running_server import RunningServer
from tiny_run import write_base, write_rows

NUM = 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with judging_server(tmp_path_factory.mktemp("server") / "log.jsonl") as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty prompts, and models whose answers are worth 3 and 6, but on every fifth prompt 8 and 2."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "prompts.jsonl", [{"prompt": f"Tell me about lantern-{n}."} for n in range(NUM)])

    def scripted(
        contestants: Sequence[Contestant], prompts: Sequence[Messages], *_: Any, **__: Any
    ) -> Answered:
        def said(place: int, number: int) -> str:
            worth = (8, 2, 5)[number] if place % 5 == 0 else (3, 6, 4)[number]
            return answer(f"lantern-{place}", worth, (place + 2 * number) % 4)

        return Answered(
            tuple(prompts),
            {
                one.name: tuple(
                    (Answer(prompt, said(place, number), one.name),) for place, prompt in enumerate(prompts)
                )
                for number, one in enumerate(contestants)
            },
        )

    monkeypatch.setattr(compare, "ask_contestants", scripted)
    return tmp_path


def compared(base: Path, *more: str, **options: Any) -> dict[str, Any]:
    models = [str(base), "other", *more]
    return compare_command(models, {"prompts": "prompts.jsonl", "num_prompts": NUM, **options}, Path("out"))


def of_server(server: RunningServer, judge: str = "honest") -> dict[str, str]:
    return {"judge_model": judge, "judge_base_url": server.base_url}


def test_a_language_model_judges_and_has_a_card(here: Path, base: Path, server: RunningServer) -> None:
    found = compared(base, **of_server(server))
    assert (found["judge"], found["judge_kind"]) == ("honest", "llm")
    (row,) = found["win_rates"]
    assert (row["num_wins"], row["num_losses"], row["win_rate"]) == (32, 8, 0.8)
    assert found["verdict"] == row["sentence"] and row["sentence"].startswith("other is preferred to")
    assert found["judge_card"] == json.loads(Path("out/evaluation/judge_card.json").read_text())
    assert len(read_verdicts("out/evaluation/verdicts.jsonl")[0]) == NUM
    assert json.loads(Path("out/evaluation/comparison.json").read_text()) == json.loads(json.dumps(found))
    assert shortfall_of_comparison(found) is None
    before = len(server.arrivals())
    assert compared(base, **of_server(server))["win_rates"] == found["win_rates"]
    assert len(server.arrivals()) == before, "judged again, nothing is asked again"


def test_a_judge_that_fails_a_canary_is_not_counted(here: Path, base: Path, server: RunningServer) -> None:
    found = compared(base, **of_server(server, "always-first"))
    assert (found["win_rates"], found["win_rate"]) == ([], None)
    assert "withheld" in found["verdict"]
    error = shortfall_of_comparison(found)
    assert error is not None and "--force" in str(error)
    assert found["fears"] and found["samples"], "what needs no judge is there"
    forced = compared(base, **of_server(server, "always-first"), force=True)
    assert forced["win_rates"][0]["num_ties"] == NUM, "the orders disagree each time"
    assert forced["judge_card"]["forced"] and shortfall_of_comparison(forced) is None


def test_a_jury_from_a_file(here: Path, base: Path, server: RunningServer) -> None:
    judges = [
        f'- {{model: {name}, base_url: "{server.base_url}"}}' for name in ("honest", "honest-2", "longer")
    ]
    Path("judges.yaml").write_text("judges:\n" + "".join(f"  {line}\n" for line in judges))
    found = compared(base, judges="judges.yaml", force=True)
    assert found["judge_kind"] == "jury" and len(found["judge_card"]["judges"]) == 3
    assert found["win_rates"][0]["win_rate"] == 0.8


def test_three_models(here: Path, base: Path, server: RunningServer) -> None:
    found = compared(base, "third", **of_server(server))
    assert found["models"] == [str(base), "other", "third"]
    pairs = [(row["of"], row["against"]) for row in found["win_rates"]]
    assert pairs == [("other", str(base)), ("third", str(base)), ("third", "other")]
    assert found["ranking"][0]["model"] == "other"
    sample = found["samples"][1]
    assert list(sample["answers"]) == found["models"] and sample["answers"]["other"] == sample["tuned"]
    assert sample["verdicts_of"] == {"other": ["win"], "third": ["win"]}
    to_vote_on = read_annotation_source("out").comparisons
    assert len(to_vote_on) == 3 * NUM and to_vote_on[1].generators == (str(base), "third")


def votes_on(found: dict[str, Any], right: int) -> list[Vote]:
    """Of all prompts: people prefer what is worth more, but on the first ones that are left."""
    source = read_annotation_source("out")
    assert len(source.comparisons) == len(found["samples"])
    chosen = []
    for place, comparison in enumerate(source.comparisons):
        better = "a" if place % 5 == 0 else "b"
        is_right = place < right
        preferred: Any = better if is_right else ("b" if better == "a" else "a")
        detail = {"task": "compare", "kind": "vote", "repeat": 0, "key": f"k{place}", "left": "a"}
        chosen.append(Vote(comparison, "me", preferred, detail=detail))
    return chosen


def test_votes_of_a_file_judge_alone_or_measure_a_judge(
    here: Path, base: Path, server: RunningServer
) -> None:
    """People agree with the honest judge on 36 of 40: (0.8 + 0.9 - 1) / 0.8 = 0.875."""
    found = compared(base)
    assert found["judge"] is None and found["win_rates"] == []
    write_votes(votes_on(found, 36), "votes.jsonl")
    alone = compared(base, votes="votes.jsonl")
    assert (alone["judge"], alone["judge_kind"]) == ("votes of 1 person", "votes")
    assert alone["win_rates"][0]["num_wins"] == 28, "of the last four, all won by the other, none is left"
    both = compared(base, votes="votes.jsonl", **of_server(server))
    (row,) = both["win_rates"]
    assert row["judge_accuracy"]["value"] == 0.9
    assert row["agreement_corrected_win_rate"] == pytest.approx(0.875)
    low, high = row["agreement_corrected_interval_95"]
    assert low < 0.8 and high > 0.9
    assert both["judge_card"]["num_common"] == NUM


def test_votes_of_a_store_count_once_and_the_last_word_stands(here: Path, base: Path) -> None:
    compared(base)
    items = [(comparison, "compare") for comparison in read_annotation_source("out").comparisons[:3]]
    with VoteStore("votes.sqlite3") as store:
        store.add_items(items)  # type: ignore[arg-type]
        first, second, third = (item.id for item in store.items())
        for number, (item, annotator, kind, choice) in enumerate(
            [
                (first, "me", "vote", "a"), (first, "you", "vote", "a"), (first, "boss", "adjudicate", "b"),
                (second, "me", "vote", "b"), (third, "me", "vote", "both_bad"),
            ]
        ):  # fmt: skip
            store.append(event_of(number, item, annotator, kind, choice))
    found = compared(base, votes="votes.sqlite3")
    (row,) = found["win_rates"]
    assert (row["num_wins"], row["num_losses"], row["num_ties"], row["num_missing"]) == (2, 0, 1, NUM - 3)


def event_of(number: int, item: str, annotator: str, kind: Any, choice: Any) -> Event:
    return Event(f"k{number}", annotator, kind, item, choice=choice, left="a")


def test_votes_that_are_not_counted_are_said_to_be(here: Path, base: Path) -> None:
    """Of 40 votes 39 are on these answers, the 40th is another person's on others; and a row holds none."""
    found = compared(base)
    own = votes_on(found, 36)[:39]
    rows = ["prompt,title_a,title_b,title_b_preferred,annotator", "q,x,y,1,zoe", "q,x,y,perhaps,zoe"]
    for vote in own:
        sides = [m[0].content for m in (vote.comparison.completion_a, vote.comparison.completion_b)]
        rows.append(f'"{vote.comparison.prompt[-1].content}","{sides[0]}","{sides[1]}",{vote.preferred},ann')
    Path("votes.csv").write_text("\n".join(rows) + "\n")
    judged = compared(base, votes="votes.csv")
    assert judged["judge"] == "votes of 1 person"
    (other,) = (said for said in judged["warnings"] if "on other answers" in said)
    assert other == f"1 of {len(own) + 1} votes are on other answers, and not counted."
    assert any(
        said.startswith("1 row holds no vote, the first at votes.csv:3:") for said in judged["warnings"]
    )


def test_votes_on_something_else_are_refused(here: Path, base: Path) -> None:
    Path("votes.csv").write_text("prompt,title_a,title_b,title_b_preferred\nq,x,y,1\n")
    with pytest.raises(CallError, match="none of 1 votes is on the answers"):
        compared(base, votes="votes.csv")


def test_style_is_measured_against_documents(here: Path, base: Path) -> None:
    rows = [
        {"text": f"About lantern-{n}: a plain fact (worth 3). Rain falls on slate roofs."} for n in range(40)
    ]
    write_rows(here / "target.jsonl", rows)
    style = compared(base, style="target.jsonl")["style"]
    assert style["target"] == "target.jsonl" and set(style["models"]) == {str(base), "other"}
    distance = style["models"]["other"]["distances"]["words"]
    assert set(distance) == {"value", "noise_floor", "noise_floor_95", "permutation_p", "num_units"}
    assert set(style["models"]["other"]["telling_words"][0]) == {
        "feature", "log_odds", "z", "count_first", "count_second",
    }  # fmt: skip
    assert set(style["closer_p"]) == set(style["models"]["other"]["distances"])
    with pytest.raises(DataError, match="say nothing of a style"):
        compared(base, style="target.jsonl", num_prompts=3)
    with pytest.raises(DataError):
        compared(base, style="nowhere")


def test_a_scorer_needs_no_card_and_shows_its_numbers(here: Path, base: Path) -> None:
    found = compared(base, judge="longer")
    assert found["judge_card"] is None and not Path("out/evaluation/verdicts.jsonl").exists()
    sample = found["samples"][0]
    assert sample["base"][0]["score"] == len(sample["base"][0]["text"])
    assert found["worse_prompts"] and "the judge prefers" in found["worse_prompts"][0]["why"]


def test_of_several_models_the_worst_prompts_come_in_turn(
    here: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worst(prompts: Any, own: Any, tuned: Any, *_: Any) -> list[dict[str, Any]]:
        name = tuned[0][0].model
        return [{"model": name, "why": f"{name} {rank}"} for rank in range(3 if name == "other" else 1)]

    monkeypatch.setattr(compare, "worse_prompts", worst)
    found = compared(base, "third")["worse_prompts"]
    assert [row["why"] for row in found] == ["other 0", "third 0", "other 1", "other 2"]


def test_a_named_judge_takes_the_place_of_the_runs_own(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from palate.train import RunFolder
    from tiny_run import tiny_recipe

    recipe = tiny_recipe(
        tmp_path, base, "compare={judge_model: m, judge_base_url: 'http://x/v1', force: true}"
    )
    RunFolder(recipe.output).begin(recipe)
    options = compare_options([recipe.output], {"judge": "longer"})
    assert (options.judge, options.judge_model, options.judge_base_url, options.force) == (
        "longer",
        None,
        None,
        False,
    )
    assert compare_options([recipe.output], {"num_prompts": 3}).judge_model == "m"
    with pytest.raises(RecipeError, match="nothing is named"):
        compare_options([], {})
    with pytest.raises(RecipeError) as caught:
        compare_options(["a", "b"], {"samples_per_prompt": 0})
    assert caught.value.where == "--num-samples"
    with pytest.raises(RecipeError, match="--num-samples = 3 has no effect with temperature = 0"):
        compare_options(["a", "b"], {"samples_per_prompt": 3})


def test_a_folder_that_cannot_be_written_into_is_found_before_anything_is_asked(
    here: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was asked")

    monkeypatch.setattr(compare, "ask_contestants", asked)
    Path("out").write_text("a file")
    with pytest.raises(ArtifactError, match="out"):
        compared(base, judge="longer")


def test_prompts_that_are_repeated_are_counted(here: Path, base: Path) -> None:
    rows = [{"prompt": f"Tell me about lantern-{n % 5}."} for n in range(8)]
    write_rows(here / "prompts.jsonl", rows)
    found = compared(base, judge="longer")
    assert found["num_prompts"] == 5
    assert "3 rows repeat a prompt: each is asked once." in found["warnings"]


# Real models from here on: answers are kept, found again, and drawn anew only where they should be.


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("other"), seed=1)


class Counting:
    """Counts what is decoded, and may break off."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, most: int = 10**9) -> None:
        self.num, self.most, self._decode = 0, most, local.decode
        monkeypatch.setattr(local, "decode", self)

    def __call__(self, policy: Any, renderer: Any, rows: Any, *more: Any) -> Any:
        if self.num + len(rows) > self.most:
            raise KeyboardInterrupt
        self.num += len(rows)
        return self._decode(policy, renderer, rows, *more)


def real(tmp_path: Path, models: Sequence[Path], **options: Any) -> dict[str, Any]:
    write_rows(tmp_path / "few.jsonl", [{"prompt": f"Say {word}"} for word in ("river", "stone", "bread")])
    asked = {"prompts": str(tmp_path / "few.jsonl"), "max_new_tokens": 6, **options}
    return compare_command([str(model) for model in models], asked, tmp_path / "out")


def test_answers_are_asked_once(
    tmp_path: Path, base: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled = {"temperature": 1.0, "samples_per_prompt": 2}
    counting = Counting(monkeypatch)
    first = real(tmp_path, [base, other], **sampled)
    assert counting.num == 12
    again = real(tmp_path, [other, base], **sampled)
    assert counting.num == 12, "found in the store, whichever stands first"
    assert [sample["base"] for sample in first["samples"]] == [sample["tuned"] for sample in again["samples"]]
    texts = {answer["text"] for sample in first["samples"] for answer in sample["base"]}
    assert len(texts) > 3, "each sample is a draw of its own"
    real(tmp_path, [base, other], temperature=1.0, samples_per_prompt=3)
    assert counting.num == 18, "only the third samples are new"


def test_killed_on_the_way_only_the_rest_is_asked(
    tmp_path: Path, base: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        broken = Counting(patch, most=3)
        with pytest.raises(KeyboardInterrupt):
            real(tmp_path, [base, other])
        assert broken.num == 3
    counting = Counting(monkeypatch)
    found = real(tmp_path, [base, other])
    assert counting.num == 3 and found["num_prompts"] == 3


def test_a_prompt_longer_than_a_model_reads_is_set_aside(tmp_path: Path, base: Path) -> None:
    small = write_base(tmp_path / "small", max_position_embeddings=64)
    write_rows(tmp_path / "some.jsonl", [{"prompt": "Say river"}, {"prompt": "word " * 25}])
    options = {"prompts": str(tmp_path / "some.jsonl"), "max_new_tokens": 4}
    found = compare_command([str(base), str(small)], options, tmp_path / "out")
    assert found["num_prompts"] == 1
    assert [row["model"] for row in found["set_aside"]] == [str(small)]
    assert "tokens, the model room for 64" in found["warnings"][0]


def test_a_model_against_itself_has_two_names(tmp_path: Path, base: Path) -> None:
    found = real(tmp_path, [base, base], judge="longer")
    assert found["models"] == [str(base), f"{base} (2)"]
    assert found["win_rate"]["num_ties"] == 3
    assert {finding["name"] for finding in found["fear_findings"]} <= {"length_limit"}


def test_a_reward_model_judges(tmp_path: Path, base: Path, other: Path) -> None:
    """Whatever a random reward model thinks of random answers, each has a number and the judge a card."""
    judge = str(write_reward_model(base, tmp_path / "reward"))
    found = real(tmp_path, [base, other], reward_model=judge, force=True)
    assert found["judge_kind"] == "reward_model" and found["judge_card"]["num_given"] == 3
    scores = [
        answer["score"] for sample in found["samples"] for answer in (*sample["base"], *sample["tuned"])
    ]
    assert all(isinstance(score, float) for score in scores)


def test_a_local_model_judges_by_likelihood(tmp_path: Path, base: Path, other: Path) -> None:
    found = real(
        tmp_path,
        [base, other],
        logprob_model=str(write_base(tmp_path / "long", max_position_embeddings=8192)),
        force=True,
    )
    assert found["judge_kind"] == "logprob" and found["win_rates"][0]["num_missing"] == 0


def write_reward_model(base: Path, folder: Path) -> Path:
    """A classifier of one label with the tiny base's tokenizer."""
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    config = AutoConfig.from_pretrained(base, num_labels=1)
    config.pad_token_id = tokenizer.pad_token_id
    model = AutoModelForSequenceClassification.from_config(config)
    model.score.weight.data.normal_(0, 1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_how_many_more_comparisons_an_interval_takes(here: Path, base: Path) -> None:
    (row,) = compared(base, judge="longer", within=0.02)["win_rates"]
    assert row["within"]["half_width"] == 0.02 and row["within"]["num_more"] > 100
    assert compared(base, judge="longer")["win_rates"][0]["within"] is None
