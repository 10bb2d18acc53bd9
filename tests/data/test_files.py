"""Files as rows: every format, and every way a file can be broken that we have heard of."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from palate.data import read_records
from palate.data.files import format_of, read_file, read_lines
from palate.errors import DataError
from palate.recipe import SourceOptions

ROWS = [
    {"prompt": "What is a mill?", "chosen": "A house\nthat grinds.", "rejected": 'Noise; "much", noise'},
    {"prompt": "磨坊？", "chosen": "磨麵的地方 🌾", "rejected": "  spaces kept  "},
]
FORMATS = ["json", "jsonl", "ndjson", "csv", "parquet"]


def read(path: str) -> list[dict]:
    rows = list(read_file(path))
    assert not any(row.problem for row in rows), rows
    return [dict(row.fields) for row in rows]


def problems(path: str) -> list[tuple[int, str]]:
    return [(row.line, row.problem) for row in read_file(path) if row.problem]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_every_format_gives_the_same_rows(write, suffix, packed):
    assert read(write(f"rows.{suffix}{packed}", ROWS)) == ROWS


@pytest.mark.parametrize("suffix", ["JSON", "Jsonl", "CSV", "CSV.GZ"])
def test_the_case_of_an_extension_does_not_matter(tmp_path, write, suffix):
    plain = Path(write(f"rows.{suffix.lower()}", ROWS))
    shouting = plain.rename(tmp_path / f"again.{suffix}")
    assert read(str(shouting)) == ROWS


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(write, suffix):
    plain = Path(write(f"rows.{suffix}", ROWS)).read_bytes()
    assert read(write(f"marked.{suffix}", b"\xef\xbb\xbf" + plain)) == ROWS


def test_lists_and_structs_come_out_of_parquet_as_they_are(write):
    rows = [{"prompt": [{"role": "user", "content": "hm?"}], "n": 3}]
    assert read(write("rows.parquet", rows)) == rows


def test_content_decides_whether_a_file_is_compressed(write):
    line = json.dumps(ROWS[0]).encode() + b"\n"
    assert read(write("packed_without_saying.jsonl", gzip.compress(line))) == ROWS[:1]
    path = Path(write("unpacked_on_the_way.jsonl.gz", ROWS))
    path.write_bytes(line)
    assert read(str(path)) == ROWS[:1]


def test_json_may_hold_one_obvious_list(write):
    assert read(write("rows.json", json.dumps({"version": 2, "data": ROWS, "note": {}}))) == ROWS


def test_json_with_several_lists_is_ambiguous_and_names_them(write):
    with pytest.raises(DataError, match="several lists: old, new"):
        read(write("rows.json", json.dumps({"old": ROWS, "new": ROWS})))


def test_json_with_splits_gives_the_rows_of_all_of_them(write):
    tree = {"train": {"articles": {"samples": ROWS[:1], "num_samples": 1}}, "test": ROWS[1:]}
    assert read(write("rows.json", json.dumps(tree))) == [
        ROWS[0] | {"split": "train", "category": "articles"},
        ROWS[1] | {"split": "test"},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"a": {"b": 1}}', "no list of rows; its keys: a"), ("5", "holds a number"), ("null", "null")],
)
def test_json_without_a_list(write, text, message):
    with pytest.raises(DataError, match=message):
        read(write("rows.json", text))


def test_json_lines_under_the_name_json(write):
    assert read(write("rows.json", "".join(json.dumps(row) + "\n" for row in ROWS))) == ROWS


def test_broken_json_names_its_line(write):
    path = write("rows.json", '[\n{"a": 1},\n{"a": }\n]')
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.where == f"{path}:3"


def test_a_json_array_counts_records(write):
    path = write("rows.json", '[{"a": 1}, 5, null, "text", [1], {"a": 2}]')
    assert [row.line for row in read_file(path)] == [1, 2, 3, 4, 5, 6]
    kinds = ["a number", "null", "text", "a list"]
    assert problems(path) == [
        (line, f"a row is an object with columns, this is {kind}") for line, kind in enumerate(kinds, 2)
    ]


def test_broken_json_lines_cost_themselves_and_keep_real_line_numbers(write):
    path = write("rows.jsonl", '{"a": 1}\n\n{"a": \n  \n[1]\n{"a": 2}\r\n{"a": 3}')
    assert [(row.line, dict(row.fields)) for row in read_file(path) if not row.problem] == [
        (1, {"a": 1}),
        (6, {"a": 2}),
        (7, {"a": 3}),
    ]
    assert problems(path) == [
        (3, "not JSON: expecting value"),
        (5, "a row is an object with columns, this is a list"),
    ]


def test_only_a_newline_ends_a_json_line(write):
    text = "next line\x85 separator\u2028 feed\x0c"
    row = json.dumps({"a": text}, ensure_ascii=False).replace("\\f", "\x0c")
    assert problems(write("control.jsonl", row)) == [(1, "not JSON: invalid control character at")]
    assert read(write("rows.jsonl", json.dumps({"a": text[:-1]}, ensure_ascii=False) + "\n")) == [
        {"a": text[:-1]}
    ]


def test_a_key_said_twice_is_not_silently_the_last(write):
    path = write("rows.jsonl", '{"a": 1, "a": 2}\n{"a": 1}\n')
    assert problems(path) == [
        (1, 'a row is an object with columns, this is an object with the key "a" twice')
    ]
    assert len(problems(write("rows.json", '[{"a": 1, "a": 2}, {"a": 1}]'))) == 1


@pytest.mark.parametrize(
    "inner", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, "9" * 5000]
)
def test_deep_nesting_and_huge_numbers_cost_one_row(write, inner):
    path = write("rows.jsonl", '{"a": ' + inner + '}\n{"a": 1}\n')
    assert [line for line, _ in problems(path)] == [1]
    with pytest.raises(DataError):
        read(write("rows.json", '[{"a": ' + inner + "}]"))


def test_bytes_that_are_not_utf8_stay_in_their_row(write):
    rows = list(read_file(write("rows.jsonl", b'{"a": "caf\xe9"}\n{"a": "caf\xc3\xa9"}\n')))
    assert [row.fields["a"] for row in rows] == ["caf\udce9", "café"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.json", "rows.csv.gz"])
def test_utf16_is_named(write, encoding, name):
    mark = "" if encoding == "utf-16" else "\ufeff"
    with pytest.raises(DataError, match="UTF-16"):
        read(write(name, (mark + "prompt,chosen").encode(encoding)))


def test_csv_lines_are_physical(write):
    text = 'a,b\r\n"one\nrow\n\nof four",1\r\n\r\n2,2\r\n'
    rows = list(read_file(write("rows.csv", text)))
    assert [(row.line, dict(row.fields)) for row in rows] == [
        (2, {"a": "one\nrow\n\nof four", "b": "1"}),
        (7, {"a": "2", "b": "2"}),
    ]


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_line_ends_inside_a_text_stay_as_they_are(write, suffix):
    rows = [{"a": "one\r\ntwo\rthree\nfour", "b": "x"}]
    assert read(write(f"rows.{suffix}", rows)) == rows


def test_csv_rows_of_another_width_are_problems_at_their_lines(write):
    path = write("rows.csv", 'a,b\n1\n"x\ny",2\n1,2,3\n4,5\n')
    assert problems(path) == [
        (2, "the row has 1 cells where the header has 2"),
        (5, "the row has 3 cells where the header has 2"),
    ]
    assert len(list(read_file(path))) == 4


def test_a_quote_that_never_closes_is_said_and_not_swallowed(write):
    path = write("rows.csv", 'a,b\n1,2\n"open,3\n4,5\n6,7\n')
    rows = list(read_file(path))
    assert [row.line for row in rows] == [2, 3]
    assert "never closed" in rows[1].problem
    assert rows[1].text == "lines 3 to 5"


def test_text_after_a_closing_quote_is_not_glued_on(write):
    path = write("rows.csv", 'a,b\n"one"two,2\n3,4\n')
    ((line, problem),) = problems(path)
    assert line == 2
    assert problem.startswith("not CSV")
    assert [dict(row.fields) for row in read_file(path) if not row.problem] == [{"a": "3", "b": "4"}]


def test_a_csv_cell_longer_than_the_csv_modules_own_limit(write):
    long = "x" * 200_000
    assert read(write("rows.csv", [{"a": long, "b": "1"}])) == [{"a": long, "b": "1"}]


def test_a_column_that_stands_twice(write):
    with pytest.raises(DataError, match="column name stands twice: chosen"):
        read(write("rows.csv", "chosen,chosen,b\n1,2,3\n"))


def test_columns_without_a_name_may_repeat(write):
    assert len(read(write("rows.csv", ",,a\n0,0,x\n"))) == 1


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_compressed_file_cut_off_is_an_error(write, suffix):
    whole = Path(write(f"rows.{suffix}.gz", [{"prompt": f"{i} {'mill' * i}"} for i in range(500)]))
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(DataError, match="compressed file is broken"):
        list(read_file(str(whole)))


def test_a_compressed_file_with_flipped_bits_is_an_error(write):
    path = Path(write("rows.jsonl.gz", [{"prompt": f"{i}"} for i in range(500)]))
    packed = bytearray(path.read_bytes())
    packed[len(packed) // 2] ^= 0xFF
    path.write_bytes(packed)
    with pytest.raises(DataError, match="compressed file is broken"):
        list(read_file(str(path)))


def test_only_the_gzip_magic(write, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match="compressed file is broken"):
        list(read_file(str(path)))


def test_parquet_that_is_none(write):
    with pytest.raises(DataError, match="not readable as Parquet"):
        read(write("rows.parquet", b"PAR1 not really"))
    whole = Path(write("cut.parquet", ROWS))
    whole.write_bytes(whole.read_bytes()[:-9])
    with pytest.raises(DataError, match="not readable as Parquet"):
        read(str(whole))


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        list(read_file(str(tmp_path / "absent.csv")))
    with pytest.raises(DataError, match="cannot be opened"):
        list(read_file("nul\x00.csv"))


@pytest.mark.parametrize("name", ["folder", "folder.csv", "folder.txt"])
@pytest.mark.parametrize(
    ("held", "said"),
    [
        ([], "it is empty"),
        (["notes.md", "more"], "it holds more, notes.md, and none of it is a .json,"),
        (["b.csv", "notes.md", "a.jsonl.gz"], "name one file in it: a.jsonl.gz, b.csv"),
        ([f"{i}.json" for i in range(9)], "0.json, 1.json, 2.json, 3.json, 4.json and 4 more"),
        (["\x1b[2J.csv"], r"name one file in it: \x1b[2J.csv"),
    ],
)
def test_a_folder_says_what_is_in_it(tmp_path, name, held, said):
    folder = tmp_path / name
    folder.mkdir()
    for file in held:
        (folder / file).touch()
    for read_it in (read_file, read_lines):
        with pytest.raises(DataError) as caught:
            list(read_it(str(folder)))
        assert caught.value.what == "this is a folder, a file was expected"
        assert said in str(caught.value)


def test_a_folder_is_no_hub_data_set_and_is_said_to_be_a_folder(tmp_path, monkeypatch):
    (tmp_path / "somebody" / "titles").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="this is a folder"):
        read_records(SourceOptions(source="somebody/titles"))


def test_a_pipe_is_refused_and_not_waited_on(tmp_path):
    path = tmp_path / "rows.jsonl"
    os.mkfifo(path)  # nobody writes into it: opening it would wait for ever
    for read_it in (read_file, read_lines):
        with pytest.raises(DataError, match="this is a pipe, a file was expected"):
            list(read_it(str(path)))


def test_a_device_is_refused(tmp_path):
    link = tmp_path / "rows.jsonl"
    link.symlink_to("/dev/zero")  # it has no end
    with pytest.raises(DataError, match="this is a device, a file was expected"):
        list(read_file(str(link)))


def test_a_link_to_a_file_is_a_file(tmp_path, write):
    link = tmp_path / "link.jsonl"
    link.symlink_to(write("rows.jsonl", ROWS))
    assert read(str(link)) == ROWS


@pytest.mark.parametrize("name", ["rows.xlsx", "rows.gz", "rows", "rows.pkl", "rows.csv.zip"])
def test_an_unknown_extension_lists_the_known(write, tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        list(read_file(str(tmp_path / name)))
    assert ".parquet" in caught.value.next


def test_format_of():
    assert [format_of(name) for name in ("a.b.JSON", "a.csv.gz", "a", "a.gz", "v1.5/a")] == [
        ".json",
        ".csv",
        "",
        "",
        "",
    ]


def test_no_file_stays_open(write, recwarn):
    for name in ("rows.jsonl", "rows.csv.gz", "rows.parquet.gz"):
        next(iter(read_file(write(name, ROWS))))
    import gc

    gc.collect()
    assert [w for w in recwarn if issubclass(w.category, ResourceWarning)] == []
