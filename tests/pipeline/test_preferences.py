"""Pairs to be measured on: what is none of them, and what a run was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from palate.errors import DataError, RecipeError
from palate.pipeline.comparing import compare_command, shortfall_of_comparison
from palate.pipeline.preferences import held_out_pairs
from palate.pipeline.stages import train_stage
from palate.recipe import CompareOptions, Recipe
from tiny_run import rows, tiny_recipe, write_base, write_rows


@pytest.fixture
def trained(tmp_path: Path, base: Path) -> Recipe:
    """Twelve prompts, three of them held out."""
    recipe = tiny_recipe(tmp_path, base, "compare=null")
    train_stage(recipe)
    return recipe


def options(path: Path, **more: int) -> CompareOptions:
    return CompareOptions.model_validate({"pairs": str(path), **more})


def test_pairs_whose_prompt_a_run_was_trained_on_are_left_out(trained: Recipe, tmp_path: Path) -> None:
    new = {"prompt": "Say nothing", "chosen": "letter", "rejected": "river stone"}
    file = write_rows(tmp_path / "all.jsonl", [*rows(), new])
    found = held_out_pairs(options(file), {"mine": trained})
    assert found is not None and len(found.pairs) == 3 + 1
    assert found.pairs[-1].prompt[0].content == "Say nothing"
    assert found.notes == ("9 of 13 pairs are left out: mine was trained on their prompts.",)
    nobody = held_out_pairs(options(file), {})
    assert nobody is not None and len(nobody.pairs) == 13 and nobody.notes == ()


def test_a_system_message_makes_no_prompt_a_new_one(trained: Recipe, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "all.jsonl", rows())
    found = held_out_pairs(options(file), {"mine": trained}, "Be brief.")
    assert found is not None and len(found.pairs) == 3
    assert found.pairs[0].prompt[0].role == "system"


def test_all_of_them_trained_on_is_an_error(trained: Recipe, tmp_path: Path) -> None:
    found = held_out_pairs(options(write_rows(tmp_path / "all.jsonl", rows())), {"mine": trained})
    assert found is not None
    seen = {one.prompt[0].content for one in found.pairs}
    known = write_rows(tmp_path / "known.jsonl", [row for row in rows() if row["prompt"] not in seen])
    with pytest.raises(DataError, match="mine was trained on the prompts of all 9 pairs"):
        held_out_pairs(options(known), {"mine": trained})


def test_pairs_held_out_by_a_file_of_their_own_are_not_trained_on(tmp_path: Path, base: Path) -> None:
    held_out = write_rows(tmp_path / "eval.jsonl", rows(3))
    train = write_rows(tmp_path / "train.jsonl", rows(12)[3:])
    source = f"data={{train: {{source: {train}}}, eval: {{source: {held_out}}}}}"
    recipe = tiny_recipe(tmp_path, base, source, "compare=null")
    train_stage(recipe)
    everything = write_rows(tmp_path / "all.jsonl", rows(12))
    found = held_out_pairs(options(everything), {"mine": recipe})
    assert found is not None and len(found.pairs) == 3


def test_data_that_is_gone_is_said_and_stops_nothing(trained: Recipe, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "all.jsonl", rows())
    Path(trained.data.train.source).unlink()
    found = held_out_pairs(options(file), {"mine": trained})
    assert found is not None and len(found.pairs) == 12
    (said,) = found.notes
    assert said.startswith("Whether mine was trained on these prompts is not known")


def test_the_first_so_many_are_read_and_what_is_no_pair_is_counted(tmp_path: Path) -> None:
    same = {"prompt": "p", "chosen": "x", "rejected": "x"}
    file = write_rows(tmp_path / "all.jsonl", [*rows(5), same, {"prompt": "p", "chosen": "x"}])
    found = held_out_pairs(options(file, num_pairs=2), {})
    assert found is not None and len(found.pairs) == 2
    aside, first = found.notes
    assert aside.startswith("2 rows are not read, the first at ")
    assert first == "Read are the first 2 of 5 pairs."


def test_a_file_of_another_kind_names_the_way_out(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "odd.jsonl", [{"question_of": "a", "good": "b", "bad": "c"}])
    with pytest.raises(DataError, match="palate data convert"):
        held_out_pairs(options(file), {})
    with pytest.raises(DataError, match="there are no pairs"):
        same = {"prompt": "p", "chosen": "x", "rejected": "x"}
        held_out_pairs(options(write_rows(tmp_path / "same.jsonl", [same])), {})


def test_models_are_compared_on_pairs_alone(tmp_path: Path, base: Path) -> None:
    """Their prompts are asked, nobody judges, and the verdict is that of the pairs."""
    other = write_base(tmp_path / "other", seed=5)
    file = write_rows(tmp_path / "pairs.jsonl", rows(6, completions_per_prompt=3))
    changes = {"pairs": str(file), "max_new_tokens": 4, "num_prompts": 4, "drift": False}
    found = compare_command([str(base), str(other)], changes, tmp_path)
    accuracy = found["pair_accuracy"]
    assert (accuracy["num_pairs"], accuracy["num_prompts"]) == (18, 6)
    assert set(accuracy["models"]) == set(found["models"])
    assert set(accuracy["against_base"]) == set(found["models"][1:])
    assert found["verdict"].startswith(accuracy["sentence"])
    assert found["num_prompts"] == 4 and found["win_rates"] == []
    assert shortfall_of_comparison(found) is None


def test_a_run_is_measured_on_pairs_it_never_saw(trained: Recipe, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "all.jsonl", rows())
    changes = {"pairs": str(file), "max_new_tokens": 4, "num_prompts": 2, "judge": "longer", "drift": False}
    found = compare_command([trained.output], changes)
    assert found["pair_accuracy"]["num_pairs"] == 3
    held_out = found["held_out"]["reward_accuracy"]
    assert found["pair_accuracy"]["against_base"]["tuned"]["reward_accuracy"]["value"] == held_out
    assert "reads pairs" not in found["verdict"] and found["win_rates"]


def test_where_nothing_is_measured_the_command_falls_short(tmp_path: Path, base: Path) -> None:
    file = write_rows(tmp_path / "pairs.jsonl", [dict(row, chosen="river " * 600) for row in rows(4)])
    changes = {"pairs": str(file), "max_new_tokens": 4, "drift": False}
    found = compare_command([str(base), str(base)], changes, tmp_path)
    error = shortfall_of_comparison(found)
    assert error is not None and "not measured" in error.what


def test_without_prompts_or_pairs_there_is_nothing_to_ask(tmp_path: Path, base: Path) -> None:
    with pytest.raises(RecipeError, match="--pairs FILE"):
        compare_command([str(base), str(base)], {}, tmp_path)
