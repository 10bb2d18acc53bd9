"""Objectives of other packages: one that works, from installation to training, and all that may be wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from palate.cli import main
from palate.errors import RecipeError
from palate.objectives import objective_for
from palate.recipe import DPO, OBJECTIVES, dump_recipe, parse_recipe
from palate.recipe.objective import registry

PACKAGE = Path(__file__).parents[1] / "fixtures" / "palate_hinge_squared"


def install(folder: Path, name: str, entry_points: dict[str, str], version: str = "0.1") -> None:
    """What an installer leaves of a package besides its code."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = "".join(f"{entry} = {value}\n" for entry, value in entry_points.items())
    info.joinpath("entry_points.txt").write_text(f"[palate.objectives]\n{lines}")


def forget_third_party() -> None:
    registry._third_party.cache_clear()
    registry._all_objectives.cache_clear()


@pytest.fixture(autouse=True)
def every_test_looks_anew() -> Iterator[None]:
    yield
    forget_third_party()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed as its pyproject.toml says."""
    folder = tmp_path_factory.mktemp("site")
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    install(folder, project["name"], project["entry-points"]["palate.objectives"], project["version"])
    shutil.copytree(PACKAGE / "palate_hinge_squared", folder / "palate_hinge_squared")
    return folder


# Each line it prints is what one of the tests below looks at.
PROGRAM = """
import sys, json
from palate.recipe import load_recipe, dump_recipe, parse_recipe
import palate.cli
loaded = {"at start": [name for name in sys.modules if name.startswith(("palate_hinge", "torch."))]}
recipe = load_recipe(sys.argv[1], ["objective.target=2"])
loaded["with a recipe"] = [name for name in sys.modules if name.startswith(("palate_hinge", "torch."))]
print(json.dumps(loaded))
print(json.dumps(recipe.objective.model_dump()))
print(json.dumps(parse_recipe(dump_recipe(recipe)) == recipe))
import torch
from palate.objectives import PairLogps, objective_for
one = torch.ones(1)
pair = PairLogps(chosen=3 * one, rejected=0 * one, reference_chosen=0 * one, reference_rejected=-one,
                 chosen_lengths=one, rejected_lengths=one)
