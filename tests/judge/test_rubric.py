"""Rubrics: those that come with Palate, files, and slips in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from palate.errors import JudgeError
from palate.judge.rubric import BUILT_IN_RUBRICS, Criterion, Rubric, Scale, load_rubric, parse_rubric

MINIMAL = "name: titles\ninstruction: Which title would make you click?\n"


@pytest.mark.parametrize("name", BUILT_IN_RUBRICS)
def test_every_built_in_rubric_loads_under_its_name(name: str) -> None:
    rubric = load_rubric(name)
    assert rubric.name == name
    assert len(rubric.instruction) > 80


def test_every_rubric_file_of_the_package_is_listed() -> None:
    import palate.judge

    folder = Path(palate.judge.__file__).parent / "rubrics"
    assert {path.stem for path in folder.iterdir()} == set(BUILT_IN_RUBRICS)


def test_only_faithfulness_needs_a_reference() -> None:
    assert [name for name in BUILT_IN_RUBRICS if load_rubric(name).needs_reference] == ["faithfulness"]


def test_a_file_says_all_there_is_to_say(tmp_path: Path) -> None:
    path = tmp_path / "titles.yaml"
    path.write_text(
        MINIMAL
        + "criteria:\n"
        + "  - {name: curiosity, description: It opens a question., weight: 2}\n"
        + "  - {name: 诚实, description: The video keeps what it says.}\n"
        + "scale: {min: 0, max: 3, labels: {0: would not, 3: at once}}\n"
        + "allow_ties: false\n"
    )
    rubric = load_rubric(path)
    assert [(c.name, c.weight) for c in rubric.criteria] == [("curiosity", 2.0), ("诚实", 1.0)]
    assert (rubric.scale.min, rubric.scale.max, rubric.scale.labels) == (0, 3, {0: "would not", 3: "at once"})
    assert not rubric.allow_ties
    assert load_rubric(str(path)) == rubric


def test_the_id_names_the_content() -> None:
    rubric = parse_rubric(MINIMAL)
    assert rubric.id == parse_rubric(f"# a remark\n{MINIMAL}").id
    assert rubric.id != parse_rubric(MINIMAL + "allow_ties: false\n").id


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\n", '"instruction" is missing'),
        ("- a\n", "a rubric is a mapping, this is a list"),
        ("", "a rubric is a mapping, this is a NoneType"),
        (MINIMAL + "name: again\n", 'the key "name" stands twice'),
        (MINIMAL + "criterias: []\n", '"criterias": unknown option. Did you mean "criteria"?'),
        (
            MINIMAL + "criteria: [{name: a, description: b, wieght: 2}]\n",
            '"criteria.0.wieght": unknown option. Did you mean "weight"? Known here: name, ',
        ),
        (MINIMAL + "scale: {low: 1}\n", '"scale.low": unknown option. Known here: min, max, labels'),
        (
            MINIMAL + "criteria: [{name: a, description: b, weight: 0}]\n",
            "criteria.0.weight = 0: it should be greater than 0.",
        ),
        (
            MINIMAL + "criteria: [{name: a, description: b}, {name: a, description: c}]\n",
            "criteria: a stands twice",
        ),
        (MINIMAL + "criteria: [a]\n", "criteria.0 = 'a': it should have options of its own."),
        (MINIMAL + "scale: {min: 5, max: 5}\n", "scale: from 5 to 5: a scale has 1 to 100 steps upwards"),
        (MINIMAL + "scale: {max: 5, labels: {6: best}}\n", "scale: labels for 6: the scale goes from 1 to 5"),
        ("name: x\ninstruction: 5\n", "instruction = 5: it should be a valid string. Write it in quotes."),
        ("name: x\ninstruction: !!python/object:os.system x\n", "not a rubric: could not determine"),
        ("name: [x\n", "not a rubric: "),
        ("name: 'a\\nb'\ninstruction: x\n", "name = 'a\\\\nb'"),
    ],
)
def test_a_slip_is_named(text: str, said: str) -> None:
    with pytest.raises(JudgeError) as caught:
        parse_rubric(text, where="my.yaml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("my.yaml")


def test_several_slips_are_told_at_once() -> None:
    with pytest.raises(JudgeError, match="2 things are wrong"):
        parse_rubric("nam: x\ninstruction: y\n")


def test_a_name_that_is_neither_built_in_nor_a_file() -> None:
    with pytest.raises(JudgeError) as caught:
        load_rubric("preferense")
    assert 'Did you mean "preference"?' in str(caught.value)
    assert "faithfulness" in caught.value.next


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(JudgeError, match="cannot be read"):
        load_rubric(tmp_path / "x.yaml")


def test_the_manual_shows_everything_a_rubric_can_say() -> None:
    page = (Path(__file__).parents[2] / "docs" / "judge.md").read_text()
    [shown] = [
        block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "instruction:" in block
    ]
    rubric = parse_rubric(shown)
    assert rubric.model_fields_set == set(Rubric.model_fields)
    assert rubric.scale.model_fields_set == set(Scale.model_fields)
    assert rubric.criteria[0].model_fields_set == set(Criterion.model_fields)
