"""How texts begin and end, in any script."""

from __future__ import annotations

import pytest

from palate.data.curation.form import ends_closed, starts_with_capital


@pytest.mark.parametrize(
    "text",
    [
        "The mill.",
        '"The mill"',
        "**Élan**",
        "# Title",
        "- Item",
        "¿Qué?",
        "Ωδή",
        "贊成",
        "مرحبا",
        "42 mills",
        "",
        "🙂",
        "ǅep",
    ],
)
def test_starts_with_a_capital_or_has_no_case(text):
    assert starts_with_capital(text)


@pytest.mark.parametrize("text", ["the mill", '"the mill"', "**bold**", "élan", "ωδή", "- item", "🙂 the"])
def test_starts_small(text):
    assert not starts_with_capital(text)


@pytest.mark.parametrize(
    "text",
    [
        "End.", "End!", "End?", "End…", "贊成。", "好！", "真的？", 'He said "no."', "(so)", "“so”", "[1]",
        "「是」", "**End.**",
        "End. 🙂", "Yes! 👍🏽", "یہ۔", "है।", "ماذا؟", "```py\nx = 1\n```", "~~~\nx\n~~~  ",
        "End.\n\n", "`x`.",
    ],
)  # fmt: skip
def test_closes(text):
    assert ends_closed(text)


@pytest.mark.parametrize(
    "text", ["End", "End,", "End:", "End 5", "贊成", "好，", "**End**", "End 🙂", "", "🙂", "-", "; ;"]
)
def test_stays_open(text):
    assert not ends_closed(text)
