"""A table of tokens is made once, found by what it was made from, and never half."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palate.data import RecordStream, read_records, split_by_prompt, stream_records
from palate.engine import Renderer
from palate.errors import ArtifactError, DataError
from palate.recipe import Recipe, parse_recipe
from palate.records import Message
from palate.train.encoding import encode_data
from palate.train.example_set import ExampleSet
from palate.train.token_key import content_hash, table_key
from palate.train.token_store import tokens_folder
from palate.train.token_table import TableWriter, save_columns
from palate.watcher import Watcher
from tiny_run import WORDS, rows, tokenizer, write_rows


class Notes(Watcher):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


class Counting(Renderer):
    """Counts what it is asked to render."""

    num_rendered = 0

    def render_many(self, items: Any) -> Any:
        self.num_rendered += len(items)
        return super().render_many(items)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PALATE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", [*rows(10, 3), {"prompt": "no answers"}])


def recipe(source: Path, *overrides: str) -> Recipe:
    given = [f"data.train={{source: {source}}}", "data.eval_fraction=0.3", *overrides]
    return parse_recipe("output: x", given)


def encoded(
    of: Recipe, watcher: Watcher | None = None, bos: str | None = None
) -> tuple[ExampleSet, ExampleSet, int]:
    """Both sets, and how many completions were tokenised for them."""
    renderer = Counting(tokenizer(bos), of.data.template)
    stream = stream_records(of.data.train, system=of.data.system)
    return *encode_data(of, stream, None, renderer, watcher), renderer.num_rendered


def num_tokenised(of: Recipe, bos: str | None = None) -> int:
    return encoded(of, bos=bos)[2]


def contents(found: ExampleSet) -> list[object]:
    return [
        (
            example.key,
            example.id,
            example.prompt_id,
            example.mismatched.key if example.mismatched is not None else None,
        )
        for example in found.examples
    ]


@pytest.mark.parametrize("objective", ["dpo", "kto", "plackett_luce"])
def test_a_second_run_tokenises_nothing_and_has_the_same(data: Path, objective: str) -> None:
    first = encoded(recipe(data, f"objective.type={objective}"))
    again = encoded(recipe(data, f"objective.type={objective}", "seed=7", "train.learning_rate=1e-6"))
    assert first[2] >= 60
    assert again[2] == 0
    assert [contents(side) for side in first[:2]] == [contents(side) for side in again[:2]]


@pytest.mark.parametrize("objective", ["dpo", "kto", "plackett_luce", "sft"])
def test_a_stream_gives_what_records_in_memory_give(data: Path, objective: str) -> None:
    of = recipe(data, f"objective.type={objective}", "data.eval_fraction=0.3")
    inside = encode_data(of, read_records(of.data.train), None, Renderer(tokenizer()))
    for mine, theirs in zip(encoded(of)[:2], inside, strict=True):
        assert contents(mine) == contents(theirs)
        assert mine.set_aside.num_rows == theirs.set_aside.num_rows
        assert list(mine.examples.prompts()) == list(theirs.examples.prompts())


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.3, 0.77])
def test_the_split_is_that_of_split_by_prompt(data: Path, fraction: float) -> None:
    found = encoded(recipe(data, f"data.eval_fraction={fraction}"))
    sides = split_by_prompt(read_records(recipe(data).data.train).records, fraction)
    for mine, theirs in zip(found[:2], sides, strict=True):
        assert [example.id for example in mine.examples] == [pair.id for pair in theirs]


def test_the_split_is_made_on_the_table(data: Path) -> None:
    encoded(recipe(data))
    assert num_tokenised(recipe(data, "data.eval_fraction=0.5")) == 0


@pytest.mark.parametrize(
    "change",
    [
        "data.max_length=77",
        "data.too_long=truncate_prompt",
        "data.system=Be brief.",
        "data.template=alpaca",
        "data.train.limit=12",
        "objective.type=sft",
        "objective.type=kto",
    ],
)
def test_whatever_decides_the_tokens_makes_another_table(data: Path, change: str) -> None:
    num_first = num_tokenised(recipe(data))
    changed = num_tokenised(recipe(data, change))
    if change == "objective.type=sft":
        assert changed == 0, "it learns from pairs too"
    else:
        assert changed >= num_first // 3
    assert num_tokenised(recipe(data)) == 0, "and the first is still there"


def test_one_changed_byte_makes_another_table(data: Path) -> None:
    encoded(recipe(data))
    data.write_text(data.read_text().replace("river", "rivet", 1))
    assert num_tokenised(recipe(data)) > 0


def test_another_tokenizer_makes_another_table(data: Path) -> None:
    encoded(recipe(data))
    assert num_tokenised(recipe(data), bos="<s>") > 0


def test_other_merges_of_a_tokenizer_written_in_python_make_another_table(data: Path) -> None:
    """Its vocabulary is the same; which tokens a word becomes is not."""
    from transformers import CTRLTokenizer

    vocabulary = data.with_name("vocabulary.json")
    vocabulary.write_text(json.dumps({"<unk>": 0, "a": 1, "b": 2, "c</w>": 3, "ab@@": 4, "bc</w>": 5}))
    of, names = recipe(data), []
    for merges in ("a b\nb c</w>", "b c</w>\na b", "b c</w>\na b"):
        written = data.with_name("merges.txt")
        written.write_text(f"#version\n{merges}\n")
        made = CTRLTokenizer(str(vocabulary), str(written), eos_token="<unk>")
        made.chat_template = tokenizer().chat_template
        stream = stream_records(of.data.train)
        names.append(table_key(stream, "", "pairs", Renderer(made), of.data, with_completions=False))
    assert names[0] != names[1] == names[2]


def test_todays_date_in_a_template_makes_another_table(data: Path) -> None:
    """Some templates write the date into every prompt."""
    of = recipe(data)
    for day, expected in (("1 May", True), ("1 May", False), ("2 May", True)):
        dated = tokenizer()
        dated.chat_template = "{{ day }}" + dated.chat_template
        real = dated.apply_chat_template
        dated.apply_chat_template = lambda *a, real=real, day=day, **k: real(*a, **k, day=day)
        renderer = Counting(dated)
        encode_data(of, stream_records(of.data.train), None, renderer)
        assert (renderer.num_rendered > 0) is expected


def test_the_same_content_elsewhere_is_the_same_table_under_its_own_name(data: Path) -> None:
    encoded(recipe(data))
    moved = data.rename(data.with_name("moved.jsonl"))
    found = encoded(recipe(moved))
    assert found[2] == 0
    assert found[0].table.sources == (str(moved),)


def test_a_file_replaced_after_it_was_opened_is_not_kept_under_its_new_hash(data: Path) -> None:
    """What a stream has read of a small file when it is made is older than the hash of the file."""
    of = recipe(data, "data.eval_fraction=0")
    stream = stream_records(of.data.train)
    data.write_text(data.read_text() + "\n" + data.read_text().replace("river", "rivet"))
    encode_data(of, stream, None, Renderer(tokenizer()))
    found = encoded(of)[0]
    assert [example.id for example in found.examples] == [p.id for p in read_records(of.data.train).records]


class Replaced(RecordStream):
    """A file that gets another row when its last one is read."""

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        with Path(self.options.source).open("a") as file:
            file.write("\n{}")


def test_a_file_that_changes_while_it_is_read_is_refused_and_nothing_kept(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("palate.train.encoding.stream_records", lambda o, **named: Replaced(o, **named))
        with pytest.raises(DataError, match="changed while it was read"):
            encoded(recipe(data))
    assert [path for path in tokens_folder().iterdir() if path.is_dir()] == []
    assert num_tokenised(recipe(data)) > 0


def test_the_end_of_a_files_name_is_part_of_the_name(data: Path) -> None:
    """The same bytes are other rows as JSON, as JSONL and as CSV."""
    line = data.read_text().splitlines()[0]
    keys = set()
    for name in ("one.json", "one.jsonl", "one.jsonl.gz"):
        data.with_name(name).write_text(line if name.startswith("one.jsonl") else f"[{line}]")
        of = recipe(data.with_name(name))
        stream = stream_records(of.data.train)
        keys.add(table_key(stream, "same", "pairs", Renderer(tokenizer()), of.data, with_completions=False))
    assert len(keys) == 2


def test_the_code_of_layouts_is_part_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from palate.train import token_key

    hashed: list[str] = []
    real = Path.read_bytes
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda path: hashed.append(path.as_posix()) or real(path))
        token_key._code_hash.__wrapped__()
    names = {"/".join(Path(path).parts[-3:]) for path in hashed}
    assert {"palate/data/reading.py", "data/layouts/pairs.py", "palate/engine/tokens.py"} <= names


def test_records_without_a_file_are_named_by_all_that_they_say(data: Path) -> None:
    """A difference of scores stands beside the texts, and decides which pairs are made."""
    of = recipe(data)
    names = set()
    for gap in (1, 2, 2):
        stream = stream_records(of.data.train)
        stated = [record for record in stream if not hasattr(record, "reason")]
        stated[0].provenance.detail["gap"] = gap
        stream.__class__ = type("Listed", (RecordStream,), {"__iter__": lambda self, of=stated: iter(of)})
        stream.options = stream.options.model_copy(update={"source": "some/hub-name"})
        names.add(content_hash(stream))
    assert len(names) == 2


def refused(number: int) -> Any:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def test_columns_that_do_not_fit_say_why(tmp_path: Path) -> None:
    """numpy by itself says only how many items it has written."""
    columns = TableWriter(io.BytesIO(), io.BytesIO()).finish()
    columns["entries"] = np.zeros(5000, columns["entries"].dtype)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            save_columns(columns, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def read_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The superuser of a test machine may write whatever the permissions say."""
    monkeypatch.setattr(Path, "rename", refused(errno.EROFS))
    monkeypatch.setattr("palate.train.token_store.ensure_folder", refused(errno.EROFS))


