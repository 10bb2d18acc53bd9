"""The auditor: accounts, order, merging, and silence on clean rows."""

from __future__ import annotations

import json

import pytest
from auditing_rows import finding_of, lines_of, make_clean_rows, pair

from palate.data.audit import CHECKS, Finding
from palate.data.audit.run import merged

TRAIN_ONLY = {"boundary", "eos", "truncation", "not_verbatim"}


def test_clean_rows_make_every_check_silent(audit_rows, clean_rows):
    audit = audit_rows(clean_rows, make_clean_rows(60, seed=2))
    assert audit.findings == ()
    assert set(audit.not_checked) == TRAIN_ONLY
    assert not audit.has_errors


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(20))
def test_other_clean_rows_do_too(audit_rows, seed):
    assert audit_rows(make_clean_rows(300, seed), make_clean_rows(300, seed + 1000)).findings == ()


def test_rows_in_are_kept_and_set_aside_of_each_file_alone(audit_rows, clean_rows):
    audit = audit_rows([*clean_rows, pair("Who?", "", "Me.")], make_clean_rows(5, seed=2))
    assert (audit.num_rows, audit.num_kept, audit.num_set_aside) == (61, 60, 1)
    assert audit.against is not None
    assert (audit.against.num_rows, audit.against.num_kept, audit.against.num_set_aside) == (5, 5, 0)


def test_what_needs_more_than_was_given_is_named(audit_rows, clean_rows):
    audit = audit_rows(clean_rows, near_duplicates=False)
    assert set(audit.not_checked) == TRAIN_ONLY | {
        "leak_prompt",
        "leak_completion",
        "counting_baseline",
        "duplicate_near",
    }
    assert list(audit.not_checked) == [name for name in CHECKS if name in audit.not_checked]


def test_rows_set_aside_are_counted_by_reason(audit_rows, clean_rows):
    rows = [*clean_rows[:8], {"prompt": "Who?", "chosen": 3, "rejected": "Me."}, {"prompt": 3}, {"prompt": 3}]
    finding = finding_of(audit_rows(rows), "set_aside")
    assert (finding.severity, finding.count, finding.num_kept) == ("warning", 3, 0)
    assert [reason["count"] for reason in finding.figures["reasons"]] == [2, 1]
    assert lines_of(finding) == [[10], [9]]
    assert not finding.blocks_training


def test_more_than_half_set_aside_is_an_error(audit_rows, clean_rows):
    rows = [*clean_rows[:3], *[{"prompt": 3, "chosen": "a", "rejected": "b"}] * 4]
    finding = finding_of(audit_rows(rows), "set_aside")
    assert (finding.severity, finding.count) == ("error", 4)


def test_empty_sides_that_reading_sets_aside(audit_rows, clean_rows):
    rows = [*clean_rows[:8], pair("Who?", "", "Me."), pair("Who?", "You.", "  "), pair("", "You.", "Me.")]
    audit = audit_rows(rows)
    finding = finding_of(audit, "empty_side")  # an empty prompt is no empty side
    assert (finding.severity, finding.count, finding.num_kept) == ("error", 2, 0)
    assert lines_of(finding) == [[9], [10]]
    assert finding_of(audit, "set_aside").count == 3
    assert audit.has_errors
    assert not finding.blocks_training


def test_a_null_side_is_empty_and_a_null_label_is_not(audit_rows, clean_rows):
    finding = finding_of(audit_rows([*clean_rows, pair("Who?", None, "Me.")]), "empty_side")  # type: ignore[arg-type]
    assert finding.count == 1
    labels = [{"prompt": row["prompt"], "completion": row["chosen"], "label": True} for row in clean_rows]
    audit = audit_rows([*labels, {"prompt": "Who?", "completion": "Me.", "label": None}])
    assert [finding.check for finding in audit.findings] == ["set_aside"]


def test_sides_that_only_look_like_something(audit_rows, clean_rows):
    rows = [*clean_rows, pair("Who?", "\u200b\u2060 ", "Me."), pair("What?", "\u2800", "This.")]
    rows += [pair("Which?", "?", "\N{THUMBS UP SIGN}")]  # short, and said
    finding = finding_of(audit_rows(rows), "empty_side")
    assert (finding.count, finding.num_kept, lines_of(finding)) == (2, 2, [[61], [62]])
    assert finding.blocks_training


def test_identical_pairs_set_aside_and_kept_are_one_finding(audit_rows, clean_rows):
    rows = [
        *clean_rows,
        pair("Who?", "It was me.", "It was me."),
        pair("What?", "It  was\nthis. ", "It was this."),
        pair("Where?", "At the cafe\u0301.", "At the caf\u00e9."),
        pair("When?", "now", "Now"),  # case is a difference
    ]
    finding = finding_of(audit_rows(rows), "identical_pair")
    assert (finding.severity, finding.count, finding.num_kept) == ("error", 3, 2)
    assert finding.figures == {"num_set_aside": 1, "num_equal_after_folding": 2}
    assert lines_of(finding) == [[61], [62], [63]]
    assert finding.blocks_training


def test_a_ranking_with_two_equal_places(audit_rows, clean_rows):
    rows = [
        {"prompt": row["prompt"], "completions": [row["chosen"], row["rejected"], row["chosen"] + " No."]}
        for row in clean_rows
    ]
    rows.append({"prompt": "Who?", "completions": ["It was me.", "You.", "It  was me."]})
    assert finding_of(audit_rows(rows), "identical_pair").count == 1


def test_the_gravest_finding_stands_first_and_numbers_add_up():
    one = Finding("identical_pair", "warning", 2, ({"place": "a:1"},), "One.", "Do.", {"x": 1}, 1)
    other = Finding("identical_pair", "error", 3, ({"place": "a:2"},), "Two.", "Do.", {"y": 2}, 3)
    later = Finding("length_bias", "warning", 1, (), "Long.", "Balance.")
    first = Finding("contradictory_pair", "warning", 1, (), "Both.", "Judge.")
    found = merged([later, one, first, other])
    assert [finding.check for finding in found] == ["identical_pair", "contradictory_pair", "length_bias"]
    assert found[0] == Finding(
        "identical_pair",
        "error",
        5,
        ({"place": "a:1"}, {"place": "a:2"}),
        "One. Two.",
        "Do.",
        {"x": 1, "y": 2},
        4,
    )


def test_nothing_kept_is_no_traceback(audit_rows):
    audit = audit_rows([pair("Who?", "", "Me.")], [pair("Who?", "You.", "")])
    assert audit.num_kept == 0
    assert {finding.check for finding in audit.findings} == {"empty_side", "set_aside"}


def test_the_result_is_json_with_the_names_scripts_rely_on(audit_rows, clean_rows):
    audit = audit_rows([*clean_rows, pair("Who?", "", "Me.")])
    said = json.loads(json.dumps(audit.as_dict(), allow_nan=False))
    assert (said["num_rows"], said["num_kept"], said["num_set_aside"]) == (61, 60, 1)
    assert {"check", "severity", "count", "examples", "meaning", "remedy"} <= set(said["findings"][0])
    assert said["against"] is None
