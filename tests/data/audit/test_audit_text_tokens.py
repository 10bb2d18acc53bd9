"""`boundary`, `eos`, `truncation` and what is equal within the limit, by a tokenizer of single characters."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from auditing_rows import finding_of, pair

from palate.data.audit.token_checks import Tokenised


@dataclass
class Characters:
    """One token a character; `~` at the end of a prompt merges, `^` is the beginning token."""

    max_length: int = 60
    too_long: str = "drop"
    ending: str = "one"
    special_tokens: tuple[str, ...] = ("<end>",)
    bos_id: int | None = ord("^")

    def tokenise(self, items):
        found = []
        for prompt, completion in items:
            asked, said = prompt[-1].content, completion[-1].content
            if "<end>" in said:
                found.append("the answer holds the end-of-turn token in its text")
            else:
                found.append(Tokenised([ord(sign) for sign in asked + said], len(asked), asked.endswith("~")))
        return found


CLEAN = [pair(f"{number} is", f"{number} more than none", f"{number} less than all") for number in range(40)]


@pytest.fixture
def audit_tokens(audit_rows):
    def audit(rows, **tokens):
        return audit_rows([*CLEAN, *rows], near_duplicates=False, tokens=Characters(**tokens))

    return audit


def test_clean_rows_are_silent_and_all_is_checked(audit_tokens):
    audit = audit_tokens([])
    assert not {f.check for f in audit.findings} & {"boundary", "eos", "truncation", "identical_pair"}
    assert not {"boundary", "eos", "truncation"} & set(audit.not_checked)


def test_merges_across_the_boundary_are_for_information(audit_tokens):
    finding = finding_of(audit_tokens([pair("So~", "yes", "no")]), "boundary")
    assert (finding.severity, finding.count, finding.figures["num_merged"]) == ("info", 1, 1)


def test_two_beginning_tokens_are_a_warning(audit_tokens):
    finding = finding_of(audit_tokens([pair("^^So", "yes", "no")]), "boundary")
    assert (finding.severity, finding.figures["num_double_bos"]) == ("warning", 1)


def test_an_end_token_in_the_text(audit_tokens):
    audit = audit_tokens([pair("So", "yes<end>and", "no")])
    finding = finding_of(audit, "eos")
    assert (finding.severity, finding.count, finding.num_kept) == ("warning", 1, 0)
    assert finding.examples[0]["place"].endswith(":41")
    marks = finding_of(audit, "template_token")
    assert (marks.severity, marks.figures["marks"]) == ("error", {"<end>": {"chosen": 1}})


@pytest.mark.parametrize("ending", ["none", "text", "several"])
def test_a_template_that_does_not_end_answers_with_one_token(audit_tokens, ending):
    finding = finding_of(audit_tokens([], ending=ending), "eos")
    assert (finding.severity, finding.figures["template_ending"]) == ("info", ending)


@pytest.mark.parametrize(("too_long", "num_kept"), [("drop", 0), ("truncate_prompt", 2), ("error", 2)])
def test_sides_that_are_too_long(audit_tokens, too_long, num_kept):
    rows = [pair("So", "y" * 59, "no"), pair("W" * 60, "yes", "no")]
    finding = finding_of(audit_tokens(rows, too_long=too_long), "truncation")
    assert (finding.severity, finding.count, finding.num_kept) == ("warning", 2, num_kept)
    assert finding.figures["num_prompt_fills"] == 1
    assert finding.figures["share_too_long"] == {"chosen": 2 / 42, "rejected": 1 / 42}
    assert [example["sides"] for example in finding.examples] == ["chosen", "chosen, rejected"]


def test_sides_that_only_differ_behind_the_limit_are_identical(audit_tokens):
    rows = [pair("So", "y" * 70 + "es", "y" * 70 + "et")]
    finding = finding_of(audit_tokens(rows), "identical_pair")
    assert (finding.severity, finding.count, finding.num_kept) == ("error", 1, 0)
    assert finding.figures == {"num_equal_within_max_length": 1}


def test_every_row_is_seen_whatever_the_batch(audit_tokens):
    rows = [pair(f"{number}~", f"{number} yes", f"{number} no") for number in range(300)]
    assert finding_of(audit_tokens(rows), "boundary").count == 300


def test_a_row_is_counted_once_however_it_is_found(audit_tokens):
    """Sides that differ in white space only, and beyond the limit at that, are one row; so is one that begins
    with two marks and merges at its end."""
    long = "x" * 70
    found = audit_tokens([pair("So", f"{long} y", f"{long}  y"), pair("^^So~", "yes", "no")])
    assert finding_of(found, "identical_pair").count == 1
    boundary = finding_of(found, "boundary")
    assert (boundary.count, boundary.num_kept) == (1, 1)
    assert (boundary.figures["num_merged"], boundary.figures["num_double_bos"]) == (1, 1)


def test_no_row_no_ending(audit_rows):
    found = audit_rows([pair("So", "", "")], near_duplicates=False, tokens=Characters(ending="none"))
    assert "eos" not in {finding.check for finding in found.findings}
