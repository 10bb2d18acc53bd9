"""Loading a scorer, and that one which fails has said nothing."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.errors import JudgeError
from palate.judge import judge_by_score, load_scorer, score_answer
from palate.judge.builtin import BUILT_IN_SCORERS, finishes_sentence, longer, shorter, varied
from palate.records import Comparison, Message, Messages, Provenance

PROMPT: Messages = (Message("user", "Say something."),)


def compared(a: str, b: str) -> Comparison:
    return Comparison(PROMPT, (Message("assistant", a),), (Message("assistant", b),), Provenance("test"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, empty, and forgotten afterwards together with every module loaded from it."""
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def error_of(spec: str) -> JudgeError:
    with pytest.raises(JudgeError) as caught:
        load_scorer(spec)
    assert caught.value.exit_code == 2
    assert caught.value.next
    return caught.value


# --- built in -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN_SCORERS)
@given(answer=st.text())
def test_built_in_scorers_always_have_a_number(name: str, answer: str) -> None:
    assert score_answer(load_scorer(name), PROMPT, answer).value is not None


def test_shorter_and_longer_count_characters() -> None:
    assert shorter(PROMPT, " five \n") == -4
    assert longer(PROMPT, " five \n") == 4


def test_saying_nothing_is_not_the_shortest_answer() -> None:
    assert shorter(PROMPT, "  ") < shorter(PROMPT, "word " * 10_000)


@pytest.mark.parametrize(
    "answer", ["Yes.", "Really?!", 'She said "no."', "(It ends here.)", "好的。", "“好吗？”", "Well…"]
)
def test_a_sentence_that_ends(answer: str) -> None:
    assert finishes_sentence(PROMPT, answer) == 1


@pytest.mark.parametrize("answer", ["", "and then", "Yes, ", "Dr. Who", "好的，"])
def test_a_sentence_that_does_not_end(answer: str) -> None:
    assert finishes_sentence(PROMPT, answer) == 0


def test_varied_by_hand() -> None:
    """In "a b a b a b" the runs are aba bab aba bab, 2 distinct of 4; Chinese is counted by character."""
    assert varied(PROMPT, "a b a b a b") == 0.5
    assert varied(PROMPT, "好坏好坏好坏") == 0.5
    assert varied(PROMPT, "every word here differs") == 1
    assert varied(PROMPT, "two words") == 1
    assert varied(PROMPT, "...") == 0


# --- by name ------------------------------------------------------------------------------------------


def test_a_slip_in_a_built_in_name_is_helped() -> None:
    error = error_of("shortr")
    assert error.what == (
        '"shortr": no such judge. Did you mean "shorter"? '
        "Built in: shorter, longer, finishes_sentence, varied"
    )
    assert "module:function" in error.next


def test_a_function_of_a_file_in_the_current_folder(here: Path) -> None:
    (here / "my_taste.py").write_text(
        "def vowels(prompt, answer):\n    return sum(c in 'aeiou' for c in answer)\n"
    )
    assert load_scorer("my_taste:vowels")(PROMPT, "banana") == 3


def test_a_function_of_a_package_that_imports_its_neighbour_late(here: Path) -> None:
    (here / "tastes").mkdir()
    (here / "tastes" / "__init__.py").write_text("")
    (here / "tastes" / "a.py").write_text(
        "def score(prompt, answer):\n    import lateness\n    return lateness.N\n"
    )
    (here / "lateness.py").write_text("N = 7\n")
    assert load_scorer("tastes.a:score")(PROMPT, "") == 7


def test_a_file_here_does_not_hide_an_installed_module(here: Path) -> None:
    (here / "colorsys.py").write_text("def score(prompt, answer):\n    return 1\n")
    error = error_of("colorsys:score")
    assert 'has no "score"' in error.what
    assert not error.where.startswith(str(here))


def test_no_such_module(here: Path) -> None:
    error = error_of("no_such_taste:score")
    assert '"no_such_taste"' in error.what
    assert str(here) in error.why


def test_no_such_submodule() -> None:
    assert 'there is no module "json.taste"' in error_of("json.taste:score").what


def test_a_module_whose_own_import_is_missing_is_not_called_missing_itself(here: Path) -> None:
    (here / "needy.py").write_text("\nimport no_such_dependency\n")
    error = error_of("needy:score")
    assert "importing needy failed: ModuleNotFoundError: No module named 'no_such_dependency'" in error.what
    assert error.why.endswith("needy.py:2")


@pytest.mark.parametrize("body", ["raise RuntimeError('boom')", "import sys; sys.exit(3)", "def broken(:"])
def test_a_module_that_fails_while_it_is_imported(here: Path, body: str) -> None:
    (here / "broken_taste.py").write_text(body)
    error = error_of("broken_taste:score")
    assert "importing broken_taste failed" in error.what
    assert 'python -c "import broken_taste"' in error.next


