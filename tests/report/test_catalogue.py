"""What other commands said in English is said in Chinese with the same figures, or stays English."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import palate.evaluate.diagnosis.rules as rules
from palate.data import stream_records
from palate.data.audit import audit_source
from palate.evaluate.fears.measure import flag_answers, look_for_fears
from palate.evaluate.fears.worse import worse_prompts
from palate.judge.canaries import run_canaries
from palate.judge.card import judge_card
from palate.judge.orders import verdict_of_calls
from palate.recipe import SourceOptions
from palate.records import Answer, Comparison, JudgeCall, Message, Provenance, Verdict
from palate.report.catalogue import MAX_LOOKUPS, Entry, catalogue, translated
from palate.report.phrases import Phrases
from palate.report.rendering import told
from palate.report.sentence_forms import FIGURE as FIGURE_PATTERN
from palate.report.sentence_forms import Form
from palate.statistics.win_rates import verdict_in_words, win_rate

TEXT = (files("palate.report") / "sentences.zh.yaml").read_text(encoding="utf-8")
ENTRIES: list[dict[str, str]] = [one for group in yaml.safe_load(TEXT).values() for one in group]
FIGURE = re.compile(r"\d[\d,.]*\d|\d")
CHINESE = re.compile(r"[\u3400-\u9fff]")


def said(english: str, chinese: str, text: str) -> str | None:
    """One entry alone, without places that are looked up."""
    found = Entry.of(english, chinese).places(text)
    return None if found is None else chinese.format(**{k: v or "" for k, v in found.items()})


@pytest.mark.parametrize(
    ("english", "text", "places"),
    [
        ("{#n} of {#all}", "1,200 of 3", {"n": "1,200", "all": "3"}),
        ("{#n} of {#all}", "some of 3", None),
        ("p {#p}.", "p 3.4e-05.", {"p": "3.4e-05"}),
        ("from {#low} to {#high}", "from -0.30 to +62%", {"low": "-0.30", "high": "+62%"}),
        ("{name} is here", "a.b (c) is here", {"name": "a.b (c)"}),
        ("{#n} <prompt is|prompts are> few", "1 prompt is few", {"n": "1"}),
        ("{#n} <prompt is|prompts are> few", "2 prompts are few", {"n": "2"}),
        ("{#n} <prompt is|prompts are> few", "2 prompts is few", None),
        ("all[, {#n} missing]", "all", {"n": None}),
        ("all[, {#n} missing]", "all, 3 missing", {"n": "3"}),
    ],
)
def test_how_a_sentence_is_known(english: str, text: str, places: dict[str, str | None] | None) -> None:
    assert Entry.of(english, "").places(text) == places


def test_signs_of_a_pattern_are_signs_in_a_sentence() -> None:
    assert said("a.b (c)? {#n}*", "{n}", "a.b (c)? 7*") == "7"
    assert said("a.b", "", "axb") is None


def test_parts_are_looked_up_and_what_is_optional_falls_away() -> None:
    text = "It passed 2 of 4 canaries, and failed null_answer (3 of 4 wrong), padded_copy (1 of 4 wrong)."
    assert translated(text, "zh") == (
        "4 种自检题通过 2 种，未通过：空洞回答（4 次中错 3 次）、注水副本（4 次中错 1 次）。"
    )
    assert translated("It passed 4 of 4 canaries.", "zh") == "4 种自检题通过 4 种。"
    assert translated("It passed 2 of 4 canaries, and failed something else.", "zh") is None


def test_several_sentences_are_looked_up_one_by_one() -> None:
    known = "16 prompts are few: the interval is as wide as that makes it."
    twice = translated(f"{known} {known}", "zh")
    assert twice == "提示词只有 16 个，偏少：区间也因此这么宽。" * 2
    assert translated(f"{known} And this is new.", "zh") is None


def test_what_is_not_known_stays_and_says_that_it_is_english() -> None:
    say = Phrases("zh")
    assert told("Quite <b>new</b>.", say) == '<span lang="en">Quite &lt;b&gt;new&lt;/b&gt;.</span>'
    assert told("全新的说法。", say) == "全新的说法。"
    assert told("Quite <b>new</b>.", Phrases("en")) == "Quite <b>new</b>."  # the page escapes it
    assert say.known("quite_new") == "quite_new"


def test_what_fills_a_place_is_never_read_as_one() -> None:
    text = "No interval for {who} [x] \\1: it takes two prompts or more."
    assert translated(text, "zh") == "{who} [x] \\1 没有区间：至少要有两个提示词。"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["en"][:60])
def test_no_figure_gets_lost_and_none_is_made_up(entry: dict[str, str]) -> None:
    english = re.findall(r"\{([#~?]?)(\w+)\}", entry["en"])
    chinese = set(re.findall(r"\{(\w+)\}", entry["zh"]))
    assert chinese <= {name for _, name in english}
    assert {name for kind, name in english if kind == "#"} <= chinese
    # Figures that stand in the sentence itself: a level of confidence, 50%.
    bare = re.sub(r"\{[^}]*\}", "", entry["en"])
    bare_chinese = re.sub(r"\{[^}]*\}", "", entry["zh"])
    assert set(FIGURE.findall(bare_chinese)) <= set(FIGURE.findall(bare))


def test_no_sentence_is_there_twice() -> None:
    sentences = [entry["en"] for entry in ENTRIES]
    assert len(sentences) == len(set(sentences))


@given(st.integers(0, 10**9), st.floats(0, 1), st.text(st.characters(codec="utf-8"), max_size=60))
def test_figures_and_names_come_through_unchanged(num: int, share: float, name: str) -> None:
    text = f"{num:,} answers of {name} were not read: x"
    found = translated(text, "zh")
    if name and "\n" not in name and "\r" not in name and name == name.strip():
        assert found is not None and name in found and f"{num:,}" in found
    rate = f"{share:.1%}"
    found = translated(f"The judge agrees with people on {rate} of {num} comparisons.", "zh")
    assert found == f"评判者在 {num} 次比较中与人一致的占 {rate}。"


def test_a_sentence_behind_a_known_one_is_not_swallowed() -> None:
    """Places for any text are places in one sentence; what is not known has to be seen as such."""
    known = "12 answers of tuned were not read: too short"
    assert translated(known, "zh") is not None
    for new in (". And this is new.", "! Why? Nobody knows", ". 它是新的。 But this is not"):
        assert translated(known + new, "zh") is None
    votes = "10 of 20 verdicts are missing; the first: "
    assert (
        translated(f"{votes}the reply named no side", "zh")
        == "20 次判定中缺失 10 次；其中第一个：答复没有指明哪一边"
    )
    assert translated(f"{votes}HTTP 500 of example.org", "zh") is not None
    assert translated(f"{votes}Refused. Nothing else was said.", "zh") is None


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["en"][:60])
def test_what_merely_begins_or_ends_like_a_sentence_is_not_it(entry: dict[str, str]) -> None:
    begins_free = entry["en"].startswith(("{", "["))
    text = re.sub(r"\[[^]]*\]", "", entry["en"])
    text = re.sub(r"<([^|>]*)\|[^>]*>", r"\1", re.sub(r"\{#\w+\}", "7", re.sub(r"\{[~?]?\w+\}", "it", text)))
    assert Entry.of(entry["en"], entry["zh"]).places(text) is not None
    stop = "" if text.endswith((".", "?", "!")) else "."
    assert translated(f"{text}{stop} quite another thing happened!", "zh") is None
    if not begins_free:
        assert translated(f"Nobody ever said so. {text}", "zh") is None


def made_to_keep_it_busy() -> Iterator[str]:
    """Of each entry its own words, again and again, where any text may stand; and parts within parts."""
    for entry in ENTRIES:
        words = [word for word in re.split(r"\{[#~?]?\w+\}|[\[\]<>|]", entry["en"]) if word]
        yield "".join(word * (1400 // len(words) // len(word)) for word in words)
        yield "; ".join([*words, "12"] * 200)[:1500]
        yield "".join(f"12{word}a, b; " for word in words * 50)[:1499] + "\x07"
    for text in (
        "1,",
        "1 ",
        "; ",
        ", ",
        " and ",
        "a, b; ",
        "x (a), 1: ",
        "16 prompts are few. ",
        "says nothing; ",
    ):
        yield (text * 1500)[:1500]


def test_no_text_takes_more_than_so_many_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted, not time: each look is one pass over the text for each piece of one sentence."""
    num_looks = 0
    match = Form.match

    def counted(form: Form, text: str) -> dict[str, str | None] | None:
        nonlocal num_looks
        num_looks += 1
        return match(form, text)

    monkeypatch.setattr(Form, "match", counted)
    num_forms = sum(len(entry.forms) for entry in catalogue("zh").entries)
    longest = 0
    for text in made_to_keep_it_busy():
        before = num_looks
        translated(text, "zh")
        longest = max(longest, num_looks - before)
    assert num_forms < longest <= MAX_LOOKUPS * num_forms


