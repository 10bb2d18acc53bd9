"""Hub data sets, with `datasets.load_dataset` replaced: no test needs a network."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import datasets
import pytest

from palate.data import read_records
from palate.errors import DataError
from palate.recipe import SourceOptions

ROWS = [
    {"prompt": f"{i}?", "chosen": [{"role": "assistant", "content": "yes"}], "rejected": "no"}
    for i in range(3)
]


@pytest.fixture
def hub(monkeypatch):
    """Puts an answer in the Hub's place and keeps the calls."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def answer_with(answer):
        def load_dataset(*args, **kwargs):
            calls.append((args, kwargs))
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        return calls

    return answer_with


def test_rows_of_a_hub_data_set(hub):
    rows = [{column: [{"role": role, "content": text}] for column, role, text in columns} for columns in (
        (("prompt", "user", "1?"), ("chosen", "assistant", "yes"), ("rejected", "assistant", "no")),
        (("prompt", "user", "2?"), ("chosen", "assistant", "no"), ("rejected", "assistant", "no")),
    )]  # fmt: skip
    calls = hub(datasets.Dataset.from_list(rows))
    found = read_records(SourceOptions(source="somebody/titles", revision="abc"))
    assert (found.layout, found.num_rows, len(found.records)) == ("messages", 2, 1)
    assert found.set_aside[0].place == "somebody/titles:2"
    assert calls == [(("somebody/titles",), {"split": "train", "revision": "abc"})]


def test_the_split_is_passed_on(hub):
    calls = hub(datasets.Dataset.from_list([{"prompt": "1?", "chosen": "yes", "rejected": "no"}]))
    read_records(SourceOptions(source="titles", split="test_prefs"))
    assert calls[0][1]["split"] == "test_prefs"


def test_a_name_that_nobody_has(hub):
    hub(
        datasets.exceptions.DatasetNotFoundError(
            "Dataset 'x/y' doesn't exist on the Hub or cannot be accessed."
        )
    )
    with pytest.raises(DataError, match="no file and no Hub data set") as caught:
        read_records(SourceOptions(source="x/y"))
    assert "hf auth login" in caught.value.next


def test_no_network(hub):
    hub(ConnectionError("Couldn't reach 'x/y' on the Hub"))
    with pytest.raises(DataError, match="cannot be reached") as caught:
        read_records(SourceOptions(source="x/y"))
    assert "a local file needs no network" in caught.value.next


def test_any_other_trouble_is_explained_without_a_traceback(hub):
    hub(ValueError('Unknown split "train". Should be one of ["test"].'))
    with pytest.raises(DataError, match="Unknown split") as caught:
        read_records(SourceOptions(source="x/y"))
    assert "split" in caught.value.next


def test_offline_mode_is_named_by_the_real_library():
    code = (
        "from palate.data import read_records\n"
        "from palate.errors import DataError\n"
        "from palate.recipe import SourceOptions\n"
        "try: read_records(SourceOptions(source='somebody/no-such-data-set'))\n"
        "except DataError as error: print(error)\n"
    )
    environment = {"HF_HUB_OFFLINE": "1", "PATH": "", "HF_HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "HF_HUB_OFFLINE=1 is set" in done.stdout
    assert "unset HF_HUB_OFFLINE" in done.stdout


def test_what_looks_like_a_file_is_never_asked_of_the_hub(hub, tmp_path, monkeypatch):
    calls = hub(AssertionError("asked"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "titles").mkdir()
    for source in (
        "absent.csv",
        "data/absent.jsonl.gz",
        "/absent/file",
        "./absent",
        "a/b/c",
        "titles",
        "a b",
        "x" * 5000 + "/",
    ):
        with pytest.raises(DataError):
            read_records(SourceOptions(source=source))
    assert calls == []


def test_this_room_starts_without_the_heavy_libraries():
    code = (
        "import sys, palate.data, palate.cli.data\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow', 'peft', 'numpy', 'pandas'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
