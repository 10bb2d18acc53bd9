"""`palate data audit`: what is printed, what a script gets, and how it ends."""

from __future__ import annotations

import ast
import contextlib
import json
import re
from pathlib import Path

import pytest

import palate.data.audit
from palate.cli import main

CLEAN = [
    ("Name a colour.", "Teal, as of a lagoon at noon.", "Grey, the sky of a November."),
    ("Which way is the sea?", "Down that road, past the mill.", "Ask the miller, who knows it."),
]


def _write(path: Path, rows: list[tuple[str, str, str]]) -> str:
    columns = ("prompt", "chosen", "rejected")
    path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    return str(path)


def _run(capsys, *words: str) -> tuple[int, str, str]:
    code = 0
    try:
        main(["data", "audit", *words])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_clean_rows_end_with_0(tmp_path, capsys):
    code, out, _ = _run(capsys, _write(tmp_path / "a.jsonl", CLEAN))
    assert code == 0
    assert "2 rows = 2 pairs + 0 set aside" in out
    assert "nothing found" in out
    assert "leak_prompt" in out  # not checked


def test_an_error_ends_with_1_and_is_shown_before_warnings(tmp_path, capsys):
    rows = [*CLEAN, CLEAN[0], ("Who?", "", "Me.")]
    code, out, _ = _run(capsys, _write(tmp_path / "a.jsonl", rows))
    assert code == 1
    assert out.index("empty_side") < out.index("duplicate_exact") < out.index("set_aside")
    assert "a.jsonl:4" in out
    assert "with  " in out


def test_json_for_scripts(tmp_path, capsys):
    train, held_out = _write(tmp_path / "a.jsonl", CLEAN), _write(tmp_path / "b.jsonl", CLEAN[:1])
    code, out, _ = _run(capsys, train, "--against", held_out, "--json", "--no-near-duplicates")
    said = json.loads(out)
    assert code == 1
    assert (said["num_rows"], said["num_kept"], said["num_set_aside"]) == (2, 2, 0)
    assert said["against"]["num_rows"] == 1
    assert [finding["check"] for finding in said["findings"]] == ["leak_prompt", "leak_completion"]
    assert "duplicate_near" in said["not_checked"]


def test_limit_is_of_the_file_alone(tmp_path, capsys):
    train, held_out = _write(tmp_path / "a.jsonl", CLEAN), _write(tmp_path / "b.jsonl", CLEAN)
    _, out, _ = _run(capsys, train, "--against", held_out, "--limit", "1", "--json")
    said = json.loads(out)
    assert (said["num_rows"], said["against"]["num_rows"]) == (1, 2)


def test_a_page(tmp_path, capsys):
    page = tmp_path / "audit.html"
    _run(capsys, _write(tmp_path / "a.jsonl", [*CLEAN, ("Who?", "", "Me.")]), "--html", str(page))
    assert "empty_side" in page.read_text(encoding="utf-8")


def test_documents(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("Teal, as of a lagoon at noon. And that was all there was to say.")
    _, out, _ = _run(
        capsys, _write(tmp_path / "a.jsonl", CLEAN), "--documents", str(tmp_path / "text.txt"), "--json"
    )
    (finding,) = [finding for finding in json.loads(out)["findings"] if finding["check"] == "not_verbatim"]
    assert finding["count"] == 1


@pytest.mark.parametrize("option", [["--max-length", "64"], ["--template", "chatml"]])
def test_what_only_a_tokenizer_uses_needs_one(tmp_path, capsys, option):
    code, _, err = _run(capsys, _write(tmp_path / "a.jsonl", CLEAN), *option)
    assert code == 2
    assert err.startswith(f"{option[0]}: no effect without --model\n")


def test_what_rows_say_is_not_obeyed_by_the_terminal(tmp_path, capsys):
    rows = [*CLEAN, ("\x1b[31m[bold]Who?", "It was me.", "It was  me.")]
    _, out, _ = _run(capsys, _write(tmp_path / "a.jsonl", rows))
    assert "\x1b[31m" not in out
    assert "[bold]Who?" in out


def test_remedies_name_options_that_there_are(capsys):
    """Every --option in a text of the audit, and every command it is given to."""
    told = " ".join(
        node.value
        for file in Path(palate.data.audit.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    known = {"generate": {"-o"}}
    for command in ("curate", "split", "audit", "inspect"):
        with contextlib.suppress(SystemExit):
            main(["data", command, "--help"])
        known[command] = set(re.findall(r"--?[a-z][a-z-]*", capsys.readouterr().out))
    named = {(said[0], option) for said in re.findall(r"palate (?:data )?(\w+)([^;:.]*)", told)
             for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", said[1])}  # fmt: skip
    assert ("curate", "--balance") in named
    assert not {(command, option) for command, option in named if option not in known[command]}


def test_documents_in_a_column_of_any_name(tmp_path, capsys):
    rows = _write(tmp_path / "a.jsonl", CLEAN)
    documents = tmp_path / "documents.jsonl"
    documents.write_text(
        json.dumps({"note": CLEAN[0][1] + " And so it was.", "by": "a keeper of lights"}) + "\n"
    )
    code, out, _ = _run(capsys, rows, "--documents", str(documents), "--text-column", "note", "--json")
    (finding,) = json.loads(out)["findings"]
    assert (code, finding["check"], finding["count"]) == (1, "not_verbatim", 1)
    assert _run(capsys, rows, "--documents", str(documents))[0] == 2
    code, _, said = _run(capsys, rows, "--text-column", "note")
    assert (code, "without --documents" in said) == (2, True)