def test_a_text_of_more_parts_than_any_sentence_has_is_left_in_english() -> None:
    def of_marks(num: int) -> str:
        marks = ", ".join(f"<{place}> (2 in prompt)" for place in range(num))
        return f"Marks of chat templates stand inside the text: {marks}."

    assert translated(of_marks(15), "zh") is not None
    assert translated(of_marks(70), "zh") is None


@pytest.mark.parametrize(
    "form", [form for entry in catalogue("zh").entries for form in entry.forms], ids=repr
)
def test_no_piece_of_a_sentence_can_be_read_in_two_ways(form: Form) -> None:
    """Only figures repeat anything, and they are read once: a piece takes one pass."""
    for piece in form.pieces:
        rest = piece.pattern.replace(FIGURE_PATTERN, "")
        assert not re.search(r"(?<!\\)[*+{]", rest), rest


# What the commands really say.


@dataclass
class Prefers:
    """A judge that goes by a function of the two texts in the order shown."""

    says: Callable[[str, str], str | None]
    name: str = "made"
    models: Sequence[str] = ()

    def judge(self, comparisons: Sequence[Comparison], watcher: Any = None) -> list[Verdict]:
        return [self._verdict(one) for one in comparisons]

    def _verdict(self, one: Comparison) -> Verdict:
        a, b = one.completion_a[-1].content, one.completion_b[-1].content
        sides: dict[str | None, Any] = {"first": "a", "second": "b", "tie": "tie", None: None}
        turned = {"a": "b", "b": "a", "tie": "tie", None: None}
        forwards, backwards = sides[self.says(a, b)], turned[sides[self.says(b, a)]]
        calls = [
            JudgeCall(side, side_said, "" if side_said else "unparsed")  # type: ignore[arg-type]
            for side, side_said in (("a", forwards), ("b", backwards))
        ]
        return verdict_of_calls(one, self.name, calls, {})


