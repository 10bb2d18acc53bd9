"""Judges as a person writes them: what is said takes effect, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from palate.errors import JudgeError
from palate.judge.specs import JudgeSpec, load_judges, with_defaults


def judges(folder: Path, text: str) -> list[JudgeSpec]:
    (folder / "judges.yaml").write_text(text)
    return load_judges(folder / "judges.yaml")


def test_a_file_of_judges(tmp_path: Path) -> None:
    one, two, three = judges(
        tmp_path,
        """
judges:
  - {name: careful, model: big, base_url: "https://one.example/v1", api_key_env: ONE_KEY, rubric: mine.yaml}
  - {model: small, base_url: "http://localhost:8000/v1", rubric: helpfulness, mode: pointwise}
  - {scorer: shorter}
""",
    )
    assert (one.kind, one.name, one.base_url, one.api_key_env) == (
        "model", "careful", "https://one.example/v1", "ONE_KEY",
    )  # fmt: skip
    assert one.rubric == str(tmp_path / "mine.yaml")
    assert (two.rubric, two.mode, three.kind) == ("helpfulness", "pointwise", "scorer")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {model: m}", "no file of judges"),
        ("judges: []", "no file of judges"),
        ("judges: [shorter]", "a judge is a mapping"),
        ("judges: [{modell: m}]", 'Did you mean "model"?'),
        ("judges: [{model: m, scorer: shorter}]", "names model and scorer"),
        ("judges: [{name: n}]", "names nothing that judges"),
        ("judges: [{scorer: shorter, orders: both}]", "orders: no effect on a scorer"),
        ("judges: [{reward_model: r, rubric: writing}]", "rubric: no effect on a reward model"),
        ("judges: [{model: m, mode: sideways}]", "mode"),
        ("judges: [{model: m, max_tokens: 0}]", "max_tokens"),
        ("judges: [{model: m, model: n}]", "cannot be read"),
        ("judges: !!python/object:os.system {}", "cannot be read"),
    ],
)
def test_what_is_wrong_with_it_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(JudgeError) as raised:
        judges(tmp_path, text)
    assert said in str(raised.value)
    assert "judges.yaml" in raised.value.where


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="cannot be read"):
        load_judges(tmp_path / "none.yaml")


def test_defaults_reach_those_that_take_them_and_say_nothing_themselves() -> None:
    specs = [JudgeSpec(model="m", orders="random"), JudgeSpec(model="n"), JudgeSpec(scorer="shorter")]
    one, two, three = with_defaults(specs, {"orders": "both", "rubric": "writing", "mode": None})
    assert (one.orders, two.orders, three.orders) == ("random", "both", None)
    assert (one.rubric, two.rubric, three.rubric) == ("writing", "writing", None)


@pytest.mark.parametrize(
    ("spec", "option", "value"),
    [
        (JudgeSpec(scorer="shorter"), "orders", "both"),
        (JudgeSpec(logprob_model="m"), "mode", "pairwise"),
        (JudgeSpec(model="m", rubric="writing"), "rubric", "preference"),
    ],
)
def test_a_default_that_reaches_nobody_is_an_error(spec: JudgeSpec, option: str, value: str) -> None:
    with pytest.raises(JudgeError, match=f"--{option}: no effect"):
        with_defaults([spec], {option: value})
