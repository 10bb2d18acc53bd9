"""Every option of a recipe is read somewhere: one that nothing reads is a promise nobody keeps.

That some code says `.split` proves nothing about `SourceOptions.split`: text has a method of that name. So
the syntax tree of the whole house is asked what stands before the dot too, as far as annotations, assignments
and the recipe's own shape tell. Comments, docstrings and keyword arguments are not readers.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

import palate
from palate.recipe import OBJECTIVES, Recipe

Section = type[BaseModel]
HOUSE = Path(palate.__file__).parent


def sections_in(annotation: object) -> Iterator[Section]:
    """The sections an annotation names: itself, or the parts of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from sections_in(part)


def with_all_below(section: Section) -> Iterator[Section]:
    yield section
    for field in section.model_fields.values():
        for below in sections_in(field.annotation):
            yield from with_all_below(below)


SECTIONS = {section.__name__: section for section in with_all_below(Recipe)}
FIELDS = sorted(
    (section.__name__, name)
    for section in SECTIONS.values()
    for name in section.model_fields
    if name != "type"  # it only tells variants apart: pydantic reads it while it builds the recipe
)


Scope = dict[str, set[str]]


class Reader:
    """Finds out which attributes of which sections some modules read."""

    def __init__(self, modules: Iterable[ast.Module]) -> None:
        modules = list(modules)
        self.reads: set[tuple[str, str]] = set()
        self.attributes: defaultdict[str, set[str]] = defaultdict(set)
        """What `something.name` may hold, where only the name is known: annotated in a class, or assigned."""
        self.returned: defaultdict[str, set[str]] = defaultdict(set)
        """What a function of that name gives back, by its annotation."""
        for node in (node for module in modules for node in ast.walk(module)):
            if isinstance(node, ast.FunctionDef) and node.returns is not None:
                self.returned[node.name] |= annotated(node.returns)
            if isinstance(node, ast.ClassDef):
                for field in node.body:
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                        self.attributes[field.target.id] |= annotated(field.annotation)
        for _ in range(2):  # the second round knows what the first has learnt about attributes
            for module in modules:
                self._visit(module, {})

    def _visit(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            scope = dict(scope)
            for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                scope[arg.arg] = annotated(arg.annotation) if arg.annotation is not None else set()
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            self.reads |= {
                (section, node.attr)
                for section in self.sections_of(node.value, scope)
                if node.attr in SECTIONS[section].model_fields
            }
        elif isinstance(node, ast.comprehension | ast.For):
            self._bind(node.target, self.sections_of(node.iter, scope), scope)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value, scope)
        elif isinstance(node, ast.NamedExpr):
            self._bind(node.target, self.sections_of(node.value, scope), scope)
        children = list(ast.iter_child_nodes(node))
        # A comprehension's names are bound after its first expression is written.
        for child in sorted(children, key=lambda child: not isinstance(child, ast.comprehension)):
            self._visit(child, scope)

    def _assign(self, target: ast.expr, value: ast.expr, scope: Scope) -> None:
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=True))
        for one, its_value in pairs:
            self._bind(one, self.sections_of(its_value, scope), scope)

    def _bind(self, target: ast.expr, sections: set[str], scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope[target.id] = scope.get(target.id, set()) | sections
        elif isinstance(target, ast.Attribute):
            self.attributes[target.attr] |= sections

    def sections_of(self, expression: ast.expr, scope: Scope) -> set[str]:
        """The sections an expression may be; for a tuple or a list, those its items may be."""
        if isinstance(expression, ast.Name):
            return scope.get(expression.id, set())
        if isinstance(expression, ast.Attribute):
            owners = self.sections_of(expression.value, scope)
            if not owners:
                return self.attributes[expression.attr]
            fields = [SECTIONS[owner].model_fields.get(expression.attr) for owner in owners]
            return {
                section.__name__ for field in fields if field for section in sections_in(field.annotation)
            }
        if isinstance(expression, ast.Call):
            function = expression.func
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            return self.returned[name]
        parts: list[ast.expr] = []
        if isinstance(expression, ast.BoolOp):
            parts = expression.values
        elif isinstance(expression, ast.IfExp):
            parts = [expression.body, expression.orelse]
        elif isinstance(expression, ast.Tuple | ast.List):
            parts = expression.elts
        return {section for part in parts for section in self.sections_of(part, scope)}


def annotated(annotation: ast.expr) -> set[str]:
    """The sections an annotation in the source names."""
    names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    if "ObjectiveOptions" in names:
        names |= {options.__name__ for options in OBJECTIVES.values()}
    return names & set(SECTIONS)


@cache
def reads_of_the_house() -> frozenset[tuple[str, str]]:
    paths = [path for path in HOUSE.rglob("*.py") if HOUSE / "recipe" not in path.parents]
    return frozenset(Reader(ast.parse(p.read_text(encoding="utf-8"), str(p)) for p in paths).reads)


def test_the_list_of_fields_is_whole() -> None:
    """So that an empty list can never pass for a clean one."""
    known = {("Recipe", "output"), ("TrainOptions", "epochs"), ("LoraOptions", "rank"), ("IPO", "logps")}
    assert known <= set(FIELDS)


def test_what_counts_as_reading() -> None:
    module = ast.parse(
        '''
def f(recipe: Recipe, source: SourceOptions | None, options: DPO, text: str) -> None:
    """Says recipe.seed and source.limit."""
    train = recipe.train
    g(train.epochs, batch_size=1)  # train.max_steps
    text.split()
    recipe.data.train.layout
    run.recipe.model.adapter.rank
    source.revision = 3
    options.beta
    [each.support_ratio for each in (recipe.data.train, recipe.data.eval)]
    first, second = recipe.model, recipe.reference
    second.sync_every
    first.dtype
    first.sync_mixup

def g(options: IPO, rank):
    options.logps
    rank.alpha

class Run:
    recipe: Recipe
'''
    )
    sections = {"Recipe", "ModelOptions", "DataOptions"}
    assert {read for read in Reader([module]).reads if read[0] not in sections} == {
        ("TrainOptions", "epochs"),
        ("SourceOptions", "layout"),
        ("LoraOptions", "rank"),
        ("DPO", "beta"),
        ("IPO", "logps"),
        ("SourceOptions", "support_ratio"),
        ("ReferenceOptions", "sync_every"),
    }


@pytest.mark.parametrize(("section", "name"), FIELDS, ids=[f"{s}.{n}" for s, n in FIELDS])
def test_it_is_read(section: str, name: str) -> None:
    assert (section, name) in reads_of_the_house(), f"{section}.{name} is declared, and nothing reads it"