def comparisons(num: int) -> list[Comparison]:
    draw = random.Random(5)
    made = []
    for place in range(num):
        texts = [" ".join(draw.choices(("river", "stone", "bread"), k=draw.randint(4, 30))) for _ in "ab"]
        sides = [(Message("assistant", text),) for text in texts]
        detail = {"a": {"model": "one"}, "b": {"model": "two"}}
        provenance = Provenance("made", detail=detail)
        made.append(Comparison((Message("user", f"Question {place}"),), *sides, provenance))
    return made


def of_cards() -> Iterator[str]:
    """Of judges with every habit that can be scripted."""
    scene = comparisons(40)
    for says in (
        lambda a, b: "first",
        lambda a, b: "first" if len(a) > len(b) else "second",
        lambda a, b: None if "river" in a else "tie",
        lambda a, b: "first" if a > b else "second",
    ):
        judge = Prefers(says)
        canaries = run_canaries(judge, scene, seed=0)  # type: ignore[arg-type]
        card = judge_card(judge.judge(scene), canaries, votes=[], judge=judge, seed=0)  # type: ignore[arg-type]
        yield from (*card.sentences, *card.warnings, card.withheld_because)
        for finding in card.findings:
            yield from (finding.what, finding.evidence)


def of_fears() -> Iterator[str]:
    """Of a model whose every answer is as bad as can be, in each way in turn."""
    draw = random.Random(1)
    words = ("river", "stone", "bread", "window", "lantern", "harbour", "winter", "copper", "garden")
    prompts = [(Message("user", f"Question {place}"),) for place in range(30)]
    good = [[Answer(prompt, " ".join(draw.choices(words, k=12)) + ".", "one")] for prompt in prompts]
    for text, finished in (
        ("", True), ("I'm sorry, but I can't help with that.", True), ("river stone " * 40, True),
        ("The river and the (", True), ("river bread window lantern", False), ("Stone and bread.", True),
    ):  # fmt: skip
        bad = [[Answer(prompt, text, "two", finished)] for prompt in prompts]
        flags = flag_answers({"one": good, "two": bad})
        found = look_for_fears({"one": good, "two": bad}, flags)
        yield from (finding.sentence for finding in found.findings)
        yield from (row["why"] for row in worse_prompts(prompts, good, bad, flags["one"], flags["two"]))


