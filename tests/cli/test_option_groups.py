"""Groups of options: what was typed of them, and that they are all the library takes."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from options_typed import options_of
from palate.cli.comparing_options import AnswersOptions, MeasuredOptions
from palate.cli.generating_options import SamplingOptions
from palate.cli.judging_options import JudgeOptions, JudgesOptions
from palate.cli.typed import given, typed, typed_options
from palate.errors import CallError, JudgeError
from palate.judge.specs import KINDS, JudgeSpec
from palate.recipe import CompareOptions


@dataclass(frozen=True)
class Lamp:
    num_bulbs: int = 1
    is_lit: bool = True
    shade: str | None = None
    colours: tuple[str, ...] = ()


def test_what_is_as_usual_was_not_typed() -> None:
    assert given(Lamp()) == {} and typed_options(Lamp()) == []
    lamp = Lamp(num_bulbs=0, is_lit=False, shade="", colours=("red",))
    assert given(lamp) == {"num_bulbs": 0, "is_lit": False, "shade": "", "colours": ("red",)}
    assert typed_options(lamp) == ["--num-bulbs", "--no-is-lit", "--shade", "--colours"]


def test_a_field_without_a_default_is_typed_always() -> None:
    @dataclass
    class Needed:
        base_url: str

    assert typed_options(Needed("")) == [typed("base_url")] == ["--base-url"]


def test_judges_stand_in_the_order_of_their_kinds_and_take_what_is_for_all_of_them() -> None:
    named = JudgesOptions(scorer=("longer",), model=("one", "two"), rubric="writing", mode="pairwise")
    one, two, longer = named.specs()
    assert (one.model, two.model, longer.scorer) == ("one", "two", "longer")
    assert (one.rubric, two.mode, longer.rubric) == ("writing", "pairwise", None)


def test_options_of_judges_that_reach_none_and_no_judges_at_all_are_refused() -> None:
    with pytest.raises(CallError, match="no judge is named"):
        JudgesOptions(rubric="writing").specs()
    with pytest.raises(JudgeError, match="--max-tokens: no effect on any of the judges"):
        JudgesOptions(scorer=("longer",), max_tokens=9).specs()


def test_every_kind_of_judge_can_be_named() -> None:
    for_all = set(JudgeSpec.model_fields) - {"name", "api_key_env"}
    assert for_all <= {field.name for field in fields(JudgesOptions)}
    assert {typed(kind) for kind in KINDS} <= {name for names in options_of("judge") for name in names}


def test_what_a_recipe_says_of_comparing_can_be_typed_and_nothing_else() -> None:
    groups = (AnswersOptions, JudgeOptions, MeasuredOptions)
    said = [field.name for group in groups for field in fields(group)]
    assert sorted(said) == sorted(set(CompareOptions.model_fields) - {"judge_api_key_env"})


def test_a_seed_that_nobody_is_sent_is_refused() -> None:
    assert SamplingOptions(seed=3).seed_to_send() == 3
    assert SamplingOptions(server_seeds=False).seed_to_send() is None
    with pytest.raises(CallError, match="--seed 3: no effect"):
        SamplingOptions(seed=3, server_seeds=False).seed_to_send()