def test_no_such_function(here: Path) -> None:
    (here / "tasty.py").write_text("from math import sqrt\ndef brevity(prompt, answer):\n    return 0\n")
    error = error_of("tasty:brevty")
    assert error.what == '"tasty:brevty": the module has no "brevty". Did you mean "brevity"? It has: brevity'
    assert error.where.endswith("tasty.py")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("score = 3", "score is a int, not a function"),
        ("def score(answer): return 1", "cannot be called as a scorer: too many positional arguments"),
        ("def score(prompt, answer, *, rubric): return 1", "missing a required"),
        ("async def score(prompt, answer): return 1", "is asynchronous"),
    ],
)
def test_a_thing_that_is_no_scorer(here: Path, body: str, says: str) -> None:
    (here / "odd_taste.py").write_text(body)
    assert says in error_of("odd_taste:score").what


@pytest.mark.parametrize(
    ("spec", "example"),
    [
        ("taste.py:score", "taste:score"),
        ("tastes/mine.py:score", "tastes.mine:score"),
        ("../taste:score", "taste:score"),
        ("taste:", "taste:score"),
        (":score", "my_taste:score"),
        ("taste:a:b", "taste:score"),
        ("taste:__import__('os')", "taste:score"),
    ],
)
def test_a_name_written_otherwise_is_answered_with_how_to_write_it(spec: str, example: str) -> None:
    assert error_of(spec).next == f"write it like this: {example}"


# --- scores and verdicts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (2, 2),
        (-0.5, -0.5),
        (True, 1),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (Fraction(1, 4), 0.25),
        (Decimal("1.5"), 1.5),
    ],
)
def test_numbers_of_every_kind_are_scores(result: Any, value: float) -> None:
    assert score_answer(lambda prompt, answer: result, PROMPT, "x").value == value


@pytest.mark.parametrize(
    "result",
    [
        None,
        "3",
        b"3",
        [1.0],
        {"score": 1},
        math.nan,
        math.inf,
        -math.inf,
        1 + 2j,
        10**400,
        np.array([1.0, 2.0]),
    ],
)
def test_anything_else_is_a_missing_score(result: Any) -> None:
    score = score_answer(lambda prompt, answer: result, PROMPT, "x")
    assert score.value is None
    assert score.problem.startswith("the scorer")


def raising(error: BaseException) -> Any:
    def scorer(prompt: Messages, answer: str) -> float:
        raise error

    return scorer


@pytest.mark.parametrize(
    "error", [ValueError("no\nverdict"), KeyError("x"), RecursionError(), AssertionError()]
)
def test_a_scorer_that_raises_gives_a_missing_score(error: Exception) -> None:
    score = score_answer(raising(error), PROMPT, "x")
    assert score.value is None
    assert type(error).__name__ in score.problem
    assert "\n" not in score.problem


def test_an_interrupt_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        score_answer(raising(KeyboardInterrupt()), PROMPT, "x")


@pytest.mark.parametrize(("a", "b", "preferred"), [("aa", "b", "b"), ("a", "bb", "a"), ("a", "b", "tie")])
def test_verdicts(a: str, b: str, preferred: str) -> None:
    verdict = judge_by_score(shorter, "shorter", compared(a, b))
    assert verdict.preferred == preferred
    assert verdict.judge == "shorter"
    assert verdict.comparison == compared(a, b)
    assert verdict.reason == f"scores {-len(a)} and {-len(b)}"


def test_one_missing_score_leaves_the_verdict_missing() -> None:
    """Promise 5: read as 0, the failure would make "good" the winner over an answer scored -1."""

    def moody(prompt: Messages, answer: str) -> float:
        if answer == "bad":
            raise ValueError("cannot read this")
        return -1.0

    for a, b, side in (("good", "bad", "b"), ("bad", "good", "a")):
        verdict = judge_by_score(moody, "moody", compared(a, b))
        assert verdict.preferred is None
        assert verdict.reason == f"answer {side}: the scorer failed: ValueError: cannot read this"


@given(st.floats(), st.floats())
def test_a_verdict_exists_exactly_where_both_scores_are_finite(x: float, y: float) -> None:
    verdict = judge_by_score(lambda prompt, answer: x if answer == "x" else y, "f", compared("x", "y"))
    if math.isfinite(x) and math.isfinite(y):
        assert verdict.preferred == ("tie" if x == y else "a" if x > y else "b")
    else:
        assert verdict.preferred is None
        assert verdict.reason


@pytest.mark.parametrize("end", ["sys.exit('no key')", "exit(3)", "raise SystemExit"])
def test_a_scorer_that_ends_the_process_has_said_nothing(end: str, here: Path) -> None:
    """A script that was not written as a library: the run it would end is not its own."""
    (here / "ending_taste.py").write_text(f"import sys\ndef score(prompt, answer):\n    {end}\n")
    scorer = load_scorer("ending_taste:score")
    score = score_answer(scorer, PROMPT, "an answer")
    assert score.value is None
    assert score.problem.startswith("the scorer failed: SystemExit")
    assert judge_by_score(scorer, "ending_taste:score", compared("a", "b")).preferred is None


def test_ctrl_c_in_a_scorer_stops_the_work() -> None:
    def interrupted(prompt: Messages, answer: str) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_answer(interrupted, PROMPT, "an answer")
