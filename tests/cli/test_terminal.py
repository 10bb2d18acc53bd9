"""What reaches a terminal: nothing it would obey, no traceback when it is full, closed or interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from palate.cli import main
from palate.cli.console import ConsoleWatcher, error_console, escaped, output_console

OBEYED = "\x1b]0;mine\x07\x1b[31m\x9b2J\r\x08\u202e"
SHOWN = "\\x1b]0;mine\\x07\\x1b[31m\\x9b2J\\r\\x08\\u202e"


def test_escaping() -> None:
    assert escaped(OBEYED) == SHOWN
    for harmless in ("a\tb\nc", "Grüße, 世界, 🙂", "C:\\x1b", "e\u0301 \u200d"):
        assert escaped(harmless) == harmless


@pytest.mark.parametrize(
    "words",
    [
        ["data", "inspect", f"no{OBEYED}.jsonl"],
        ["run", f"no{OBEYED}.yaml"],
        ["run", "recipes/youtube-titles.yaml", f"train.schedule={OBEYED}"],
        ["run", "recipes/youtube-titles.yaml", f"{OBEYED}=1"],
        ["report", f"no{OBEYED}"],
        ["compare", f"no{OBEYED}"],
        ["objectives", OBEYED],
        [f"demo{OBEYED}"],
        ["demo", f"--{OBEYED}"],
    ],
)
def test_an_error_shows_what_was_written(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    assert ended.value.code in (1, 2)
    assert "\\x1b" in said.err
    assert not set(said.out + said.err) & set("\x1b\x07\x9b\r\x08\u202e")


def test_a_result_shows_what_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    """Answers of models, in a table too; rich itself drops some characters, which is as good."""
    table = Table()
    table.add_column("answer")
    table.add_row(Text(f"said {OBEYED}"))
    output_console().print(table)
    output_console().print(f"a file {OBEYED}", markup=False)
    out = capsys.readouterr().out
    assert "said \\x1b]0;mine" in out and "a file \\x1b]0;mine" in out
    assert not set(out) & set("\x1b\x07\x9b\r\x08\u202e")


def test_notes_and_progress_show_what_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = ConsoleWatcher(error_console())
    watcher.note(f"resumed {OBEYED}")
    watcher.begin(f"task {OBEYED}", 3)
    watcher._printed_at = -100.0
    watcher.advance(1, f"loss {OBEYED}")
    watcher.end()
    err = capsys.readouterr().err
    assert "resumed \\x1b" in err and "task \\x1b" in err and "loss \\x1b" in err
    assert not set(err) & set("\x1b\x07\x9b\r\x08\u202e")


def test_colours_of_our_own_reach_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLORTERM": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    output_console().print(Text(OBEYED, style="red"))
    shown = capsys.readouterr().out
    assert shown.startswith("\x1b[31m\\x1b]0;mine") and shown.count("\x1b") == 2


def run_into(stdout: int | None, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "palate", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | environment,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["objectives --json", "objectives", "--help", "--version", "data inspect"])
def test_output_that_is_full(words: str, unbuffered: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    more = [str(rows), "--json"] if words == "data inspect" else []
    with Path("/dev/full").open("w") as full:
        done = run_into(full.fileno(), *words.split(), *more, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert done.stderr == "standard output: the result cannot be written: No space left on device\n"


@pytest.mark.parametrize("words", ["objectives --json", "objectives"])
def test_a_reader_that_has_enough(words: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = run_into(write, *words.split())
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


INTERRUPTED_IMPORT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                signal.pause()
            except KeyboardInterrupt:
                {then}

sys.meta_path.insert(0, Finder())
from palate.cli import main
main({words!r})
"""


@pytest.mark.parametrize("then", ["raise", "raise RecursionError('a half-imported library') from None"])
@pytest.mark.parametrize(
    ("module", "words"),
    [("palate.cli.app", ["--version"]), ("cyclopts", ["--version"]), ("palate.pipeline", ["demo"])],
)
def test_interrupted_while_it_imports(module: str, words: list[str], then: str, tmp_path: Path) -> None:
    """Whatever comes of it: libraries catch the interrupt, and fail over what it left half done."""
    program = INTERRUPTED_IMPORT.format(module=module, words=words, then=then)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 130
    assert done.stdout == ""
    assert done.stderr.startswith("stopped") and done.stderr.count("\n") == 1


def test_ctrl_c_is_given_back(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever calls `main` from Python keeps the handler they had."""
    import signal

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_that_no_one_asked_for_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    import palate.cli.app

    def broken(tokens: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(palate.cli.app, "main", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main([])
