"""The steps of curation: what each removes, in which order, and that no row is lost."""

from __future__ import annotations

import pytest
from curation_rows import curated, kept_lines, label, pair, ranking, removed, stream_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palate.data import read_records, stream_records
from palate.data.audit import audit_source
from palate.data.curation import CurationOptions, curate_records, write_curation
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import SetAside


def test_sides_that_say_the_same_or_nothing(tmp_path):
    rows = [pair("1?", "a  b", "a b"), pair("2?", "\u200b", "a"), pair("3?", "a", "b")]
    curation = curated(tmp_path, rows)
    assert (removed(curation), kept_lines(curation)) == ({"sides": 2}, [3])


def test_lengths_are_of_every_completion_and_of_the_prompt(tmp_path):
    rows = [
        pair("1?", "abc", "abcd"),
        pair("2?", "ab", "abcd"),
        pair("3?", "abc", "abcdef"),
        pair("long?", "abc", "abcd"),
    ]
    curation = curated(tmp_path, rows, min_chars=3, max_chars=5, max_prompt_chars=4)
    assert (removed(curation), kept_lines(curation)) == ({"length": 3}, [1])
    assert [row.reason for row in curation.set_aside()] == [
        "length: a completion is shorter than 3 characters",
        "length: a completion is longer than 5 characters",
        "length: the prompt is longer than 4 characters",
    ]


def test_form_is_asked_of_the_preferred_or_of_all(tmp_path):
    rows = [
        pair("1?", "Yes.", "no"),
        pair("2?", "yes.", "No."),
        pair("3?", "Yes", "No."),
        pair("4?", "Yes.", "No."),
    ]
    form = {"require_capital": True, "require_closing": True}
    assert kept_lines(curated(tmp_path, rows, **form)) == [1, 4]
    assert kept_lines(curated(tmp_path, rows, **form, form_of="both")) == [4]


def test_form_of_labels_and_rankings(tmp_path):
    labels = [label("1?", "yes", True), label("2?", "no", False), label("3?", "Yes", True)]
    assert kept_lines(curated(tmp_path, labels, require_capital=True)) == [2, 3]
    rankings = [ranking("1?", "A", "b", "C"), ranking("2?", "a", "B", "C")]
    assert kept_lines(curated(tmp_path, rankings, require_capital=True)) == [1]
    assert kept_lines(curated(tmp_path, rankings, require_capital=True, form_of="both")) == []


def test_margins_and_gaps(tmp_path):
    rows = [
        pair("1?", "a", "b", 0.5),
        pair("2?", "a", "b", 1.0),
        pair("3?", "a", "b", 3.0),
        pair("4?", "a", "b", gap=2.0),
        pair("5?", "a", "b", chosen_score=4, rejected_score=3.5),
        pair("6?", "a", "b"),
    ]
    curation = curated(tmp_path, rows, min_margin=1, max_margin=2)
    assert (removed(curation), kept_lines(curation)) == ({"margin": 4}, [2, 4])


def test_a_margin_is_not_below_itself_by_rounding(tmp_path):
    """0.3 - 0.2 is 0.09999999999999998, and 0.3 - 0.1 is 0.19999999999999998."""
    rows = [
        pair("1?", "a", "b", chosen_score=0.3, rejected_score=0.2),
        pair("2?", "a", "b", chosen_score=0.3, rejected_score=0.1),
        pair("3?", "a", "b", 0.1 + 0.2),
        pair("4?", "a", "b", 0.0999),
        pair("5?", "a", "b", 0.3001),
    ]
    assert kept_lines(curated(tmp_path, rows, min_margin=0.1, max_margin=0.3)) == [1, 2, 3]


def test_contradictions(tmp_path):
    rows = [pair("1?", "a", "b"), pair("1?", "b", "a"), pair("1?", "a", "b"), pair("2?", "b", "a")]
    assert kept_lines(curated(tmp_path, rows)) == [4]
    assert kept_lines(curated(tmp_path, rows, contradictions="keep-majority")) == [1, 4]
    assert kept_lines(curated(tmp_path, rows, contradictions="keep")) == [1, 2, 4]
    tied = rows[:2] + rows[3:]
    assert kept_lines(curated(tmp_path, tied, contradictions="keep-majority")) == [3]


