"""What a file needs to be read does not grow with the file, whatever it holds.

Each reading is a process of its own, whose highest memory the system tells; what Python and its imports take
is measured with a file of two rows and taken off.
"""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

MEGABYTE = 1024 * 1024
ROW = {"prompt": "a?", "chosen": "b", "rejected": "c"}
LINE = json.dumps(ROW).encode() + b"\n"

READ = """
import sys, resource
from palate.data import stream_records
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import SetAside
if sys.argv[1].endswith((".parquet", ".parquet.gz")):
    import pyarrow.parquet
kept = set_aside = 0
said = ""
try:
    for item in stream_records(SourceOptions(source=sys.argv[1], layout="strings")):
        if isinstance(item, SetAside):
            set_aside += 1
            said = item.reason
        else:
            kept += 1
except DataError as error:
    said = error.what
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(kept, set_aside, peak, said, sep="\\t")
"""


def read(path: Path) -> tuple[int, int, int, str]:
    """Rows kept, rows set aside, the highest memory in MB, and what was said last."""
    # A shell between: a child starts with the highest memory of the process that it was forked from.
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@"', "sh", sys.executable, "-c", READ, str(path)],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    kept, set_aside, peak, said = done.stdout.rstrip("\n").split("\t")
    return int(kept), int(set_aside), int(peak), said


def plain(folder: Path, suffix: str) -> int:
    path = folder / f"two.{suffix}"
    write_rows(path, 2)
    return read(path)[2]


def write_rows(path: Path, num_rows: int) -> None:
    row = {"rejected": "no " * 40}
    rows = (row | {"prompt": f"{i}? " * 20, "chosen": f"{i} yes " * 20} for i in range(num_rows))
    match path.suffix:
        case ".jsonl":
            with path.open("w") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
        case ".json":
            with path.open("w") as file:
                file.write("[" + ",\n".join(json.dumps(row) for row in rows) + "]")
        case ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(ROW))
                writer.writeheader()
                writer.writerows(rows)
        case ".parquet":
            import pyarrow
            import pyarrow.parquet

            # One row group: what is held is pages, and not the group.
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path, row_group_size=num_rows)


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_memory_does_not_grow_with_the_rows(tmp_path, suffix):
    """100,000 rows of some 400 bytes are 40 MB; five times the rows of 20,000 take no more."""
    peaks = []
    for num_rows in (20_000, 100_000):
        path = tmp_path / f"rows{num_rows}.{suffix}"
        write_rows(path, num_rows)
        kept, set_aside, peak, _ = read(path)
        assert (kept, set_aside) == (num_rows, 0)
        peaks.append(peak)
        path.unlink()
    assert peaks[1] - peaks[0] < 12, peaks


def pack(path: Path, parts: Iterable[bytes]) -> None:
    with gzip.open(path, "wb", 1) as file:
        for part in parts:
            file.write(part)


def of(character: bytes, num_megabytes: int) -> Iterable[bytes]:
    return (character * MEGABYTE for _ in range(num_megabytes))


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_a_line_of_100_mb_costs_itself(tmp_path, packed):
    path = tmp_path / f"rows.jsonl{packed}"
    parts = [LINE, b'{"prompt": "', *of(b"x", 100), b'", "chosen": "b", "rejected": "c"}\n', LINE]
    if packed:
        pack(path, parts)
    else:
        path.write_bytes(b"".join(parts))
    kept, set_aside, peak, said = read(path)
    assert (kept, set_aside, said) == (2, 1, "the line is longer than 16,777,216 characters")
    assert peak - plain(tmp_path, "jsonl") < 60


def test_a_csv_row_of_100_mb_costs_itself_where_the_next_one_is_known(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"prompt,chosen,rejected\na,b,c\n" + b"x" * 100 * MEGABYTE + b",b,c\nd,e,f\n")
    kept, set_aside, peak, said = read(path)
    assert (kept, set_aside, said) == (2, 1, "the row is longer than 16,777,216 characters")
    assert peak - plain(tmp_path, "csv") < 60


@pytest.mark.parametrize(
    ("name", "head", "said"),
    [
        ("rows.jsonl.gz", LINE * 2, "line 3 is longer than 1,073,741,824 characters"),
        ("rows.json.gz", b'[1, "', "row 2 is longer than 16,777,216 characters"),
        pytest.param(
            "rows.csv.gz",
            b'prompt,chosen,rejected\n"',
            "line 2 is longer than 1,073,741,824 characters",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            "rows.parquet.gz",
            b"",
            "this Parquet file inside gzip unpacks to more than 1,073,741,824 bytes",
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["jsonl", "json", "csv", "parquet"],
)
def test_a_small_file_that_unpacks_without_end_is_given_up(tmp_path, name, head, said):
    """More than a GB of one character in some MB: a clear error, and memory for one row."""
    path = tmp_path / name
    pack(path, [head, *of(b"x", 1100)])
    assert path.stat().st_size < 12 * MEGABYTE
    kept, set_aside, peak, found = read(path)
    assert (kept, set_aside, found) == (0, 0, said)
    assert peak - plain(tmp_path, name.split(".")[1]) < 110


@pytest.mark.parametrize("depth", [100_000, 5_000_000])
def test_nesting_without_end_costs_its_row(tmp_path, depth):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(LINE + b'{"prompt": ' + b"[" * depth + b"]" * depth + b"}\n" + LINE)
    kept, set_aside, peak, said = read(path)
    assert (kept, set_aside, said) == (2, 1, "not JSON: it is nested too deeply")
    assert peak - plain(tmp_path, "jsonl") < 60
