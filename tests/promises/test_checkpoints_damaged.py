"""Damage to a checkpoint is found, named, and passed over; and nothing in one can run code."""

from __future__ import annotations

import ast
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_checkpoints import WEIGHTS, assert_holds, save

from palate.errors import ArtifactError
from palate.train.checkpoint import load_state, newest_whole, prune_checkpoints, publish, verify_checkpoint

SOURCE = Path(__file__).parents[2] / "src"
FILES = [WEIGHTS, "adapter_config.json", "manifest.json", "state.json", "state.safetensors"]


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """Two of them."""
    for step in (1, 2):
        save(tmp_path / "checkpoints", step)
    return tmp_path / "checkpoints"


def assert_found(checkpoints: Path, name: str) -> None:
    """The second one is damaged in this file and said to be; the first is used."""
    newest = checkpoints / "step-000002"
    problems = verify_checkpoint(newest)
    assert [problem.partition(":")[0] for problem in problems] == [name]
    notes: list[str] = []
    found = newest_whole(checkpoints, notes.append)
    assert found is not None
    assert_holds(found, 1)
    assert notes == [f"step-000002 is passed over: {problems[0]}"]


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def flip_and_look(checkpoints: Path, name: str, num_flips: int) -> None:
    file = checkpoints / "step-000002" / name
    rng = random.Random(name)
    for _ in range(num_flips):
        bit = rng.randrange(8 * file.stat().st_size)
        flip(file, bit)
        assert_found(checkpoints, name)
        flip(file, bit)
    assert verify_checkpoint(file.parent) == []


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere(checkpoints: Path, name: str) -> None:
    flip_and_look(checkpoints, name, num_flips=25)


@pytest.mark.thorough
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_in_many_more_places(checkpoints: Path, name: str) -> None:
    flip_and_look(checkpoints, name, num_flips=1500)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes() + b"\0"),
        lambda file: file.write_bytes(bytes(file.stat().st_size)),
    ],
    ids=["deleted", "empty", "cut", "longer", "zeros"],
)
def test_a_file_cut_emptied_or_gone(checkpoints: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(checkpoints / "step-000002" / name)
    assert_found(checkpoints, name)


def test_a_file_too_many(checkpoints: Path) -> None:
    newest = checkpoints / "step-000002"
    (newest / "extra.json").write_text("{}")
    assert_found(checkpoints, "extra.json")
    (newest / "extra.json").unlink()
    (newest / "deep").mkdir()
    (newest / "deep" / "extra.json").write_text("{}")
    assert_found(checkpoints, "deep/extra.json")


def test_a_link_in_place_of_a_file(checkpoints: Path) -> None:
    """Whoever can change what it leads to could change the weights after they were verified."""
    file = checkpoints / "step-000002" / WEIGHTS
    shutil.copy(file, checkpoints.parent / "elsewhere")
    file.unlink()
    file.symlink_to(checkpoints.parent / "elsewhere")
    assert_found(checkpoints, WEIGHTS)


def test_one_checkpoint_under_the_name_of_another(checkpoints: Path) -> None:
    (checkpoints / "step-000002").rename(checkpoints / "step-000009")
    assert verify_checkpoint(checkpoints / "step-000009") == ["it holds step 2"]
    found = newest_whole(checkpoints, lambda text: None)
    assert found == checkpoints / "step-000001"


def test_weights_alone_are_no_checkpoint_to_go_on_from(checkpoints: Path) -> None:
    """As an earlier version of Palate wrote them, or somebody made them by hand."""
    newest = checkpoints / "step-000002"
    (newest / "manifest.json").write_text('{"step": 2, "files": {}}\n')
    assert_found(checkpoints, "manifest.json")


def test_all_damaged(checkpoints: Path) -> None:
    for folder in checkpoints.iterdir():
        (folder / "state.json").unlink()
        (folder / WEIGHTS).unlink()
    notes: list[str] = []
    assert newest_whole(checkpoints, notes.append) is None
    assert [note.partition(" ")[0] for note in notes] == ["step-000002", "step-000001"]
    assert all(note.endswith("it is missing (and 1 more)") for note in notes)
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_state(checkpoints / "step-000001")


def test_pruning_keeps_the_newest_that_can_be_used(checkpoints: Path) -> None:
    """Were it to count damaged ones as good, it would delete the only one that is."""
    for step in (3, 4):
        flip(save(checkpoints, step) / "state.safetensors", 77)
    prune_checkpoints(checkpoints, 1)
    assert sorted(folder.name for folder in checkpoints.iterdir()) == ["step-000002", "step-000004"]
    assert_holds(checkpoints / "step-000002", 2)


def test_a_damaged_one_is_written_anew(checkpoints: Path) -> None:
    flip(checkpoints / "step-000002" / "state.safetensors", 77)
    assert_holds(save(checkpoints, 2), 2)


def test_a_damaged_one_is_never_published(checkpoints: Path, tmp_path: Path) -> None:
    publish(checkpoints / "step-000001", tmp_path / "adapter")
    published = (tmp_path / "adapter" / WEIGHTS).read_bytes()
    flip(checkpoints / "step-000002" / WEIGHTS, 77)
    with pytest.raises(ArtifactError, match="damaged") as caught:
        publish(checkpoints / "step-000002", tmp_path / "adapter")
    assert caught.value.why == f"{WEIGHTS}: its content is not what was written"
    assert (tmp_path / "adapter" / WEIGHTS).read_bytes() == published


UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNPICKLING = {"torch.load", "torch.save", "torch.serialization", "numpy.lib.format", "pandas.read_pickle"}


def loads_code(source: str) -> list[str]:
    """Names in a module by which a pickle could be read or written, under whatever name it was imported."""
    tree = ast.parse(source)
    known: dict[str, str] = {}
    named: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {a.asname or a.name.partition(".")[0]: a.name if a.asname else "" for a in node.names}
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            named += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            named.append(f"{known.get(first) or first}.{rest}")
        elif (
            isinstance(node, ast.keyword)
            and node.arg == "allow_pickle"
            and ast.unparse(node.value) != "False"
        ):
            named.append("allow_pickle")  # said to be off, it says no more than what numpy does unasked
    return [
        name
        for name in named
        if name.partition(".")[0] in UNPICKLERS or name in UNPICKLING or name == "allow_pickle"
    ]


def test_nothing_in_palate_reads_or_writes_a_pickle() -> None:
    modules = list(SOURCE.rglob("*.py"))
    assert len(modules) > 50
    assert {str(m): found for m in modules if (found := loads_code(m.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads as read",
        "import torch\ntorch.load('x')",
        "import torch as t\nload = t.load",
        "from torch import load as read",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy as np\nnp.load('x', allow_pickle=asked)",
    ],
)
def test_it_would_be_seen(source: str) -> None:
    assert loads_code(source)
