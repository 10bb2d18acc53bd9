"""`unseen_context` and `one_sided_phrase`: what prompts speak of, and what one side always says."""

from __future__ import annotations

import math
import random

import pytest
from auditing_rows import finding_of, lines_of, make_clean_rows, pair

from palate.data.audit import phrases
from palate.data.audit.phrases import difference_in_deviations
from palate.data.unseen_text import MAX_CHARACTERS, speaks_of_unseen_text


def names(audit):
    return {finding.check for finding in audit.findings}


SPEAKS = [
    "What is the main idea of the extract?",
    "How does this passage describe winter?",
    "Which figures are in the given context?",
    "What did the authors recommend?",
    "According to the author, who was right?",
    "Summarize the key points presented in the document.",
    "Translate the text above.",
    "What is the author's opinion of tea?",
    "这篇文章的主要观点是什么？",
    "根据上下文，谁是主角？",
    "作者认为什么最重要？",
]
SILENT = [
    "Who is the author of Emma?",
    "What happened in the context of the war?",
    "How do I open the text editor?",
    "Write an article about tea.",
    "Write a passage that a child can read.",
    "What is a document?",
    "What is the extract of vanilla used for?",
    "Why does a story need an ending?",
    "写一篇关于茶的文章。",
    "谁是这本书的作者？",
    'What does this passage mean: "All happy families are alike; each unhappy family is so in its own way."?',
    "Summarise the text.\nAll happy families are alike.",
    "Shorten this text: all happy families are alike, and each unhappy one is unhappy in its own way.",
    "What does the article at https://example.org/tea say? Summarise the article.",
    "What is the main idea of the extract?" + " It is long, and may hold what it speaks of." * 10,
]


@pytest.mark.parametrize("prompt", SPEAKS)
def test_prompts_that_speak_of_what_is_not_there(prompt):
    assert speaks_of_unseen_text(prompt)


@pytest.mark.parametrize("prompt", SILENT)
def test_prompts_that_do_not(prompt):
    assert speaks_of_unseen_text(prompt) is None


def test_unseen_contexts_are_counted(audit_rows, clean_rows):
    finding = finding_of(audit_rows([*clean_rows, pair(SPEAKS[0], "Tea.", "Rain.")]), "unseen_context")
    assert (finding.severity, finding.count, finding.figures["num_rows"]) == ("warning", 1, 61)
    assert lines_of(finding) == [[61]]
    assert finding.examples[0]["speaks_of"] == "the extract"


def test_a_text_in_the_system_message_is_a_text(audit_rows, clean_rows):
    row = {**pair(SPEAKS[0], "Tea.", "Rain."), "system": "The extract says that tea is good. " * 12}
    assert len(row["system"]) > MAX_CHARACTERS
    assert "unseen_context" not in names(audit_rows([*clean_rows, row]))


def test_z_of_two_shares():
    """60 of 100 against 40 of 100: pooled 0.5, deviation sqrt(0.25 * 2 / 100) = 0.0707, z = 0.2 / 0.0707."""
    assert difference_in_deviations(60, 100, 40, 100) == pytest.approx(0.2 / math.sqrt(0.005))
    assert difference_in_deviations(40, 100, 60, 100) == -difference_in_deviations(60, 100, 40, 100)
    assert difference_in_deviations(0, 100, 0, 100) == difference_in_deviations(5, 5, 0, 0) == 0


def seeded(start="", end="", share=0.5, num=200, side="chosen"):
    rng = random.Random(3)
    return [
        {**row, side: f"{start}{row[side]}{end}"} if rng.random() < share else row
        for row in make_clean_rows(num)
    ]


