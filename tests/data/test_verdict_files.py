"""Verdicts into a file and back: nothing is lost, and what is no verdict is set aside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palate.data.verdicts import VERDICT_COLUMNS, read_verdicts, write_verdicts
from palate.errors import DataError
from palate.records import Comparison, JudgeCall, Message, Provenance, Verdict

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)
SPOKEN = WORDS.filter(lambda text: text.strip() != "")
SIDES = st.sampled_from(["a", "b"])
PREFERENCES = st.sampled_from(["a", "b", "tie", None])
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-99, 99)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
DETAILS = st.dictionaries(WORDS, PLAIN, max_size=3)


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    texts = draw(st.lists(SPOKEN, min_size=2, max_size=2, unique=True))
    detail = draw(
        DETAILS.map(lambda d: {k: v for k, v in d.items() if k not in ("source", "line", "a", "b")})
    )
    models = draw(st.none() | st.tuples(SPOKEN, SPOKEN))
    if models is not None:
        detail |= {side: {"model": model, "sample": 1} for side, model in zip("ab", models, strict=True)}
    return Comparison(
        (Message("user", draw(SPOKEN)),),
        (Message("assistant", texts[0]),),
        (Message("assistant", texts[1]),),
        Provenance(draw(WORDS), draw(st.none() | st.integers(1, 9)), detail),
    )


CALLS = st.builds(JudgeCall, SIDES, PREFERENCES, WORDS, st.text(max_size=12), DETAILS)
LOOKS = st.lists(CALLS, max_size=2).map(tuple)
VERDICTS = st.builds(Verdict, comparisons(), WORDS, PREFERENCES, WORDS, st.booleans(), LOOKS, DETAILS)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(verdicts=st.lists(VERDICTS, min_size=1, max_size=4))
def test_what_is_written_is_read(tmp_path: Path, ending: str, verdicts: list[Verdict]) -> None:
    """What models say may hold half of a surrogate pair, which no file does; `calls` still gives it back."""
    path = tmp_path / f"verdicts.{ending}"
    write_verdicts(verdicts, path)
    again, set_aside = read_verdicts(path)
    assert again == tuple(verdicts)
    assert set_aside == ()


def a_verdict(**changes: object) -> Verdict:
    comparison = Comparison(
        (Message("user", "q"),), (Message("assistant", "x"),), (Message("assistant", "y"),),
        Provenance("some.jsonl", 3, {"a": {"model": "one"}, "b": {"model": "two"}}),
    )  # fmt: skip
    said: dict[str, object] = {"comparison": comparison, "judge": "j", "preferred": "a"}
    return Verdict(**{**said, **changes})  # type: ignore[arg-type]


def test_its_columns_say_who_wrote_and_who_judged(tmp_path: Path) -> None:
    write_verdicts([a_verdict(flipped=False)], tmp_path / "v.jsonl")
    row = json.loads((tmp_path / "v.jsonl").read_text())
    assert tuple(row) == VERDICT_COLUMNS
    assert (row["generator_a"], row["generator_b"], row["judge"], row["preferred"]) == (
        "one",
        "two",
        "j",
        "a",
    )
    assert json.loads(row["provenance"])["source"] == "some.jsonl"


def test_a_missing_verdict_is_a_row(tmp_path: Path) -> None:
    call = JudgeCall("a", None, "truncated", "The first is", {"why": "1024 tokens"})
    missing = a_verdict(preferred=None, reason="truncated", calls=(call,))
    write_verdicts([missing], tmp_path / "v.parquet")
    assert read_verdicts(tmp_path / "v.parquet")[0] == (missing,)


def test_half_a_character_that_a_judge_said_is_there_again(tmp_path: Path) -> None:
    said = a_verdict(calls=(JudgeCall("a", None, "unparsed", "half \ud83d"),))
    for name in ("v.jsonl", "v.parquet"):
        write_verdicts([said], tmp_path / name)
        assert read_verdicts(tmp_path / name)[0][0].calls == said.calls


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("preferred", "c", "none of a, b, tie"),
        ("judge", "", '"judge" is no name'),
        ("judge", None, '"judge" is no name'),
        ("reason", 3, '"reason" is no text'),
        ("flipped", "yes", "neither true nor false"),
        ("calls", "[{]", '"calls" is no JSON'),
        ("calls", "[3]", "what is no call"),
        ("calls", '[{"shown_first": "c"}]', "what is no call"),
        ("detail", "[]", '"detail" is not an object'),
        ("completion_b", [{"role": "assistant", "content": "x"}], "identical"),
    ],
)
def test_what_is_no_verdict_is_set_aside(tmp_path: Path, column: str, value: object, reason: str) -> None:
    write_verdicts([a_verdict()], tmp_path / "v.jsonl")
    row = json.loads((tmp_path / "v.jsonl").read_text())
    lines = [json.dumps(row), json.dumps({**row, column: value})]
    (tmp_path / "v.jsonl").write_text("\n".join(lines))
    verdicts, (set_aside,) = read_verdicts(tmp_path / "v.jsonl")
    assert verdicts == (a_verdict(),)
    assert (set_aside.line, reason in set_aside.reason) == (2, True)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.jsonl").write_text('{"prompt": "p", "chosen": "x", "rejected": "y"}\n')
    with pytest.raises(DataError, match="these are no verdicts"):
        read_verdicts(tmp_path / "v.jsonl")
