"""`palate generate`: what it writes, what it says, and what it asks again after it was killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from palate.cli import main
from palate.data import read_records
from palate.data.comparisons import read_comparisons
from palate.recipe import SourceOptions
from running_server import RunningServer, running_server

SENTENCE = (
    "The harbour at Saltmarrow freezes for weeks in every winter, and number {n} of its stalls stays open."
)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return tmp_path


@pytest.fixture
def server(here):
    with running_server(here / "server.jsonl") as running:
        yield running


def palate(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["generate", *words])
        raise SystemExit(0)
    return int(ended.value.code or 0)


def write_prompts(folder: Path, *prompts: str) -> str:
    (folder / "prompts.txt").write_text("\n".join(prompts) + "\n", encoding="utf-8")
    return "prompts.txt"


def write_documents(folder: Path, num: int = 2) -> str:
    rows = [
        {"id": f"d{d}", "content": " ".join(SENTENCE.format(n=f"{d}-{n}") for n in range(12)), "link": "https://x.example"}
        for d in range(num)
    ]  # fmt: skip
    rows.append({"id": "short", "content": "Too short."})
    rows.append({"id": "empty", "content": " "})
    (folder / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return "docs.jsonl"


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_candidates_from_a_server(here, server, capsys):
    prompts = write_prompts(here, "Name a river.", "Name a tree.", "<<finish:length;ok>>Name a town.")
    words = [
        "candidates",
        prompts,
        "-o",
        "out/c.jsonl",
        "--model",
        "m",
        "-n",
        "3",
        "--base-url",
        server.base_url,
    ]
    assert palate(*words, "--store", "s.sqlite3", "--json") == 0
    account = json.loads(capsys.readouterr().out)
    assert account["statuses"] == {"answered": 6, "truncated": 3}
    assert (account["num_candidates"], account["num_comparisons"]) == (6, 6)
    assert account["num_prompts_without_pair"] == 1
    assert json.loads((here / "out/c.account.json").read_text()) == {
        name: value for name, value in account.items() if name != "files"
    }
    comparisons, set_aside = read_comparisons("out/c.jsonl")
    assert (len(comparisons), set_aside) == (6, ())
    assert len(rows_of(here / "out/c.candidates.jsonl")) == 6
    assert {row["reason"] for row in rows_of(here / "out/c.set_aside.jsonl")} == {
        "truncated: it ran into the limit of 1024 tokens"
    }
    assert len(server.arrivals()) == 9 == len({event["digest"] for event in server.arrivals()})
    assert palate(*words, "--store", "s.sqlite3") == 0
    said = capsys.readouterr().out
    assert "0 new, 9 from the store" in said and "6 candidates, 0 repeats" in said
    assert len(server.arrivals()) == 9


def test_rows_without_a_prompt_and_repeats_are_told_and_lines_are_kept(here, server, capsys):
    prompts = [{"prompt": "One?"}, {"prompt": " "}, {"other": "x"}, {"prompt": "One?"}]
    rows = [*prompts, {"prompt": "<<finish:length>>Two?"}, {"prompt": "Three?"}]
    (here / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = [
        "candidates",
        "p.jsonl",
        "-o",
        "c.jsonl",
        "--model",
        "m",
        "-n",
        "2",
        "--base-url",
        server.base_url,
    ]
    assert palate(*words) == 0
    assert "2 rows set aside, 1 prompts left out" in capsys.readouterr().out
    account = json.loads((here / "c.account.json").read_text())
    assert (account["num_prompts"], account["num_prompts_repeated"]) == (3, 1)
    assert account["num_prompt_rows_set_aside"] == 2 == sum(row["count"] for row in account["set_aside"])
    aside = rows_of(here / "c.set_aside.jsonl")
    assert [(row["stage"], row["line"]) for row in aside] == [
        ("prompts", 2), ("prompts", 3), ("asking", 5), ("asking", 5),
    ]  # fmt: skip
    assert aside[-1]["prompt"] == [{"role": "user", "content": "<<finish:length>>Two?"}]
    assert [c.provenance.line for c in read_comparisons("c.jsonl")[0]] == [1, 6]
    assert [row["line"] for row in rows_of(here / "c.candidates.jsonl")] == [1, 1, 6, 6]
    words = ["contrast", "p.jsonl", "-o", "x.jsonl", "--strong", "m", "--weak", "w"]
    assert palate(*words, "--strong-base-url", server.base_url, "--weak-base-url", server.base_url) == 1
    assert "2 rows set aside, 1 prompts left out" in capsys.readouterr().out
    assert [(row["stage"], row["line"]) for row in rows_of(here / "x.set_aside.jsonl")] == [
        ("prompts", 2), ("prompts", 3), ("pairing", 1), ("asking", 5), ("asking", 5), ("pairing", 6),
    ]  # fmt: skip


def test_a_request_that_fails_is_told_and_asked_again(here, server, capsys):
    prompts = write_prompts(here, "<<status:400;ok>>Name a river.", "Name a tree.")
    words = ["candidates", prompts, "-o", "c.jsonl", "--model", "m", "-n", "2", "--base-url", server.base_url]
    assert palate(*words, "--store", "s.sqlite3") == 1
    said = capsys.readouterr()
    assert "2 of 4 requests were not answered" in said.err and "same command again" in said.err
    assert "HTTP 400" in said.err
    assert len(read_comparisons("c.jsonl")[0]) == 1
    assert palate(*words, "--store", "s.sqlite3") == 0
    assert len(read_comparisons("c.jsonl")[0]) == 2
    assert len(server.arrivals()) == 6


def test_a_budget_stops_it_and_the_rest_comes_later(here, server, capsys):
    prompts = write_prompts(here, *(f"Prompt {n}" for n in range(20)))
    words = ["contrast", prompts, "-o", "x.jsonl", "--strong", "big", "--weak", "small",
             "--store", "s.sqlite3", "--strong-base-url", server.base_url, "--weak-base-url", server.base_url,
             "--concurrency", "1", "--max-tokens", "50"]  # fmt: skip
    assert palate(*words, "--budget-tokens", "400") == 1
    said = capsys.readouterr()
    assert "not_asked" in said.out and "requests were not answered" in said.err
    num_first = len(server.arrivals())
    assert 0 < num_first < 40
    palate(*words)
    assert len(server.arrivals()) == 40


def test_triples_from_a_server_whose_answers_are_not_from_the_extract(here, server, capsys):
    documents = write_documents(here)
    words = ["triples", documents, "-o", "t.jsonl", "--model", "m", "--base-url", server.base_url, "-k", "2"]
    assert palate(*words, "--store", "s.sqlite3") == 1
    said = capsys.readouterr()
    assert "4 documents = 2 used + 1 too short + 1 set aside" in said.out
    assert "2 triples = 0 pairs + 2 not verbatim + 0 filtered + 0 repeated" in said.out
    assert "no pairs came out" in said.err
    assert not (here / "t.jsonl").exists()
    rows = rows_of(here / "t.set_aside.jsonl")
    assert Counter(row["stage"] for row in rows) == {"documents": 2, "triples": 2}


def test_extracts_only_prints_lines_and_asks_nobody(here, capsys):
    documents = write_documents(here)
    assert palate("triples", documents, "--extracts-only") == 0
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert [row["document"] for row in rows] == ["d0", "d1"]
    assert rows[0]["text"] == " ".join(rows[0]["sentences"]) and rows[0]["link"] == "https://x.example"
    assert "24 sentences in 2 extracts" in said.err
    assert palate("triples", documents, "--extracts-only", "-o", "e.jsonl", "--json") == 0
    assert json.loads(capsys.readouterr().out)["num_extracts"] == 2
    assert rows_of(here / "e.jsonl") == rows


def test_extracts_need_no_torch(here):
    program = (
        "import sys\nfrom palate.cli import main\n"
        "try:\n    main(['generate', 'triples', 'docs.jsonl', '--extracts-only'])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
    )
    write_documents(here)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["candidates", "prompts.txt", "-o", "c.csv", "--model", "m"], "no format"),
        (["candidates", "prompts.txt", "-o", "c.jsonl", "--model", "m", "--concurrency", "3"], "no effect"),
        (["candidates", "prompts.txt", "-o", "c.jsonl", "--model", "m", "--budget-tokens", "3"], "no effect"),
        (["candidates", "prompts.txt", "-o", "c.jsonl", "--model", "m", "--base-url", "http://127.0.0.1:9/v1",
          "--batch-size", "3"], "no effect"),
        (["candidates", "prompts.txt", "-o", "c.jsonl", "--model", "m", "--base-url", "http://127.0.0.1:9/v1",
          "--budget", "3"], "--prices"),
        (["candidates", "absent.txt", "-o", "c.jsonl", "--model", "m"], "no such file"),
        (["candidates", "playground", "-o", "c.jsonl", "--model", "m", "--system", "x"], "no effect"),
        (["contrast", "prompts.txt", "-o", "c.jsonl", "--strong", "m", "--weak", "n", "--strong-base-url",
          "http://127.0.0.1:9/v1", "--weak-base-url", "http://127.0.0.1:9/v1", "--store", "s.sqlite3",
          "--seed", "3", "--no-server-seeds"], "--seed 3: no effect"),
        (["candidates", "prompts.txt", "-o", "c.jsonl", "--model", "m", "--limit", "0"], "--limit"),
        (["candidates", "prompts.txt", "-o", "c.jsonl", "--model", "m", "--base-url", "http://127.0.0.1:9/v1",
          "--max-tokens", "0"], "max_tokens"),
        (["triples", "docs.jsonl", "-o", "t.jsonl"], "needed: --model"),
        (["triples", "docs.jsonl"], "needed: --output and --model"),
        (["triples", "docs.jsonl", "--extracts-only", "--limit", "0"], "take 1 document"),
        (["triples", "docs.jsonl", "--extracts-only", "--limit", "-3"], "take 1 document"),
        (["triples", "docs.jsonl", "--extracts-only", "-k", "3"], "--num-triples: no effect"),
        (["triples", "docs.jsonl", "--extracts-only", "--no-check-form"], "--no-check-form: no effect"),
        (["triples", "docs.jsonl", "--extracts-only", "-o", "e.parquet"], "written as JSONL"),
        (["candidates", "prompts.txt", "-o", "c.jsonl", "--model", "m", "--base-url", "http://127.0.0.1:9/v1",
          "--api-key-env", "PALATE_UNSET"], "PALATE_UNSET is not set"),
        (["triples", "docs.jsonl", "--extracts-only", "--model", "m"], "no effect"),
        (["triples", "docs.jsonl", "--extracts-only", "--concurrency", "3"], "no effect"),
        (["triples", "docs.jsonl", "--extracts-only", "--language", "xx"], "no rules"),
        (["contrast", "prompts.txt", "-o", "x.jsonl", "--strong", "m", "--weak", "m",
          "--strong-base-url", "http://127.0.0.1:9/v1", "--weak-base-url", "http://127.0.0.1:9/v1"],
         "one model"),
    ],
)  # fmt: skip
def test_wrong_calls(here, words, said, capsys):
    write_prompts(here, "Name a river.")
    write_documents(here)
    assert palate(*words) == 2
    assert said in capsys.readouterr().err


def test_no_extract_at_all_is_work_that_fell_short(here, capsys):
    write_documents(here)
    words = ["triples", "docs.jsonl", "--extracts-only", "-o", "e.jsonl", "--min-characters", "5000"]
    assert palate(*words, "--max-characters", "9000") == 1
    told = capsys.readouterr().err
    assert (
        "no document makes an extract" in told and "3: the document has fewer than 5,000 characters" in told
    )
    assert not (here / "e.jsonl").exists()


def test_killed_twice_it_asks_only_for_what_is_missing(here, capsys):
    """SIGKILL while it asks; the server counts. Four in flight at each kill may be asked again."""
    prompts = write_prompts(here, *(f"Prompt {n}" for n in range(30)))
    words = ["candidates", prompts, "-o", "c.jsonl", "--model", "m", "-n", "2", "--concurrency", "4",
             "--store", "s.sqlite3"]  # fmt: skip
    with running_server(here / "server.jsonl", "--delay-seconds", "0.05") as server:
        words += ["--base-url", server.base_url]
        for num_before in (8, 30):
            child = subprocess.Popen([sys.executable, "-m", "palate.cli", "generate", *words])
            _wait_for_arrivals(server, num_before, child)
            child.send_signal(signal.SIGKILL)
            child.wait()
            assert not (here / "c.jsonl").exists()
        assert palate(*words, "--json") == 0
        counts = Counter(event["digest"] for event in server.arrivals())
    account = json.loads(capsys.readouterr().out)
    assert len(counts) == account["num_requests"] == 60
    assert sum(counts.values()) - 60 <= 2 * 4
    assert account["num_from_store"] >= 30 - 2 * 4
    assert len(read_comparisons("c.jsonl")[0]) == account["num_comparisons"] == 30


def _wait_for_arrivals(server: RunningServer, num: int, child: subprocess.Popen) -> None:
    # Counted in the text: the last line may be only half there.
    while not server.log.exists() or server.log.read_text().count('"arrived"') < num:
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)


def test_offline_with_the_playground(here, capsys, monkeypatch):
    """Both commands with no network: comparisons, and pairs whose chosen side is the document's own text."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    words = ["--model", "playground", "--store", "s.sqlite3", "--json"]
    assert palate("candidates", "playground", "-o", "c.jsonl", "-n", "3", "--limit", "2",
                  "--max-tokens", "64", *words) == 0  # fmt: skip
    account = json.loads(capsys.readouterr().out)
    assert account["num_comparisons"] >= 2
    assert account["statuses"] == {"answered": 6}
    documents = write_documents(here, num=1)
    assert palate("triples", documents, "-o", "t.parquet", "-k", "2", "--max-tokens", "1500", *words) == 0
    account = json.loads(capsys.readouterr().out)
    assert account["num_triples"] == 2 and account["num_pairs"] >= 1
    pairs = read_records(SourceOptions(source="t.parquet")).records
    assert len(pairs) == account["num_pairs"]
    texts = {row["id"]: row.get("content") for row in rows_of(here / "docs.jsonl")}
    for pair in pairs:
        assert pair.chosen[0].content in texts[pair.provenance.detail["document"]]
        assert pair.rejected[0].content not in texts[pair.provenance.detail["document"]]
        assert pair.provenance.detail["model"] == "playground"
        (origin,) = pair.provenance.detail["origin"]
        assert origin["source"] == "docs.jsonl" and origin["line"] == 1
