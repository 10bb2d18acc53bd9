"""The audit before a run: what it stops, what it notes, what it keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palate.data import stream_records
from palate.data.audit import audit_source
from palate.engine import Renderer
from palate.errors import DataError
from palate.pipeline import auditing, stages, train_stage
from palate.pipeline.auditing import RendererTokens, audit_before_run
from palate.playground import write_pairs
from palate.recipe import DataOptions, SourceOptions
from palate.report import build_report
from palate.train import RunFolder
from palate.train.run_folder import recipe_fingerprint
from palate.watcher import Watcher
from tiny_run import WORDS, tiny_recipe, tokenizer, write_base, write_rows


class Notes(Watcher):
    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("base"))


def good_rows(num=12):
    return [
        {
            "prompt": f"Say {WORDS[n % 10]} {n}",
            "chosen": f"the {WORDS[(n * 3 + 1) % 10]} {n} is old",
            "rejected": f"a {WORDS[(n * 7 + 2) % 10]} {n} was new",
        }
        for n in range(num)
    ]


BROKEN = {"prompt": "Who?", "chosen": "Me.<|eot_id|>", "rejected": "You."}
WAIVED = "data.audit.allow=[template_token]"


@pytest.fixture
def recipe_of(tmp_path, base):
    def make(*overrides, rows=None, name="run"):
        data = write_rows(tmp_path / "rows.jsonl", good_rows() if rows is None else rows)
        return tiny_recipe(tmp_path, base, "train.max_steps=1", *overrides, name=name, data=data)

    return make


def stored(recipe):
    return json.loads((Path(recipe.output) / "audit.json").read_text())


def test_a_run_keeps_its_audit_and_its_report_tells_of_it(recipe_of):
    recipe = recipe_of(rows=[*good_rows(), {"prompt": "Who?", "chosen": "", "rejected": "You."}])
    train_stage(recipe)
    found = stored(recipe)
    assert (found["num_rows"], found["num_kept"], found["num_set_aside"]) == (13, 12, 1)
    # An empty side is an error, but its row is set aside and harms nobody.
    assert next((f["check"], f["severity"], f["num_kept"]) for f in found["findings"]) == (
        "empty_side",
        "error",
        0,
    )
    page = build_report(Path(recipe.output)).read_text(encoding="utf-8")
    assert "Audit of the data" in page
    assert "empty_side" in page


def test_an_error_in_rows_that_would_be_trained_on_stops_the_run(recipe_of):
    recipe = recipe_of(rows=[*good_rows(), BROKEN])
    with pytest.raises(DataError) as caught:
        train_stage(recipe)
    said = str(caught.value)
    for words in ("template_token (1)", "rows.jsonl:13", "palate data audit", WAIVED):
        assert words in said
    assert not RunFolder(recipe.output).checkpoints.exists()
    assert stored(recipe)["findings"][0]["check"] == "template_token"


def test_what_is_allowed_is_trained_on_and_written_down(recipe_of, monkeypatch):
    rows = [*good_rows(), BROKEN]
    with pytest.raises(DataError):
        train_stage(recipe_of(rows=rows))
    monkeypatch.setattr(auditing, "audit_source", None)  # what was found is known already
    recipe = recipe_of(WAIVED, rows=rows)
    assert train_stage(recipe)["status"] == "done"
    assert stored(recipe)["allowed"] == ["template_token"]


def test_an_error_in_held_out_rows_is_said_to_be_there(recipe_of, tmp_path):
    """The command that is named has to find it."""
    held_out = write_rows(tmp_path / "held out.jsonl", [*good_rows(3), BROKEN])
    with pytest.raises(DataError, match="trained or measured on") as caught:
        audit(recipe_of(), against=SourceOptions(source=str(held_out)))
    assert f"--against '{held_out}' says more" in str(caught.value)


def test_what_a_refused_run_is_allowed_is_told_when_it_begins(recipe_of):
    rows = [*good_rows(), BROKEN]
    with pytest.raises(DataError):
        audit(recipe_of(rows=rows))
    first, second = Notes(), Notes()
    audit(recipe_of(WAIVED, rows=rows), first)
    audit(recipe_of(WAIVED, rows=rows), second)
    assert any("template_token" in note for note in first.said)
    assert second.said == []


def test_without_an_audit_nothing_is_looked_at(recipe_of, monkeypatch):
    monkeypatch.setattr(auditing, "audit_source", None)
    recipe = recipe_of("data.audit=null", rows=[*good_rows(), BROKEN])
    assert train_stage(recipe)["status"] == "done"
    assert not (Path(recipe.output) / "audit.json").exists()


def audit(recipe, watcher=None, against=None):
    folder = RunFolder(recipe.output)
    folder.begin(recipe)
    held_out = None if against is None else stream_records(against)
    return audit_before_run(stream_records(recipe.data.train), held_out, recipe, folder, watcher=watcher)


def test_other_data_are_audited_anew(recipe_of):
    first = audit(recipe_of())
    assert audit(recipe_of()) == first
    assert audit(recipe_of(rows=good_rows(11)))["num_rows"] == 11


@pytest.mark.parametrize(
    "change", ["data.max_length=500", "data.audit.near_duplicates=false", "data.template=plain"]
)
def test_other_options_are_another_audit(recipe_of, change):
    assert audit(recipe_of())["of"] != audit(recipe_of(change))["of"]


def test_the_audit_does_not_make_it_another_run(recipe_of):
    prints = {
        recipe_fingerprint(recipe_of(*change))
        for change in ([], ["data.audit=null"], [WAIVED], ["data.audit.near_duplicates=false"])
    }
    assert len(prints) == 1


def test_a_few_lines_are_noted(recipe_of):
    notes = Notes()
    rows = [*good_rows(), {"prompt": "Who?", "chosen": "", "rejected": "You."}, BROKEN]
    audit(recipe_of(WAIVED, rows=rows), notes)
    assert len(notes.said) <= 4
    assert notes.said[0].startswith("audit: error ")


def test_large_data_are_not_searched_for_near_duplicates(recipe_of, monkeypatch):
    monkeypatch.setattr(auditing, "MAX_ROWS_COMPARED", 5)
    monkeypatch.setattr(auditing, "MAX_ROWS_TOKENISED", 5)
    skipped = audit(recipe_of())["not_checked"]
    assert {"duplicate_near", "boundary", "eos", "truncation"} <= skipped.keys()
    assert "above 5 rows" in skipped["duplicate_near"]


def test_what_the_renderer_answers():
    tokens = RendererTokens(Renderer(tokenizer(bos="<s>")), DataOptions())
    assert set(tokens.special_tokens) == {"<|pad|>", "<|im_start|>", "<|im_end|>", "<s>"}
    assert (tokens.ending, tokens.max_length, tokens.too_long) == ("one", 1024, "drop")
    assert RendererTokens(Renderer(tokenizer(), "plain"), DataOptions()).ending == "none"
    assert RendererTokens(Renderer(tokenizer(), "alpaca"), DataOptions()).ending == "none"


def test_an_audit_before_a_run_finds_what_only_tokens_show(recipe_of):
    rows = [*good_rows(), {"prompt": "Who?", "chosen": "the one", "rejected": "the one and " * 200}]
    found = audit(recipe_of("data.max_length=200", rows=rows))
    (truncation,) = [f for f in found["findings"] if f["check"] == "truncation"]
    assert (truncation["count"], truncation["figures"]["share_too_long"]["chosen"]) == (1, 0)


def test_the_playground_is_not_stopped():
    found = audit_source(stream_records(SourceOptions(source=str(write_pairs()))), near_duplicates=False)
    assert not [finding.check for finding in found.findings if finding.blocks_training]
    # Its taste is a way to open and to close a sentence, and the audit sees that.
    assert "one_sided_phrase" in {finding.check for finding in found.findings}


def test_several_processes_stop_together(recipe_of, monkeypatch):
    """The others do not audit: they are told by the main one."""
    recipe = recipe_of(rows=[*good_rows(), BROKEN])
    refusal = DataError("broken", where="rows.jsonl")
    told = type("Told", (), {"is_main": False, "share": lambda self, mine: (mine, refusal)[1]})()
    monkeypatch.setattr(stages, "audit_before_run", None)
    with pytest.raises(DataError, match="broken"):
        stages._audit(recipe, None, None, RunFolder(recipe.output), None, Watcher(), told)


def test_titles_are_not_stopped(tmp_path, base):
    titles = Path(__file__).parents[2].parent / "shared" / "data" / "youtube_titles" / "preferences.csv"
    if not titles.exists():
        pytest.skip("youtube_titles is not at hand: it is looked for in ../shared/data")
    recipe = tiny_recipe(tmp_path, base, data=titles)
    assert SourceOptions(source=str(titles)) == recipe.data.train
    assert audit(recipe)["findings"][0]["check"] == "circular_triad"