@pytest.mark.parametrize(
    ("start", "end", "kind"),
    [
        ("Certainly! ", "", "eager_opening"),
        ("I'm sorry, but I cannot help with that. ", "", "refusal"),
        ("As an AI language model, I think: ", "", "speaks_as_ai"),
        ("Here is what you asked for: ", "", "here_is"),
        ("", " I hope this helps!", "eager_closing"),
        ("作为一个人工智能语言模型，", "", "speaks_as_ai"),
    ],
)
@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_a_stock_phrase_on_one_side(audit_rows, start, end, kind, side):
    finding = finding_of(audit_rows(seeded(start, end, side=side), near_duplicates=False), "one_sided_phrase")
    (found,) = [phrase for phrase in finding.figures["phrases"] if phrase["kind"] == kind]
    shares = found["share_preferred"], found["share_other"]
    one, other = shares if side == "chosen" else shares[::-1]
    assert one == pytest.approx(0.5, abs=0.1)
    assert other == 0
    assert finding.severity == "warning"


def test_an_opening_nobody_listed(audit_rows):
    audit = audit_rows(seeded("Well now my friend, "), near_duplicates=False)
    (found,) = finding_of(audit, "one_sided_phrase").figures["phrases"]
    assert (found["kind"], found["phrase"]) == ("opening", "well now my friend")


def test_a_closing_nobody_listed(audit_rows):
    audit = audit_rows(seeded(end=" So much for all that."), near_duplicates=False)
    (found,) = finding_of(audit, "one_sided_phrase").figures["phrases"]
    assert found["kind"] == "closing"
    assert "so much for all that".endswith(found["phrase"])


def test_a_phrase_on_both_sides_is_no_matter(audit_rows):
    rows = [{**row, "chosen": f"Certainly! {row['chosen']}", "rejected": f"Certainly! {row['rejected']}"}
            for row in make_clean_rows(200)]  # fmt: skip
    assert "one_sided_phrase" not in names(audit_rows(rows, near_duplicates=False))


def test_a_few_on_one_side_are_chance(audit_rows):
    rows = make_clean_rows(200)
    for row in rows[:6]:
        row["chosen"] = f"Certainly! {row['chosen']}"
    assert "one_sided_phrase" not in names(audit_rows(rows, near_duplicates=False))


def test_rows_of_one_prompt_are_not_independent(audit_rows):
    """Forty rows of two prompts are as good as two rows: nothing is sure."""
    rows = make_clean_rows(40)
    for number, row in enumerate(rows):
        row["prompt"] = f"Prompt {number % 2}"
        row["chosen"] = f"Certainly! {row['chosen']}"
    assert "one_sided_phrase" not in names(audit_rows(rows, near_duplicates=False))


def test_memory_is_bounded_and_what_is_frequent_stays(audit_rows, monkeypatch):
    monkeypatch.setattr(phrases, "_MAX_PHRASES", 500)
    audit = audit_rows(seeded("Well now my friend, ", num=400), near_duplicates=False)
    figures = finding_of(audit, "one_sided_phrase").figures
    assert figures["phrases_forgotten"]
    assert [phrase["phrase"] for phrase in figures["phrases"]] == ["well now my friend"]


def test_rows_with_a_phrase_are_counted_each_once(audit_rows):
    """40 rows have a refusal, 40 a closing, 20 of them both: 60 rows, however many phrases tell of them."""
    rows = make_clean_rows(200)
    for row in rows[:40]:
        row["rejected"] = f"I'm sorry, but I cannot help with that. {row['rejected']}"
    for row in rows[20:60]:
        row["chosen"] = f"{row['chosen']} So much for all that."
    finding = finding_of(audit_rows(rows, near_duplicates=False), "one_sided_phrase")
    assert (finding.count, finding.num_kept, finding.figures["num_rows"]) == (60, 60, 200)
    assert finding.figures["num_phrases"] == len(finding.figures["phrases"]) > 1
    assert finding.meaning.startswith("60 rows of 200 hold one or more of")


def test_rows_are_counted_although_rare_phrases_are_forgotten(audit_rows, monkeypatch):
    rows = seeded("Well now my friend, ", num=400)
    num = sum(row["chosen"].startswith("Well now") for row in rows)
    monkeypatch.setattr(phrases, "_MAX_PHRASES", 500)
    finding = finding_of(audit_rows(rows, near_duplicates=False), "one_sided_phrase")
    assert finding.figures["phrases_forgotten"]
    assert finding.count == finding.figures["phrases"][0]["num_preferred"] == num
