"""`template_token` and `language_mix`: what stands in the text that should not."""

from __future__ import annotations

import pytest
from auditing_rows import finding_of, lines_of, make_clean_rows, pair

from palate.data.audit.languages import script_of


def names(audit):
    return {finding.check for finding in audit.findings}


HARD = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<start_of_turn>",
    "<|endoftext|>",
    "<<SYS>>",
    "<|user|>",
]


@pytest.mark.parametrize("mark", HARD)
def test_a_special_token_in_a_completion_is_an_error(audit_rows, clean_rows, mark):
    finding = finding_of(audit_rows([*clean_rows, pair("Who?", f"Me.{mark}", "You.")]), "template_token")
    assert (finding.severity, finding.count, finding.num_kept) == ("error", 1, 1)
    assert finding.figures["marks"] == {mark: {"chosen": 1}}
    assert lines_of(finding) == [[61]]
    assert finding.blocks_training


@pytest.mark.parametrize(
    "text",
    ["<s>Me.", "[INST] Me.", "Me.\n### Response:\nYou.", "Me.\n\nHuman: Who else?", "Me.\n\nAssistant: You."],
)
def test_what_also_stands_in_other_texts_is_a_warning(audit_rows, clean_rows, text):
    finding = finding_of(audit_rows([*clean_rows, pair("Who?", "You.", text)]), "template_token")
    assert (finding.severity, finding.count) == ("warning", 1)
    assert finding.examples[0]["side"] == "rejected"


def test_a_special_token_in_a_prompt_is_a_warning(audit_rows, clean_rows):
    rows = [*clean_rows, pair("What does <|im_start|> do?", "It begins a turn.", "It does nothing.")]
    finding = finding_of(audit_rows(rows), "template_token")
    assert (finding.severity, finding.figures["marks"]) == ("warning", {"<|im_start|>": {"prompt": 1}})


@pytest.mark.parametrize(
    "harmless",
    [
        "a < b and b > c",
        "List[int]",
        "### A heading\nText.",
        "See [1].",
        "The Human: a study",
        "<div>x</div>",
    ],
)
def test_what_only_looks_like_a_mark_is_none(audit_rows, clean_rows, harmless):
    assert "template_token" not in names(audit_rows([*clean_rows, pair("Who?", harmless, "You there.")]))


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("A plain sentence.", "Latin"),
        ("Ça coûte très cher à Noël.", "Latin"),
        ("Это предложение.", "Cyrillic"),
        ("這是一個句子，說 GPT 的。", "Han"),
        ("これは日本語の文です。", "Kana"),
        ("이것은 한국어 문장입니다.", "Hangul"),
        ("هذه جملة عربية.", "Arabic"),
        ("123 + 456", None),
        ("half 你好", None),
        ("```python\nprint('a long piece of code')\n``` Так печатают.", "Cyrillic"),
    ],
)
def test_script(text, script):
    assert script_of(text) == script


RUSSIAN = "Это совсем другое предложение."


def test_sides_in_different_scripts(audit_rows, clean_rows):
    rows = [*clean_rows, pair("Who was it then?", "It was me who came.", RUSSIAN)]
    finding = finding_of(audit_rows(rows), "language_mix")
    assert (finding.severity, finding.count, finding.figures["num_sides_differ"]) == ("warning", 1, 1)
    assert lines_of(finding) == [[61]]


def test_completions_in_another_script_than_their_prompt(audit_rows, clean_rows):
    rows = [*clean_rows, pair("Who was it then?", RUSSIAN, RUSSIAN + " Да.")]
    finding = finding_of(audit_rows(rows), "language_mix")
    assert (finding.count, finding.figures["num_prompt_differs"]) == (1, 1)


def test_three_rows_of_cyrillic_in_a_latin_set(audit_rows):
    rows = make_clean_rows(297)
    for number in range(3):
        rows.insert(100, pair(f"{RUSSIAN} {number}", f"{RUSSIAN} Да {number}.", f"{RUSSIAN} Нет {number}."))
    finding = finding_of(audit_rows(rows, near_duplicates=False), "language_mix")
    assert (finding.count, finding.figures["num_minority_script"]) == (3, 3)
    assert finding.figures["num_rows_by_script"] == {"Latin": 297, "Cyrillic": 3}
    assert sorted(lines_of(finding)) == [[101], [102], [103]]


def test_a_set_of_two_languages_is_no_mix(audit_rows):
    rows = make_clean_rows(60)
    rows += [pair(f"{RUSSIAN} {n}", f"{RUSSIAN} Да {n}.", f"{RUSSIAN} Нет {n}.") for n in range(60)]
    assert "language_mix" not in names(audit_rows(rows, near_duplicates=False))


def test_a_stray_row_that_differs_inside_too_is_one_row(audit_rows):
    """Of three Cyrillic rows in a Latin set one has a Latin side; a Latin row has a Cyrillic one: four."""
    rows = make_clean_rows(297)
    rows += [pair(f"{RUSSIAN} {n}", f"{RUSSIAN} Да {n}.", f"{RUSSIAN} Нет {n}.") for n in range(2)]
    rows += [
        pair(f"{RUSSIAN} Три", RUSSIAN, "A plain sentence."),
        pair("Who was it then?", "It was me who came.", RUSSIAN),
    ]
    finding = finding_of(audit_rows(rows, near_duplicates=False), "language_mix")
    assert (finding.count, finding.figures["num_sides_differ"]) == (4, 2)
    assert finding.figures["num_minority_script"] == 3


@pytest.mark.parametrize(
    "ask",
    [
        "Translate this into Russian, please: {}",
        "How would you say it in modern Russian? {}",
        "用俄文说：{} 请写得自然一些，谢谢你。",
        "Traduis cela : {}",
    ],
)
def test_who_asks_for_another_language_gets_it(audit_rows, clean_rows, ask):
    rows = [*clean_rows, pair(ask.format("a word"), RUSSIAN, RUSSIAN + " Да.")]
    found = [f for f in audit_rows(rows).findings if f.check == "language_mix"]
    assert sum(f.figures["num_prompt_differs"] for f in found) == 0


def test_where_most_answer_in_another_script_it_is_a_figure_to_know(audit_rows):
    rows = make_clean_rows(30)
    rows += [{**row, "chosen": f"{RUSSIAN} Да {n}.", "rejected": f"{RUSSIAN} Нет {n}."}
             for n, row in enumerate(make_clean_rows(40, seed=2))]  # fmt: skip
    finding = finding_of(audit_rows(rows, near_duplicates=False), "language_mix")
    assert (finding.severity, finding.count) == ("info", 40)
    finding = finding_of(audit_rows(rows[:50], near_duplicates=False), "language_mix")
    assert (finding.severity, finding.count) == ("warning", 20)


def test_html_is_not_said_to_be_a_template(audit_rows, clean_rows):
    """A warning stops no run, so nothing has to be allowed."""
    finding = finding_of(
        audit_rows([*clean_rows, pair("Who?", "<s>Me.</s> You.", "They.")]), "template_token"
    )
    assert finding.severity == "warning"
    assert "HTML" in finding.meaning
    assert "allow" not in finding.remedy
    finding = finding_of(audit_rows([*clean_rows, pair("Who?", "Me.<|im_end|>", "They.")]), "template_token")
    assert "data.audit.allow=[template_token]" in finding.remedy
