"""Every option and every command is documented, and the pages that are made are current."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from recipe_reference import PAGE, options, render

from palate.cli.app import app
from palate.recipe import parse_recipe

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCHEMA = ROOT / "src" / "palate" / "recipe"


def commands() -> list[str]:
    found = []
    for name in app:
        if name.startswith("-"):
            continue
        below = [f"{name} {inner}" for inner in app[name] if not inner.startswith("-")]
        is_one_itself = not below or app[name].default_command is not None
        found += [name] * is_one_itself + below
    return sorted(found)


def parameters(command: str) -> set[str]:
    """The names of what a command takes."""
    found = app
    for part in command.split():
        found = found[part]
    return set(inspect.signature(found.default_command).parameters)


def test_the_recipe_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python tests/contract/recipe_reference.py"


@pytest.mark.parametrize("option", sorted(set(options())))
def test_every_option_stands_on_it(option: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith(f"| `{option}` |")]
    if option == "objective.type":
        assert "`objective.type` names one" in page
        return
    assert rows, option
    for row in rows:
        said = row.split("|")[-2].strip()
        assert len(said) > 10, f"{option} says nothing about itself: give it an attribute docstring"


def test_the_example_on_the_page_is_a_recipe() -> None:
    text = PAGE.read_text(encoding="utf-8")
    example = text.partition("```yaml\n")[2].partition("```")[0]
    assert parse_recipe(example).train.epochs == 3


def test_these_are_the_commands() -> None:
    assert commands() == [
        "annotate", "annotate export", "annotate import", "annotate stats",
        "compare", "data audit", "data convert", "data curate", "data inspect", "data split", "demo",
        "diagnose", "generate candidates", "generate contrast", "generate triples", "judge", "objectives",
        "plan", "report", "resume", "run", "train", "winrate",
    ]  # fmt: skip


@pytest.mark.parametrize("command", commands())
def test_every_command_stands_in_the_readme(command: str) -> None:
    assert f"| `palate {command}" in README


def test_nothing_in_the_readme_is_made_up() -> None:
    for line in README.splitlines():
        if line.startswith("| `palate "):
            assert line.removeprefix("| `palate ").startswith(tuple(commands())), line


def test_the_readme_names_those_that_take_several_processes() -> None:
    taking = [c for c in commands() if "num_processes" in parameters(c)]
    assert taking == ["resume", "run", "train"]
    assert "`run`, `train` and `resume` take `--num-processes`" in README


def test_every_page_is_linked_from_another() -> None:
    pages = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")}
    for name in pages:
        others = [README, *(text for other, text in pages.items() if other != name)]
        assert any(f"({name}" in text or f"(docs/{name}" in text for text in others), name


def test_links_lead_somewhere() -> None:
    import re

    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_python_file_says_what_it_is() -> None:
    """A docstring at the top of each module: the first thing a reader sees."""
    for path in (ROOT / "src").rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
