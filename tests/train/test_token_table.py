"""Examples as arrays are the same examples."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.engine import Branch
from palate.records import Labelled, Message, Pair, Provenance, SetAside
from palate.train import Example
from palate.train.example_set import Asides
from palate.train.examples import Examples
from palate.train.token_table import Encoded, TableWriter, load_table, save_columns, table_in_memory

token = st.one_of(st.integers(0, 5), st.integers(0, 2**31 - 1))


@st.composite
def branches(draw: st.DrawFn) -> Branch:
    ids = draw(st.lists(token, min_size=2, max_size=9))
    scored = [False, *draw(st.lists(st.booleans(), min_size=len(ids) - 1, max_size=len(ids) - 1))]
    scored[-1] |= not any(scored)
    return Branch(np.array(ids, np.int64), np.array(scored))


examples = st.builds(
    Example,
    st.lists(branches(), min_size=1, max_size=4).map(tuple),
    st.sampled_from(["0" * 16, "f" * 16, "00ff00ff00ff00ff", "8" * 16]),
    st.integers(0, 2**64 - 1).map("{:016x}".format),
    margin=st.none() | st.floats(0, 10),
    weight=st.floats(0.1, 10),
    desirable=st.none() | st.booleans(),
    mismatched=st.none() | branches(),
)
lists = st.lists(examples, max_size=8)


def content(example: Example) -> object:
    crossed = example.mismatched.key if example.mismatched is not None else None
    keys = [branch.key for branch in example.branches]
    stated = example.margin, example.weight, example.desirable
    return keys, example.prompt_id, example.id, stated, crossed


@given(lists)
def test_what_goes_in_comes_out(made: list[Example]) -> None:
    table = Examples.of(made)
    assert [content(example) for example in table] == [content(example) for example in made]
    assert [content(example) for example in table[1:3]] == [content(example) for example in made[1:3]]


@given(lists)
def test_columns_say_what_the_examples_say(made: list[Example]) -> None:
    table = Examples.of(made)
    expected = sorted(range(len(made)), key=lambda i: made[i].key)
    assert table.by_key().tolist() == expected
    said = [f"{example.key} {example.margin} {example.weight}" for example in made]
    assert list(table.fingerprints()) == said
    assert table.num_prompts == len({example.prompt_id for example in made})


@given(lists, lists)
def test_distinct_branches_in_the_order_in_which_they_come(made: list[Example], more: list[Example]) -> None:
    def all_of(of: list[Example]) -> list[bytes]:
        each = [(*e.branches, *([e.mismatched] if e.mismatched is not None else [])) for e in of]
        return [branch.key for branches in each for branch in branches]

    every = Examples.of(made).branches() + Examples.of(more).branches()
    assert [branch.key for branch in every] == all_of(made) + all_of(more)
    assert [branch.key for branch in every.distinct()] == list(dict.fromkeys(all_of(made) + all_of(more)))


def pair(line: int | None, prompt: str = "é🙂?") -> Pair:
    said = (Message("assistant", "yes"),), (Message("assistant", "no"),)
    system = Message("system", "Be kind."), Message("user", prompt)
    return Pair(system, *said, Provenance("rows.jsonl", line), margin=0.5, weight=2.0)


def write(writer: TableWriter) -> None:
    branch = Branch(np.array([7, 8]), np.array([False, True]))
    other = Branch(np.array([7, 9]), np.array([False, True]))
    writer.set_aside(SetAside("rows.jsonl", 1, "not JSON"))
    writer.add(pair(2), Encoded((branch, other), num_merges=1), pair(2).chosen)
    writer.add(pair(3), Encoded(reason="too long", is_too_long=True), pair(3).chosen)
    shown = Labelled(pair(4, "b").prompt, pair(4).chosen, False, Provenance("rows.jsonl", 4))
    writer.add(shown, Encoded((branch,)), shown.completion)


def test_a_table_in_files_is_the_table_in_memory(tmp_path: Path) -> None:
    tokens, texts = io.BytesIO(), io.BytesIO()
    writer = TableWriter(tokens, texts, with_completions=True)
    write(writer)
    inside = table_in_memory(writer, tokens, texts)
    with (
        (tmp_path / "tokens.bin").open("wb") as tokens_file,
        (tmp_path / "texts.bin").open("wb") as texts_file,
    ):
        writer = TableWriter(tokens_file, texts_file, with_completions=True)
        write(writer)
    outside = load_table(tmp_path, save_columns(writer.finish(), tmp_path))
    for table in (inside, outside):
        used = Examples(table, np.array([0, 2]))
        assert [(e.id, e.weight, e.desirable) for e in used] == [
            (pair(2).id, 2.0, None),
            (used[1].id, 1.0, False),
        ]
        assert table.prompt(0) == pair(2).prompt
        assert table.completion(2) == pair(2).chosen
        assert [messages[1].content for messages in used.prompts()] == ["é🙂?", "b"]
        assert Asides.of(table.asides, table)[0] == SetAside("rows.jsonl", 1, "not JSON")
    assert (tmp_path / "tokens.bin").stat().st_size == 4 * 6, (
        "four bytes a token, whether it is scored within"
    )


def test_texts_that_were_not_asked_for_are_not_kept() -> None:
    tokens, texts = io.BytesIO(), io.BytesIO()
    writer = TableWriter(tokens, texts)
    write(writer)
    with pytest.raises(ValueError, match="made without"):
        table_in_memory(writer, tokens, texts).completion(0)


def asides(*rows: tuple[int | None, str]) -> Asides:
    tokens, texts = io.BytesIO(), io.BytesIO()
    writer = TableWriter(tokens, texts)
    for line, reason in rows:
        writer.set_aside(SetAside("rows.jsonl", line, reason))
    table = table_in_memory(writer, tokens, texts)
    return Asides.of(table.asides, table)


def test_reasons_are_counted_the_most_frequent_first_with_five_places() -> None:
    found = asides(
        (1, "b"), (2, "a"), *((line, "c") for line in range(3, 10)), (11, "a"), (12, "b"), (2, "b")
    )
    assert list(found.by_reason()) == [
        ("c", 7, [f"rows.jsonl:{line}" for line in range(3, 8)]),
        ("b", 3, ["rows.jsonl:1", "rows.jsonl:12", "rows.jsonl:2"]),
        ("a", 2, ["rows.jsonl:2", "rows.jsonl:11"]),
    ]
    assert (len(found), found.num_rows) == (12, 11), "line 2 stands there twice"


def test_rows_without_lines_are_rows_of_their_own() -> None:
    found = asides((None, "a"), (None, "a"))
    assert (found.num_rows, found[0].place) == (2, "rows.jsonl")


def test_asides_together() -> None:
    both = asides((1, "b"), (2, "a")) + asides((3, "c"), (4, "a"))
    assert [(row.line, row.reason) for row in both] == [(1, "b"), (2, "a"), (3, "c"), (4, "a")]
