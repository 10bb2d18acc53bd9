"""Recipes from text, files and overrides: what is accepted, and what is said about what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from palate.errors import RecipeError
from palate.recipe import DPO, IPO, SFT, dump_recipe, load_recipe, parse_recipe, write_recipe

MINIMAL = "output: runs/x\n"


def error_of(text: str, *overrides: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, overrides)
    assert caught.value.exit_code == 2
    return caught.value


# --- what is accepted -----------------------------------------------------------------------------------


def test_a_run_folder_is_all_a_recipe_needs() -> None:
    recipe = parse_recipe(MINIMAL)
    assert recipe.output == "runs/x"
    assert recipe.objective == DPO()
    assert recipe.model.base == recipe.data.train.source == "playground"


@pytest.mark.parametrize("written", ["5e-6", "5.0e-6", "0.000005", "'5e-6'"])
def test_floats_as_people_write_them(written: str) -> None:
    """YAML 1.1 takes 5e-6, which has no dot, for text; a learning rate is a number all the same."""
    assert parse_recipe(f"{MINIMAL}train: {{learning_rate: {written}}}").train.learning_rate == 5e-6
    assert parse_recipe(MINIMAL, [f"train.learning_rate={written}"]).train.learning_rate == 5e-6


def test_a_byte_order_mark_is_no_part_of_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfoutput: runs/x\r\nseed: 3\r\n")
    assert load_recipe(path).seed == 3


def test_an_empty_file_and_an_override_make_a_recipe() -> None:
    assert parse_recipe("# nothing yet\n", ["output=runs/y"]).output == "runs/y"


def test_the_objective_is_dpo_unless_it_says_otherwise() -> None:
    assert parse_recipe(MINIMAL, ["objective.beta=0.3"]).objective == DPO(beta=0.3)
    assert parse_recipe(MINIMAL, ["objective.type=ipo", "objective.logps=mean"]).objective == IPO(
        logps="mean"
    )
    assert parse_recipe(MINIMAL, ["objective.type=sft"]).objective == SFT()


def test_later_overrides_win_and_reach_any_depth() -> None:
    recipe = parse_recipe(
        f"{MINIMAL}model:\n  adapter:\n    rank: 4\n    alpha: 8\n",
        ["model.adapter.rank=6", "--model.adapter.rank=7", "model.adapter.target_modules=[q_proj, v_proj]"],
    )
    assert recipe.model.adapter is not None
    assert (recipe.model.adapter.rank, recipe.model.adapter.alpha) == (7, 8)
    assert recipe.model.adapter.target_modules == ["q_proj", "v_proj"]


def test_an_override_can_take_something_away_and_build_on_nothing() -> None:
    assert parse_recipe(MINIMAL, ["model.adapter=null"]).model.adapter is None
    rebuilt = parse_recipe(f"{MINIMAL}model: {{adapter: null}}", ["model.adapter.rank=3"])
    assert rebuilt.model.adapter is not None
    assert rebuilt.model.adapter.rank == 3


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("data.system=Answer: briefly", "Answer: briefly"),
        ("data.system=[sic", "[sic"),
        ("data.system=12", "12"),
        ("data.system=no", "no"),
        ("data.system=2024-01-01", "2024-01-01"),
        ("data.system='null'", "null"),
        ("data.system=a=b", "a=b"),
        ("data.system=" + "[" * 3000, "[" * 3000),
        ("data.system=null", None),
        ("data.system=", None),
    ],
)
def test_where_text_is_wanted_text_is_taken(override: str, text: str | None) -> None:
    assert parse_recipe(MINIMAL, [override]).data.system == text


def test_numbers_that_name_things_are_text_on_the_command_line() -> None:
    recipe = parse_recipe(MINIMAL, ["model.base=org/model", "model.revision=1234567", "output=2026"])
    assert (recipe.model.revision, recipe.output) == ("1234567", "2026")


def test_yaml_merge_keys_work() -> None:
    recipe = parse_recipe("output: r\ntrain: &t {epochs: 2, batch_size: 3}\n<<: {seed: 4}\n")
    assert (recipe.seed, recipe.train.epochs) == (4, 2)


# --- the resolved recipe ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["objective.type=ipo", "train.learning_rate=5e-6", "data.system=Frag: „was“?"],
        ["objective.type=sft", "model.adapter=null", "compare=null"],
        ["data.eval.source=held_out.csv", "train.evaluate_every=5"],
        ["compare.temperature=0.7", "compare.samples_per_prompt=4", "compare.top_p=0.9"],
        ["model.adapter.rank_pattern={q_proj: 4}", "data.system=12", "output=null-island"],
    ],
)
def test_what_is_written_out_reads_back_the_same(tmp_path: Path, overrides: list[str]) -> None:
    recipe = parse_recipe(MINIMAL, overrides)
    write_recipe(recipe, tmp_path / "recipe.yaml")
    again = load_recipe(tmp_path / "recipe.yaml")
    assert again == recipe
    assert dump_recipe(again) == dump_recipe(recipe)


def test_every_default_is_written_out() -> None:
    def paths(tree: dict[str, Any], before: str = "") -> set[str]:
        return {
            found
            for key, value in tree.items()
            for found in (
                paths(value, f"{before}{key}.") if isinstance(value, dict) and value else {before + key}
            )
        }

    recipe = parse_recipe(MINIMAL)
    assert paths(yaml.safe_load(dump_recipe(recipe))) == paths(recipe.model_dump())


@example(1.0, 0, "a\x85b\u2028c\u2029")
@given(
    st.floats(1e-9, 1, exclude_min=True),
    st.integers(0, 2**32 - 1),
    st.none() | st.text(st.characters(exclude_categories=["Cs"])),
)
def test_any_number_and_any_text_survive_the_round_trip(rate: float, seed: int, system: str | None) -> None:
    recipe = parse_recipe(MINIMAL)
    changed = recipe.model_copy(
        update={
            "seed": seed,
            "data": recipe.data.model_copy(update={"system": system}),
            "train": recipe.train.model_copy(update={"learning_rate": rate}),
        }
    )
    again = parse_recipe(dump_recipe(changed))
    assert (again.seed, again.data.system, again.train.learning_rate) == (seed, system, rate)


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse_recipe(MINIMAL).seed = 3  # type: ignore[misc]


# --- what is wrong, and where -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (
            "train.epoch=1",
            '"train.epoch": unknown option. Did you mean "epochs"? Known here: epochs, max_steps',
        ),
        ("trian.epochs=1", '"trian": unknown option. Did you mean "train"? Known here: output, seed, model'),
        (
            "learning_rate=1e-4",
            '"learning_rate": unknown option. There is "train.learning_rate". Known here:',
        ),
        ("model.adapter.rnk=4", '"model.adapter.rnk": unknown option. Did you mean "rank"?'),
        (
            "objective.type=dpoo",
            'objective.type = "dpoo": unknown objective. Did you mean "dpo"? All of them: palate objectives',
        ),
        ("objective.bta=1", '"objective.bta": not an option of dpo. Did you mean "beta"?'),
        (
            "objective.penalty=3",
            '"objective.penalty": not an option of dpo. It belongs to dpop. Known here: type, beta',
        ),
        ("objective.rank=3", '"objective.rank": not an option of dpo. There is "model.adapter.rank".'),
        (
            "train.schedule=cosin",
            "train.schedule = 'cosin': should be 'linear', 'cosine' or 'constant'. Did you mean \"cosine\"?",
        ),
        ("train.evaluate_every=0", "train.evaluate_every = 0: should be greater than 0, or be 'epoch'."),
        ("train.evaluate_every=epok", 'Did you mean "epoch"?'),
        ("train.learning_rate=.inf", "train.learning_rate = inf: should be a finite number."),
        ("train.learning_rate=.nan", "train.learning_rate = nan: should be"),
        ("train.learning_rate=0", "train.learning_rate = 0: should be greater than 0."),
        ("objective.label_smoothing=0.5", "objective.label_smoothing = 0.5: should be less than 0.5."),
        ("train=3", "train has options of its own, this is 3. Known here: epochs"),
        ("train=null", "train has options of its own, it is empty. Known here: epochs"),
        ("objective=dpo", "objective has options of its own, this is 'dpo'. Known here: type, beta"),
        ("data.train=rows.csv", "data.train has options of its own, this is 'rows.csv'. Known here: source"),
        ("seed=-1", "seed = -1: should be greater than or equal to 0."),
        ("output=''", "output = '': should have at least 1 character."),
        ("model.adapter.rank_pattern={q: 0}", "model.adapter.rank_pattern.q = 0: should be greater than 0."),
        (
            "model.adapter.target_modules=[1]",
            "model.adapter.target_modules.0 = 1: should be a valid string. Write it in quotes.",
        ),
    ],
)
def test_slips_are_named_and_helped(override: str, says: str) -> None:
    error = error_of(MINIMAL, override)
    assert error.what.startswith(says) or error.what.endswith(says)
    assert error.where == f"override {override}"


def test_the_same_slip_in_a_file_is_placed_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"{MINIMAL}train: {{epoch: 1}}")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, ["train.batch_size=4"])
    assert caught.value.where == str(path)


def test_text_that_yaml_took_for_something_else_is_asked_for_in_quotes() -> None:
    error = error_of(f"{MINIMAL}model: {{base: org/model, revision: 1234567}}")
    assert error.what == "model.revision = 1234567: should be a valid string. Write it in quotes."


def test_all_slips_are_named_at_once() -> None:
    error = error_of(f"{MINIMAL}train: {{epochs: 0, batch_size: -1}}", "train.nope=1")
    first, *rest = error.what.splitlines()
    assert first == "3 things are wrong:"
    assert [line.split(":")[0] for line in rest] == [
        "  - train.epochs = 0",
        "  - train.batch_size = -1",
        '  - "train.nope"',
    ]
    assert rest[2].endswith("(override train.nope=1)")


def test_where_the_run_goes_must_be_said() -> None:
    error = error_of("seed: 3")
    assert error.what == '"output" is missing'
    assert "output=runs/my-run" in error.next


@pytest.mark.parametrize("override", ["train", "=3", "a..b=3", ".=1", "train.=1"])
def test_what_is_no_override_is_told_what_one_is(override: str) -> None:
    assert error_of(MINIMAL, override).next == "write key.path=value, such as train.epochs=1"


def test_an_override_below_a_plain_value() -> None:
    assert error_of(MINIMAL, "seed=3", "seed.x=1").what == '"seed" is 3, it has no keys below it'


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("output: r\nseed: 1\noutput: s", 3, 'the key "output" stands twice'),
        ("output: r\ntrain:\n  epochs: 1\n  batch_size: 2\n  epochs: 3", 5, 'the key "epochs" stands twice'),
        ("output: r\n'seed': 1\nseed: 1", 3, 'the key "seed" stands twice'),
        ("output: [", 1, "expected the node content"),
        ("output: r\n---\noutput: s", 2, "another document"),
        ("output: r\n? [a]\n: 1", 2, "unhashable key"),
        ("output: !!python/object/apply:os.system ['touch /tmp/x']", 1, "could not determine a constructor"),
        ("output: !!python/name:os.system", 1, "could not determine a constructor"),
        ("output: !mine x", 1, "could not determine a constructor"),
    ],
)
def test_what_is_no_recipe_is_placed_by_its_line(text: str, line: int, says: str) -> None:
    error = error_of(text)
    assert error.where == f"recipe:{line}"
    assert says in error.what


def test_nothing_in_yaml_is_executed(tmp_path: Path) -> None:
    """Promise 9, in the file and on the command line."""
    trace = tmp_path / "executed"
    call = f"!!python/object/apply:os.mkdir ['{trace}']"
    error_of(f"output: {call}")
    assert parse_recipe(MINIMAL, [f"data.system={call}"]).data.system == call
    error_of(MINIMAL, f"seed={call}")
    assert not trace.exists()


@pytest.mark.parametrize("text", ["- output: r", "3", "just text", "2024-01-01"])
def test_a_recipe_is_a_mapping(text: str) -> None:
    assert "a recipe is a mapping" in error_of(text).what


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "output: " + "[" * 5000 + "]" * 5000])
def test_depth_is_an_error_and_no_crash(text: str) -> None:
    assert "not a recipe" in error_of(text).what


def test_a_value_that_explodes_is_quoted_in_brief() -> None:
    """Nine aliases of nine, eight deep: 43 million items, if anyone were to write them out."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 8)]
    error = error_of("\n".join([*lines, "output: *a7"]))
    assert len(error.what) < 4000