def test_a_damaged_table_that_cannot_be_moved_is_made_for_the_run(
    data: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encoded(recipe(data))
    expected = contents(first[0])
    (folder,) = (path for path in tokens_folder().iterdir() if path.is_dir())
    (folder / "entries.npy").unlink()
    read_only(home, monkeypatch)
    watcher = Notes()
    again = encoded(recipe(data), watcher)
    assert (contents(again[0]), again[2]) == (expected, first[2])
    assert "damaged" in watcher.said[0]
    assert "not kept for later runs" in watcher.said[1]


def test_no_room_anywhere_is_an_error_that_says_where(
    data: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only(home, monkeypatch)
    monkeypatch.setattr("palate.train.token_store.save_columns", refused(errno.ENOSPC))
    with pytest.raises(ArtifactError, match="No space left") as caught:
        encoded(recipe(data))
    assert "PALATE_HOME" in str(caught.value)


@pytest.mark.parametrize("file", ["tokens.bin", "entries.npy", "texts.bin", "manifest.json"])
def test_a_flipped_bit_is_noticed_and_the_table_made_anew(data: Path, file: str) -> None:
    first, _, num_first = encoded(recipe(data))
    expected = contents(first)  # before the file under it changes
    (folder,) = (path for path in tokens_folder().iterdir() if path.is_dir())
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content)
    watcher = Notes()
    again, _, num_again = encoded(recipe(data), watcher)
    assert num_again == num_first
    assert contents(again) == expected
    assert "damaged" in watcher.said[0]
    assert folder.with_name(f"{folder.name}.damaged").is_dir()
    assert num_tokenised(recipe(data)) == 0


def test_what_cannot_be_kept_is_made_for_the_run_and_told(data: Path, home: Path) -> None:
    home.mkdir()
    (home / "tokens").write_text("a file where a folder should be")
    watcher = Notes()
    found = encoded(recipe(data), watcher)
    assert len(found[0]) + len(found[1]) == 30
    assert "not kept for later runs" in watcher.said[0]


def test_an_error_leaves_no_table(data: Path) -> None:
    with pytest.raises(DataError, match="max_length"):
        encoded(recipe(data, "data.max_length=20", "data.too_long=error"))
    assert [path for path in tokens_folder().iterdir() if path.is_dir()] == []
    assert num_tokenised(recipe(data)) > 0


def test_a_disk_without_room_is_told_before(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.train.checkpoint.free_bytes", lambda path: 100)
    with pytest.raises(ArtifactError, match="the tokens of these data will not fit"):
        encoded(recipe(data))


def test_mismatched_are_of_another_prompt_and_the_next_in_the_order_of_keys(data: Path) -> None:
    """By hand: sorted by key, each takes the preferred completion of the next with another prompt."""
    of = recipe(data, "objective.type=kto", "data.eval_fraction=0")
    renderer = Renderer(tokenizer())
    found = encode_data(of, stream_records(of.data.train), None, renderer)[0].examples
    ordered = [found[int(i)] for i in found.by_key()]
    said = {e.id: found.table.completion(int(p)) for e, p in zip(found, found.places, strict=True)}
    asked = {e.id: found.table.prompt(int(p)) for e, p in zip(found, found.places, strict=True)}
    for i, example in enumerate(ordered):
        others = (ordered[(i + j) % len(ordered)] for j in range(1, len(ordered)))
        other = next(o for o in others if o.prompt_id != example.prompt_id)
        expected = renderer.render(asked[example.id], said[other.id]).branch
        assert example.mismatched is not None
        assert example.mismatched.key == expected.key


def test_a_run_of_one_prompt_over_the_end_of_the_order(tmp_path: Path) -> None:
    """Two prompts only: whatever the order of keys, nobody gets a completion of their own prompt."""
    two = [{"prompt": f"Say {p}", "chosen": f"{w} {p}", "rejected": f"not {w}"} for p in "ab" for w in WORDS]
    of = recipe(write_rows(tmp_path / "two.jsonl", two), "objective.type=kto", "data.eval_fraction=0")
    found = encode_data(of, stream_records(of.data.train), None, Renderer(tokenizer()))[0].examples
    own = {prompt: set() for prompt in {example.prompt_id for example in found}}  # type: ignore[var-annotated]
    for example in found:
        own[example.prompt_id].add(tuple(example.branches[0].token_ids[example.branches[0].scored]))
    shared = set.intersection(*own.values())
    for example in found:
        crossed = tuple(example.mismatched.token_ids[example.mismatched.scored])  # type: ignore[union-attr]
        assert crossed not in own[example.prompt_id] - shared


def _encode_elsewhere(args: tuple[str, str]) -> int:
    import os

    os.environ["PALATE_HOME"] = args[1]
    return num_tokenised(recipe(Path(args[0])))


def test_of_several_processes_one_makes_it(data: Path, home: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        counts = pool.map(_encode_elsewhere, [(str(data), str(home))] * 3, chunksize=1)
    assert sorted(count > 0 for count in counts) == [False, False, True]


def test_more_rows_than_a_batch_in_their_order(tmp_path: Path) -> None:
    many = rows(900, 2)
    of = recipe(write_rows(tmp_path / "many.jsonl", many), "data.eval_fraction=0")
    found = encoded(of)[0]
    assert [example.id for example in found.examples] == [p.id for p in read_records(of.data.train).records]
    assert found.examples.table.prompt(899)[-1] == Message("user", many[899]["prompt"])