def of_win_rates() -> Iterator[str]:
    for wins, losses, ties, missing in (
        (40, 3, 2, 0),
        (5, 5, 1, 2),
        (7, 4, 0, 1),
        (12, 4, 0, 9),
        (0, 0, 0, 3),
        (9, 1, 0, 0),
    ):
        outcomes = ["win"] * wins + ["loss"] * losses + ["tie"] * ties + [None] * missing
        yield verdict_in_words(win_rate(outcomes), "a model", "another")  # type: ignore[arg-type]


def of_rules() -> Iterator[str]:
    """Why a rule cannot be checked: read off the source, each place filled with a number."""
    for path in sorted(Path(rules.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_why = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "NotApplicable"
            if is_why and isinstance(node.args[0], ast.Constant | ast.JoinedStr):  # type: ignore[attr-defined]
                yield "".join(
                    part.value if isinstance(part, ast.Constant) else "20"
                    for part in getattr(node.args[0], "values", [node.args[0]])  # type: ignore[attr-defined]
                )


@pytest.mark.parametrize("source", [of_cards, of_fears, of_win_rates, of_rules], ids=lambda one: one.__name__)
def test_everything_that_is_really_said_is_said_in_chinese(source: Callable[[], Iterator[str]]) -> None:
    """With every figure of the English sentence in it, as often."""
    sentences = sorted(set(source()) - {""})
    assert len(sentences) > 5
    for sentence in sentences:
        chinese = translated(sentence, "zh")
        assert chinese is not None and CHINESE.search(chinese), sentence
        assert sorted(FIGURE.findall(chinese)) == sorted(FIGURE.findall(sentence)), (sentence, chinese)


def test_so_is_what_an_audit_says(tmp_path: Path) -> None:
    """Of rows with every fault that pairs by themselves can have."""
    rows = [
        f'{{"prompt": "What is {n}?", "chosen": "Well, {n} it is, and a long one", "rejected": "{n}"}}'
        for n in range(60)
    ]
    rows += [
        rows[0],
        '{"prompt": "p", "chosen": "same", "rejected": "same"}',
        '{"prompt": "p", "chosen": "", "rejected": "x"}',
    ]
    rows += [
        '{"prompt": "q", "chosen": "a", "rejected": "b"}',
        '{"prompt": "q", "chosen": "b", "rejected": "a"}',
    ]
    rows += [
        '{"prompt": "q", "chosen": "a <|im_end|> b", "rejected": "c"}',
        '{"chosen": "a", "rejected": "c"}',
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    held_out = tmp_path / "held_out.jsonl"
    held_out.write_text("\n".join(rows[:20]) + "\n", encoding="utf-8")
    streams = [stream_records(SourceOptions(source=str(path))) for path in (file, held_out)]
    audit = audit_source(*streams)
    assert len(audit.findings) >= 8
    for finding in audit.findings:
        chinese = translated(finding.meaning, "zh")
        assert chinese is not None and CHINESE.search(chinese), finding.meaning
        assert sorted(FIGURE.findall(chinese)) == sorted(FIGURE.findall(finding.meaning))
        assert translated(finding.check, "zh") not in (None, finding.check)