@pytest.mark.parametrize("text", ["output: &a [*a]", "output: r\ntrain: &t {epochs: *t}"])
def test_a_value_that_holds_itself(text: str) -> None:
    assert "should be" in error_of(text).what


@pytest.mark.parametrize(
    "text", ["output: r\nseed: \x00", "output: r\n1: 2", "output: r\nnull: 2", "output: r\ntrain: {1: 2}"]
)
def test_odd_characters_and_keys(text: str) -> None:
    error_of(text)


@given(st.text())
def test_no_text_at_all_does_worse_than_an_error(text: str) -> None:
    try:
        parse_recipe(text, [text, f"train.epochs={text}"])
    except RecipeError as error:
        assert str(error)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such recipe") as caught:
        load_recipe(tmp_path / "none.yaml")
    assert caught.value.where == str(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("output: für".encode("latin-1"))
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "latin.yaml")


# --- options without effect (promise 16) ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ["compare.samples_per_prompt=3"],
            "compare: samples_per_prompt = 3 has no effect with temperature = 0",
        ),
        (["compare.top_p=0.9"], "compare: top_p = 0.9 has no effect with temperature = 0"),
        (["data.eval.source=x.csv", "data.eval_fraction=0.2"], "data.eval_fraction has no effect"),
        (
            ["data.train.layout=transcript", "data.train.support_ratio=0.1"],
            "data.train: support_ratio has no effect",
        ),
        (
            ["data.eval.layout=question", "data.eval.support_ratio=0.1"],
            "data.eval: support_ratio has no effect",
        ),
        (["model.revision=main"], 'model: revision has no effect with base "playground"'),
        (
            ["data.eval_fraction=0", "train.evaluate_every=5"],
            "train.evaluate_every has no effect without held-out",
        ),
        (
            ["data.eval_fraction=0", "train.best_metric=rewards_margin"],
            "train.best_metric has no effect without",
        ),
        (["objective.type=sft", "objective.beta=0.2"], '"objective.beta": not an option of sft'),
        (
            ["objective.type=ipo", "objective.label_smoothing=0.1"],
            '"objective.label_smoothing": not an',
        ),
    ],
)
def test_an_option_without_effect_is_an_error(overrides: list[str], says: str) -> None:
    assert error_of(MINIMAL, *overrides).what.startswith(says)
    for one in overrides[:-1]:
        parse_recipe(MINIMAL, [one])  # each by itself is fine: it is the two together that make no sense


@pytest.mark.parametrize("override", ["train.max_steps=yes", "seed=true", "train.epochs=on"])
def test_yes_is_not_a_number(override: str) -> None:
    with pytest.raises(RecipeError, match="not a yes or no"):
        parse_recipe("output: x", [override])
    assert parse_recipe("output: x", ["model.adapter.rslora=yes"]).model.adapter.rslora  # type: ignore[union-attr]


def test_a_temperature_too_small_to_compute_with_is_refused() -> None:
    with pytest.raises(RecipeError, match="too close to 0"):
        parse_recipe("output: x", ["compare.temperature=1e-300"])