def test_contradictions_of_labels_and_rankings(tmp_path):
    labels = [
        label("1?", "a", True),
        label("1?", "a", False),
        label("1?", "b", True),
        label("2?", "a", False),
    ]
    assert kept_lines(curated(tmp_path, labels)) == [3, 4]
    rankings = [ranking("1?", "a", "b", "c"), ranking("1?", "c", "b"), ranking("1?", "a", "c", "d")]
    # The third says nothing of b.
    assert kept_lines(curated(tmp_path, rankings)) == [3]
    assert kept_lines(curated(tmp_path, [rankings[0], ranking("1?", "a", "c", "d")])) == [1, 2]


def test_tied_completions_contradict_nothing(tmp_path):
    rankings = [
        ranking("1?", "a", "b", "c", scores=(2.0, 2.0, 1.0)),
        ranking("1?", "b", "a", "d", scores=(3.0, 2.0, 1.0)),
    ]
    assert kept_lines(curated(tmp_path, rankings)) == [1, 2]


def test_repeats_exact_and_near(tmp_path):
    long = (
        "The mill by the river has ground the corn of eleven villages since the great flood of that spring. "
        * 3
    )
    rows = [
        pair("What of the mill?", long, "Nothing much is known."),
        pair("2?", "a", "b"),
        pair("2?", "a", "b"),
    ]
    rows.append(pair("What of the mill?", long.replace("eleven", "twelve", 1), "Nothing much is known."))
    curation = curated(tmp_path, rows, near_duplicates=True)
    assert removed(curation) == {"duplicates": 1, "near_duplicates": 1}
    assert kept_lines(curation) == [1, 2]
    assert kept_lines(curated(tmp_path, rows, keep_duplicates=True)) == [1, 2, 3, 4]


def test_nearly_the_same_with_the_other_label_is_no_repeat(tmp_path):
    long = "The mill by the river has ground the corn of eleven villages since the great flood. " * 3
    rows = [label("What of the mill?", long, True), label("What of the mill?", f"{long} Or so.", False)]
    assert kept_lines(curated(tmp_path, rows, near_duplicates=True)) == [1, 2]
    same = [rows[0], label("What of the mill?", f"{long} Or so.", True)]
    assert kept_lines(curated(tmp_path, same, near_duplicates=True)) == [1]


def test_a_row_shared_with_a_test_set_names_it(tmp_path):
    test = tmp_path / "test.txt"
    test.write_text("one two three four five six seven eight nine\n", encoding="utf-8")
    rows = [pair("Count: two three four five six seven eight nine", "a", "b"), pair("2?", "a", "b")]
    rows.append(pair("3?", "a", "One two three four five six seven eight."))
    curation = curated(tmp_path, rows, against=(str(test),))
    assert kept_lines(curation) == [2]
    first, _ = curation.set_aside()
    assert (
        first.reason
        == f'against: "two three four five six seven eight nine" stands in the test set, {test}:1'
    )
    assert kept_lines(curated(tmp_path, rows, against=(str(test),), against_parts="prompts")) == [2, 3]
    assert kept_lines(curated(tmp_path, rows, against=(str(test),), against_parts="completions")) == [1, 2]
    assert kept_lines(curated(tmp_path, rows, against=(str(test),), ngram=9)) == [1, 2, 3]


def test_a_test_set_is_not_written_over(tmp_path):
    test = tmp_path / "test.jsonl"
    test.write_text('{"prompt": "Where is it?"}\n', encoding="utf-8")
    curation = curated(tmp_path, [pair("1?", "a", "b"), pair("2?", "a", "a")], against=(str(test),))
    with pytest.raises(DataError, match="the test set itself"):
        write_curation(curation, test, overwrite=True)
    assert test.read_text(encoding="utf-8") == '{"prompt": "Where is it?"}\n'


