"""Contradictions, triads, duplicates and leaks, each seeded and counted by hand."""

from __future__ import annotations

import pytest
from auditing_rows import finding_of, lines_of, make_clean_rows, pair


def test_a_pair_and_its_reverse_contradict(audit_rows, clean_rows):
    rows = [*clean_rows, pair("Who?", "Me, of course.", "You are.")]
    rows += [pair("Where?", "You are.", "Me, of course."), pair("Who?", "You are.", "Me, of course.")]
    finding = finding_of(audit_rows(rows), "contradictory_pair")
    assert (finding.severity, finding.count, finding.figures["num_rows"]) == ("warning", 1, 2)
    assert lines_of(finding) == [[61, 63]]


def test_under_another_system_message_it_does_not(audit_rows, clean_rows):
    rows = [*clean_rows, pair("Who?", "Me, of course.", "You are.") | {"system": "Be proud."}]
    rows += [pair("Who?", "You are.", "Me, of course.") | {"system": "Be modest."}]
    assert [finding.check for finding in audit_rows(rows).findings] == []


def test_a_completion_called_good_and_bad_contradicts(audit_rows, clean_rows):
    rows = [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for row in clean_rows
        for side in ("chosen", "rejected")
    ]
    rows.append({**rows[4], "label": not rows[4]["label"]})
    finding = finding_of(audit_rows(rows), "contradictory_pair")
    assert (finding.count, lines_of(finding)) == (1, [[5, 121]])


def test_rankings_contradict_through_the_pairs_they_imply(audit_rows, clean_rows):
    rows = [{"prompt": row["prompt"], "completions": [row["chosen"], row["rejected"]]} for row in clean_rows]
    rows.append({"prompt": "Name one.", "completions": ["The first.", "A second one.", "Third of all."]})
    rows.append({"prompt": "Name one.", "completions": ["Third of all.", "The first."]})
    finding = finding_of(audit_rows(rows), "contradictory_pair")
    assert (finding.count, lines_of(finding)) == (1, [[61, 62]])


def test_three_rows_that_go_round_are_one_triad(audit_rows, clean_rows):
    rows = [
        *clean_rows,
        *(pair("Rank.", f"Text {a} here.", f"Text {b} here.") for a, b in ("AB", "BC", "CA")),
    ]
    rows += [pair("Order.", f"Text {a} here.", f"Text {b} here.") for a, b in ("AB", "BC", "AC")]
    finding = finding_of(audit_rows(rows), "circular_triad")
    assert (finding.severity, finding.count) == ("warning", 1)
    assert (finding.figures["num_triads"], finding.figures["num_prompts"]) == (2, 1)
    assert finding.figures["consistency"] == pytest.approx((0 + 1) / 2)
    assert [sorted(lines) for lines in lines_of(finding)] == [[61, 62, 63]]


def test_the_majority_decides_and_a_draw_decides_nothing(audit_rows, clean_rows):
    round_about = [pair("Rank.", f"Text {a} here.", f"Text {b} here.") for a, b in ("AB", "BC", "CA")]
    against = pair("Rank.", "Text A here.", "Text C here.")
    checks = lambda rows: {finding.check for finding in audit_rows([*clean_rows, *rows]).findings}  # noqa: E731
    assert "circular_triad" in checks(round_about)
    assert "circular_triad" not in checks([*round_about, against])
    assert "circular_triad" not in checks([*round_about, against, {**against, "id": 2}])
    # The other way round as well: a draw that was taken for either order would close one of the circles.
    other_way = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in round_about]
    back = {**against, "chosen": against["rejected"], "rejected": against["chosen"]}
    assert "circular_triad" in checks(other_way)
    assert "circular_triad" not in checks([*other_way, back])


def test_repeated_rows(audit_rows, clean_rows):
    again = [clean_rows[2], clean_rows[2], clean_rows[7]]
    finding = finding_of(audit_rows([*clean_rows, *again]), "duplicate_exact")
    assert (finding.severity, finding.count, finding.num_kept) == ("warning", 3, 3)
    assert (finding.figures["num_distinct"], finding.figures["largest_group"]) == (60, 3)
    assert lines_of(finding) == [[61, 3], [63, 8]]


def test_what_is_no_repeat(audit_rows, clean_rows):
    first = clean_rows[0]
    rows = [*clean_rows, {**first, "rejected": first["rejected"] + " And more of it, at some length."}]
    rows.append({**clean_rows[1], "system": "Be brief."})
    assert "duplicate_exact" not in {finding.check for finding in audit_rows(rows).findings}


def test_held_out_prompts_that_are_trained_on(audit_rows, clean_rows):
    held_out = make_clean_rows(6, seed=2)
    held_out[1]["prompt"] = clean_rows[3]["prompt"]
    held_out[4]["prompt"] = "  " + clean_rows[5]["prompt"].upper().replace(" ", ", ").rstrip(".") + " ?!"
    finding = finding_of(audit_rows(clean_rows, held_out), "leak_prompt")
    assert (finding.severity, finding.count) == ("error", 2)
    assert (finding.figures["num_exact"], finding.figures["num_prompts"]) == (1, 2)
    assert lines_of(finding) == [[2, 4], [5, 6]]
    assert not finding.blocks_training  # nothing false is learned from it


@pytest.mark.parametrize(("one", "other"), [("What is C?", "What is C++?"), ("2*3", "2+3"), ("50%", "50")])
def test_marks_that_change_what_is_asked_tell_prompts_apart(audit_rows, clean_rows, one, other):
    held_out = [*make_clean_rows(5, seed=2), pair(one, "It is this one.", "That.")]
    rows = [*clean_rows, pair(other, "No idea at all.", "Well.")]
    assert "leak_prompt" not in {finding.check for finding in audit_rows(rows, held_out).findings}


def test_held_out_completions_that_are_trained_on(audit_rows, clean_rows):
    held_out = make_clean_rows(6, seed=2)
    held_out[0]["chosen"] = clean_rows[8]["rejected"]
    held_out[3]["chosen"], held_out[3]["rejected"] = clean_rows[9]["chosen"], clean_rows[10]["chosen"]
    finding = finding_of(audit_rows(clean_rows, held_out), "leak_completion")
    assert (finding.severity, finding.count) == ("warning", 2)
    assert finding.figures["num_completions"] == 3
    assert finding.figures["num_chosen_that_was_rejected"] == 1
    assert finding.figures["num_chosen_that_was_chosen"] == 1
    assert finding.figures["num_rejected_that_was_chosen"] == 1
    assert finding.figures["num_rejected_that_was_rejected"] == 0
    assert lines_of(finding) == [[1, 9], [4, 10]]
