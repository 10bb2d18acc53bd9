"""The report's wording: the same names in every language, each of them used, and none made up."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest
import yaml

import palate.report
from palate.evaluate.diagnosis import RULES
from palate.report.phrases import LANGUAGES, Language, Phrases, wording_of

ROOM = Path(palate.report.__file__).parent
SOURCES = "".join(
    path.read_text(encoding="utf-8") for path in sorted(ROOM.iterdir()) if path.suffix in (".py", ".html")
)
BUILT = (
    r"claim_(better|worse|open)", r"claim_several_\w+", r"claim_(length|agreement)(_open)?",
    r"held_out_reward\w*",
    r"num_\w+", r"tile_\w+_trained_on", r"severity_\w+", r"sure_\w+", r"(train|eval)_(column|steps)",
    r"curve_\w+", r"line_\w+", r"rate_\w+", r"figure_\w+", r"verdict_\w+", r"split_\w+", r"layout_\w+_note",
    r"(then_)?prefers_\w+", r"tile_held_out_\w+", r"fear_\w+", r"style_\w+",
    r"\w+_title", r"pairs_(better|worse|open)",
)  # fmt: skip
"""Names that the code puts together from a kind and a name."""


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def placed(text: str) -> set[tuple[str, str | None]]:
    """Each place with how its figure is written."""
    return {(name, how) for _, name, how, _ in Formatter().parse(text) if name is not None}


def test_every_language_has_the_same_names() -> None:
    assert set(LANGUAGES) == {"en", "zh"}
    assert list(wording_of("en")) == list(wording_of("zh"))


@pytest.mark.parametrize("name", sorted(wording_of("en")))
def test_every_language_fills_in_the_same(name: str) -> None:
    english, chinese = wording_of("en")[name], wording_of("zh")[name]
    assert isinstance(english, str) and isinstance(chinese, str)
    forms = [fields(form) for form in english.split("|")]
    assert all(form - {"n"} == forms[0] - {"n"} for form in forms)
    assert fields(chinese) - {"n"} == forms[0] - {"n"}
    # Chinese has no plural: it never asks how many for its form, only for the number.
    assert "|" not in chinese


def test_every_name_is_used() -> None:
    unused = [
        name
        for name in wording_of("en")
        if f'"{name}"' not in SOURCES and not any(re.fullmatch(form, name) for form in BUILT)
    ]
    assert unused == []


def test_no_name_is_made_up() -> None:
    asked = set(re.findall(r'\bsay\(\s*"(\w+)"[,)]', SOURCES))
    assert len(asked) > 100
    assert asked - set(wording_of("en")) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_wording_of_one_or_many(language: Language) -> None:
    say = Phrases(language)
    one, many = say("held_out_pairs", n=1), say("held_out_pairs", n=1200)
    assert "1" in one and "1,200" in many
    assert (one, many) == (
        ("1 held-out pair", "1,200 held-out pairs")
        if language == "en"
        else (" 1 个留出数据对", " 1,200 个留出数据对")
    )


def test_what_is_filled_in_is_not_read_as_wording() -> None:
    say = Phrases("en")
    nasty = "{of} {0.__class__} {{x}} | %s"
    assert say("judged_by", judge=nasty) == f"Judged by {nasty}."
    assert say.joined([nasty, "b", "c"]) == f"{nasty}, b and c"


def test_intervals_round_outwards_in_every_language() -> None:
    assert Phrases("en").interval((0.50049, 0.93001)) == "95% interval 50.0% to 93.1%"
    assert Phrases("zh").interval((0.50049, 0.93001)) == "95% 置信区间 50.0% 至 93.1%"


def test_durations() -> None:
    for language, expected in (
        ("en", ["3.2 s", "48 s", "3 min 20 s", "2 h 5 min", "–"]),
        ("zh", ["3.2 秒", "48 秒", "3 分 20 秒", "2 小时 5 分", "–"]),
    ):
        say = Phrases("zh" if language == "zh" else "en")
        assert [say.duration(seconds) for seconds in (3.2, 48, 200, 7500, None)] == expected


def test_every_rule_of_the_diagnosis_speaks_chinese() -> None:
    text = (ROOM / "rules.zh.yaml").read_text(encoding="utf-8")
    rules = yaml.safe_load(text)
    assert set(rules) == set(RULES)
    for rule in rules.values():
        assert list(rule) == ["name", "sentences", "meaning", "remedy"]


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_says_the_same_in_chinese_with_the_same_figures(name: str) -> None:
    """Case by case, and each figure written alike: 62.5% here is 62.5% there."""
    rule = yaml.safe_load((ROOM / "rules.zh.yaml").read_text(encoding="utf-8"))[name]
    assert set(rule["sentences"]) == set(RULES[name].sentences)
    for case, sentence in rule["sentences"].items():
        assert placed(sentence) == placed(RULES[name].sentences[case])
        for place, _ in placed(sentence):
            assert Phrases("zh").translated(place.replace("_", " ")) is not None, place
    for said in (rule["name"], rule["meaning"], rule["remedy"], *rule["sentences"].values()):
        assert re.search(r"[\u4e00-\u9fff]", said)