def test_balance_drops_or_weighs(tmp_path):
    rows = [pair(f"{i}?", "long answer", "short") for i in range(30)]
    rows += [pair(f"{i}!", "short", "long answer") for i in range(10)]
    curation = curated(tmp_path, rows, balance="drop")
    assert removed(curation) == {"balance": 20}
    assert sum(len(record.chosen[0].content) > 5 for record in curation.kept()) == 10
    figures = curation.account.steps[-1].figures
    assert (figures["before"]["share_longer"], figures["after"]["share_longer"]) == (0.75, 0.5)
    weighed = curated(tmp_path, rows, balance="weight")
    write_curation(weighed, tmp_path / "weighed.jsonl")
    weights = [
        record.weight
        for record in read_records(SourceOptions(source=str(tmp_path / "weighed.jsonl"))).records
    ]
    assert weights == pytest.approx([2 / 3] * 30 + [2.0] * 10)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(*[st.sampled_from(["a", "b", "Cc.", "dd dd"])] * 3), min_size=1, max_size=15),
    st.sampled_from(["drop", "keep-majority", "keep"]),
    st.sampled_from([None, "drop", "weight"]),
)
def test_no_row_is_lost_and_order_stays(tmp_path, texts, contradictions, balance):
    rows = [pair(prompt, chosen, rejected) for prompt, chosen, rejected in texts]
    curation = curated(
        tmp_path, rows, contradictions=contradictions, balance=balance, require_capital=len(rows) % 2 == 0
    )
    items = list(curation)
    assert [item.line if isinstance(item, SetAside) else item.provenance.line for item in items] == list(
        range(1, len(rows) + 1)
    )
    account = curation.account
    assert sum(isinstance(item, SetAside) for item in items) == account.num_set_aside
    assert account.num_rows == len(rows) == account.num_kept + sum(step.num_removed for step in account.steps)


def test_the_audit_is_content_afterwards(tmp_path):
    rows = [pair(f"Question {i}?", f"Answer {i}.", f"Other {i}.") for i in range(30)]
    bad = [pair("Question 1?", "Other 1.", "Answer 1."), rows[2], pair("Q", "x  y", "x y")]
    before = {found.check for found in audit_source(stream_of(tmp_path, rows + bad)).findings}
    assert {"contradictory_pair", "duplicate_exact", "identical_pair"} <= before
    write_curation(curated(tmp_path, rows + bad), tmp_path / "clean.jsonl")
    again = audit_source(stream_records(SourceOptions(source=str(tmp_path / "clean.jsonl"))))
    after = {found.check for found in again.findings}
    assert not after & {"contradictory_pair", "duplicate_exact", "identical_pair"}


def test_same_options_same_bytes(tmp_path):
    rows = [pair(f"{i}?", "a" * (i % 7 + 2), "b" * (i % 5 + 1)) for i in range(60)]
    for name in ("one.jsonl", "two.jsonl"):
        write_curation(curated(tmp_path, rows, balance="drop"), tmp_path / name)
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert (tmp_path / "one.set_aside.jsonl").read_bytes() == (tmp_path / "two.set_aside.jsonl").read_bytes()


def test_a_source_that_changes_meanwhile_is_noticed(tmp_path):
    curation = curated(tmp_path, [pair(f"{i}?", "a", "b") for i in range(1200)])
    stream_of(tmp_path, [pair(f"{i}?", "a", "b") for i in range(1300)])
    with pytest.raises(DataError, match="changed"):
        list(curation)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"min_chars": 0}, "1 or more"),
        ({"min_chars": 5, "max_chars": 4}, "leaves nothing"),
        ({"min_margin": 2.0, "max_margin": 1.0}, "leaves nothing"),
        ({"min_margin": float("nan")}, "0 or more"),
        ({"form_of": "both"}, "no effect"),
        ({"ngram": 8}, "no effect"),
        ({"against_parts": "prompts"}, "no effect"),
    ],
)
def test_options_that_cannot_be(options, said):
    with pytest.raises(DataError, match=said):
        CurationOptions(**options)


@pytest.mark.parametrize("options", [{"min_margin": 1.0}, {"max_margin": 1.0}, {"balance": "drop"}])
def test_options_that_labels_know_nothing_of(tmp_path, options):
    with pytest.raises(DataError, match="these rows are labels") as refused:
        curate_records(stream_of(tmp_path, [label("1?", "a", True)]), CurationOptions(**options))
    assert "convert" not in refused.value.next  # labels become no pairs
    with pytest.raises(DataError, match="these rows are rankings") as refused:
        curate_records(stream_of(tmp_path, [ranking("1?", "a", "b")]), CurationOptions(**options))
    assert "convert the rows to pairs" in refused.value.next


def test_a_majority_of_rankings_is_refused(tmp_path):
    with pytest.raises(DataError, match="keep-majority"):
        curated(tmp_path, [ranking("1?", "a", "b")], contradictions="keep-majority")