print(json.dumps(objective_for(recipe.objective)(pair).tolist()))
palate.cli.main(["objectives", "--json"])
"""


@pytest.fixture(scope="module")
def told(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process says in which the package is installed."""
    recipe = tmp_path_factory.mktemp("run") / "recipe.yaml"
    recipe.write_text("output: runs/x\nobjective: {type: hinge_squared, beta: 0.25}\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(recipe)],
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = ["loaded", "options", "round_trip", "loss", "listed"]
    return {name: json.loads(line) for name, line in zip(names, done.stdout.split("\n", 4), strict=True)}


def test_palate_starts_without_it(told: dict[str, Any]) -> None:
    assert told["loaded"]["at start"] == []


def test_a_recipe_that_names_it_brings_its_options_alone(told: dict[str, Any]) -> None:
    assert told["loaded"]["with a recipe"] == ["palate_hinge_squared"]


def test_its_options_are_those_of_the_recipe(told: dict[str, Any]) -> None:
    assert told["options"] == {"type": "hinge_squared", "beta": 0.25, "target": 2.0}
    assert told["round_trip"] is True


def test_its_function_computes(told: dict[str, Any]) -> None:
    """Log-ratios 3 and 1, margin 2: (2 - 0.25 * 2)^2 = 2.25."""
    assert told["loss"] == [2.25]


def test_it_is_listed_after_palates_own(told: dict[str, Any]) -> None:
    last = told["listed"][-1]
    assert last["name"] == "hinge_squared"
    assert last["defaults"] == {"beta": 0.1, "target": 1.0}
    assert last["data"] == "pairs"
    assert last["needs_reference"] is True


def test_its_own_module_may_come_first(installed: Path) -> None:
    """As in the package's own tests: it imports Palate, which must not import it back half-made."""
    program = (
        "from palate_hinge_squared import HingeSquared\n"
        "from palate.recipe import Recipe, dump_recipe, parse_recipe\n"
        "recipe = Recipe(output='x', objective=HingeSquared(target=3))\n"
        "assert parse_recipe(dump_recipe(recipe)) == recipe\n"
        "print(recipe.objective.target)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "3.0\n"), done.stderr


def test_it_trains(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Policy and reference agree before the first step, so its loss is (2 - 0)^2; then it falls."""
    from tiny_run import metrics, tiny_recipe, write_base

    monkeypatch.syspath_prepend(str(installed))
    forget_third_party()
    recipe = tiny_recipe(tmp_path, write_base(tmp_path / "base"), "objective.type=hinge_squared")
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(recipe))
    with pytest.raises(SystemExit, match="0"):
        main(["train", str(file), "objective.target=2", "--json"])
    assert json.loads(capsys.readouterr().out)["objective"] == "hinge_squared"
    losses = [line["loss"] for line in metrics(tmp_path / "run", "train")]
    assert losses[0] == pytest.approx(4, abs=1e-5)
    assert losses[-1] < losses[0]


OPTIONS = """
from typing import Annotated, ClassVar, Literal
from palate.recipe import Objective

class Good(Objective):
    data = "pairs"
    paper = "none"
    loss = "good:loss"
    type: Literal["good"] = "good"
    flavour: str = "sour"
    strength: float

class WrongType(Good):
    type: Literal["other"] = "other"

class FreeType(Good):
    type: str = "free_type"

class NoPaper(Objective):
    data = "pairs"
    loss = "good:loss"
    type: Literal["no_paper"] = "no_paper"

class WrongData(Good):
    data = "pear"
    type: Literal["wrong_data"] = "wrong_data"

class WrongFlag(Good):
    needs_reference = "no"
    type: Literal["wrong_flag"] = "wrong_flag"

class WrongLoss(Good):
    loss = "good.loss"
    type: Literal["wrong_loss"] = "wrong_loss"

class DPO(Good):
    type: Literal["dpo"] = "dpo"

class Depends(Good):
    type: Literal["depends"] = "depends"
    @property
    def needs_reference(self):
        return self.flavour == "sour"

not_a_class = 3
"""

Offer = Callable[..., None]


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offer]:
    """Installs a package that offers what the call says, for this test alone."""
    tmp_path.joinpath("third_party_options.py").write_text(OPTIONS)
    monkeypatch.delitem(sys.modules, "third_party_options", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(package: str = "their-package", **entries: str) -> None:
        install(tmp_path, package, entries)
        forget_third_party()

    yield put
    sys.modules.pop("third_party_options", None)


def refusal(name: str) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(f"output: out\nobjective: {{type: {name}}}")
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (
            "gone",
            "no_such_module:Good",
            "no_such_module:Good cannot be imported: ModuleNotFoundError: No module",
        ),
        ("gone", "third_party_options:Gone", "cannot be imported: AttributeError"),
        ("number", "third_party_options:not_a_class", "is not a subclass of palate.recipe.Objective"),
        ("wrong_type", "third_party_options:WrongType", 'type: Literal["wrong_type"] = "wrong_type"'),
        ("free_type", "third_party_options:FreeType", 'type: Literal["free_type"] = "free_type"'),
        ("no_paper", "third_party_options:NoPaper", "does not state paper"),
        ("wrong_data", "third_party_options:WrongData", "states data = 'pear': Input should be 'pairs'"),
        ("wrong_flag", "third_party_options:WrongFlag", "states needs_reference = 'no'"),
        ("wrong_loss", "third_party_options:WrongLoss", "should be module:function"),
    ],
)
def test_what_cannot_be_used_says_why_when_it_is_named(
    offer: Offer, name: str, value: str, reason: str
) -> None:
    offer(**{name: value, "good": "third_party_options:Good"})
    message = refusal(name)
    assert f'objective.type = "{name}": unknown objective. their-package 0.1 offers it, but ' in message
    assert reason in message
    assert name not in OBJECTIVES
    assert "good" in OBJECTIVES  # one that is wrong takes nothing from the others


def test_a_module_that_fails_in_its_own_way(offer: Offer, tmp_path: Path) -> None:
    tmp_path.joinpath("breaks_on_import.py").write_text("raise RuntimeError('not today\\nnor tomorrow')")
    offer(moody="breaks_on_import:Options")
    assert refusal("moody").endswith(
        "breaks_on_import:Options cannot be imported: RuntimeError: not today. All of them: palate objectives"
    )


def test_the_names_of_palates_own_are_taken(offer: Offer) -> None:
    offer(dpo="third_party_options:DPO")
    assert OBJECTIVES["dpo"].__module__ == "palate.recipe.objective.pairs"
    assert parse_recipe("output: out\nobjective: {type: dpo}").objective.type == "dpo"
    assert list(OBJECTIVES).count("dpo") == 1
    assert registry.refused_objectives() == {
        "dpo": "their-package 0.1 offers it, but the name is that of one of Palate's own objectives"
    }


def test_two_packages_cannot_share_a_name(offer: Offer) -> None:
    offer("a-package", good="third_party_options:Good")
    offer("b-package", good="third_party_options:WrongType")
    assert "a-package 0.1 and b-package 0.1 offer it, but only one of them can have the name" in refusal(
        "good"
    )


def test_a_broken_one_troubles_nobody_else(offer: Offer) -> None:
    offer(gone="no_such_module:Good")
    assert parse_recipe("output: out").objective.type == "dpo"
    assert registry._third_party.cache_info().currsize == 0  # not even looked for


def test_its_options_are_checked_and_explained_like_palates_own(offer: Offer) -> None:
    offer(good="third_party_options:Good")

    def slip(options: str) -> str:
        with pytest.raises(RecipeError) as caught:
            parse_recipe(f"output: out\nobjective: {{type: good, {options}}}")
        return str(caught.value)

    assert '"objective.strength" is missing' in slip("flavour: x")
    assert '"objective.strenght": not an option of good. Did you mean "strength"?' in slip(
        "strength: 1, strenght: 1"
    )
    assert "objective.strength = 'much'" in slip("strength: much")
    assert 'Did you mean "good"?' in refusal("goood")


def test_text_on_the_command_line_stays_text(offer: Offer) -> None:
    """As with Palate's own options: what is declared as text is not taken for a number."""
    offer(good="third_party_options:Good")
    overrides = ["objective.type=good", "objective.strength=2", "objective.flavour=1234"]
    assert parse_recipe("output: out", overrides).objective.model_dump() == {
        "type": "good",
        "strength": 2.0,
        "flavour": "1234",
    }


def test_metadata_may_depend_on_the_options(offer: Offer) -> None:
    offer(depends="third_party_options:Depends")
    kind = OBJECTIVES["depends"]
    assert kind(strength=1).needs_reference is True
    assert kind(strength=1, flavour="sweet").needs_reference is False


def test_a_loss_that_cannot_be_imported_is_told_as_such() -> None:
    class Nowhere(DPO):
        loss = "palate.objectives.nowhere:loss"

    with pytest.raises(RecipeError, match="the loss of objective dpo cannot be imported"):
        objective_for(Nowhere())


@pytest.mark.parametrize("made", ["mean", "none", "integers", "two columns"])
def test_a_loss_of_the_wrong_shape_is_told_as_such(monkeypatch: pytest.MonkeyPatch, made: str) -> None:
    import sys
    import types

    import torch

    from palate.errors import TrainingError
    from palate.objectives import PairLogps

    losses = {
        "mean": lambda inputs, options: inputs.chosen.mean(),
        "none": lambda inputs, options: None,
        "integers": lambda inputs, options: inputs.chosen_lengths,
        "two columns": lambda inputs, options: inputs.chosen[:, None],
    }
    module = types.ModuleType("somebodys")
    module.loss = losses[made]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "somebodys", module)

    class Somebodys(DPO):
        loss = "somebodys:loss"

    pairs = PairLogps(chosen=torch.zeros(3), chosen_lengths=torch.ones(3, dtype=torch.long))
    with pytest.raises(TrainingError, match="is not one number for each example"):
        objective_for(Somebodys())(pairs)
