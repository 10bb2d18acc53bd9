"""Documents from rows, text files and folders; what holds none is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palate.data.documents import read_documents
from palate.data.documents.extracts import make_extracts
from palate.errors import DataError


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_rows_with_what_is_known_of_them(tmp_path):
    path = write_rows(
        tmp_path / "d.jsonl",
        [
            {
                "id": 7,
                "Text": "A  fox.",
                "author_full_name": "Ann",
                "url": "https://x.example",
                "title": " T\nt ",
            }
        ],
    )
    ((document,), set_aside) = read_documents(path)
    assert (document.id, document.text, set_aside) == ("7", "A fox.", ())
    assert (document.provenance.source, document.provenance.line) == (path, 1)
    assert document.provenance.detail == {"title": "T t", "author": "Ann", "link": "https://x.example"}


def test_the_list_inside_an_object(tmp_path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"artifact_data": [{"id": "x", "content": "One."}, {"content": "Two."}]}))
    documents, _ = read_documents(str(path))
    assert [d.text for d in documents] == ["One.", "Two."]
    assert documents[0].id == "x" and len(documents[1].id) == 16


def test_rows_in_are_documents_and_set_aside(tmp_path):
    rows = [
        {"content": "One fox."}, {"content": " \u200b "}, {"content": "..."}, {"content": None}, {"other": 1},
        {"content": ["a"]}, {"content": "One\u00a0 fox.\n"}, {"content": "\ud800"}, {"content": "Two."},
    ]  # fmt: skip
    path = write_rows(tmp_path / "d.jsonl", rows)
    with (tmp_path / "d.jsonl").open("a") as file:
        file.write("{broken\n")
    documents, set_aside = read_documents(path)
    assert [d.text for d in documents] == ["One fox.", "Two."]
    assert {row.line: row.reason for row in set_aside} == {
        2: "the text is empty",
        3: "there is no word in the text",
        4: '"content" is null',
        5: '"content" is missing',
        6: '"content" is a list, text was expected',
        7: "the text is that of an earlier document",
        8: "the text holds bytes that are no characters",
        10: next(row.reason for row in set_aside if row.line == 10),
    }
    assert "not JSON" in next(row.reason for row in set_aside if row.line == 10)


def test_one_id_for_two_texts_is_told_apart(tmp_path):
    path = write_rows(tmp_path / "d.jsonl", [{"id": "a", "text": "One."}, {"id": "a", "text": "Two."}])
    first, second = read_documents(path)[0]
    assert first.id == "a" != second.id
    assert second.provenance.detail["id"] == "a"


def test_a_folder_by_name_with_everything_accounted_for(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "z.txt").write_text("Text one.")
    (tmp_path / "a.md").write_text("# Title here\n\nText two.")
    (tmp_path / "c.pdf").write_bytes(b"%PDF")
    (tmp_path / ".hidden.txt").write_text("No.")
    write_rows(tmp_path / "d.jsonl", [{"text": "Row."}])
    documents, set_aside = read_documents(str(tmp_path))
    assert [(d.id, d.text) for d in documents[:2]] == [
        ("a.md", "# Title here\n\nText two."), ("b/z.txt", "Text one."),
    ]  # fmt: skip
    assert documents[0].provenance.detail == {"title": "Title here"}
    assert documents[2].text == "Row." and documents[2].provenance.line == 1
    assert [(row.source, row.reason) for row in set_aside] == [
        (str(tmp_path / "c.pdf"), '".pdf" is no format documents are read from')
    ]


def test_limit_reads_the_first(tmp_path):
    path = write_rows(tmp_path / "d.jsonl", [{"text": f"Row {n}."} for n in range(5)])
    assert [d.text for d in read_documents(path, limit=2)[0]] == ["Row 0.", "Row 1."]


def test_what_cannot_be_told_is_an_error(tmp_path):
    two = write_rows(tmp_path / "two.jsonl", [{"text": "a", "body": "b"}])
    with pytest.raises(DataError, match="several columns may be the text"):
        read_documents(two)
    assert read_documents(two, text_column="body")[0][0].text == "b"
    with pytest.raises(DataError, match="no row has this column"):
        read_documents(two, text_column="bdy")
    with pytest.raises(DataError, match="no column of texts"):
        read_documents(write_rows(tmp_path / "none.jsonl", [{"x": "a"}]))
    (tmp_path / "t.txt").write_text("Hi there.")
    with pytest.raises(DataError, match="has no effect"):
        read_documents(str(tmp_path / "t.txt"), text_column="body")
    with pytest.raises(DataError, match="no such file"):
        read_documents(str(tmp_path / "absent.jsonl"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no documents"):
        read_documents(str(tmp_path / "empty"))
    (tmp_path / "x.docx").write_text("x")
    with pytest.raises(DataError, match="is no format"):
        read_documents(str(tmp_path / "x.docx"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200)
    | st.lists(
        st.dictionaries(st.sampled_from(["content", "id", "link", "title", "x"]), VALUES), max_size=5
    ).map(lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode()),
    st.sampled_from(["txt", "md", "jsonl", "json", "csv"]),
)
def test_any_bytes_are_documents_set_aside_or_an_error_that_is_explained(tmp_path, data, suffix):
    path = tmp_path / f"d.{suffix}"
    path.write_bytes(data)
    try:
        documents, set_aside = read_documents(str(path))
    except DataError as error:
        assert error.what
        return
    assert len(documents) + len(set_aside) >= 1
    assert all(row.reason for row in set_aside)
    found = make_extracts(documents, min_characters=1, max_characters=30)
    told = "".join("".join(e.sentences) for e in found.extracts)
    assert "".join(told.split()) == "".join("".join(d.text.split()) for d in documents)
