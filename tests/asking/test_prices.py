"""Price lists: read strictly, and nothing invented."""

from __future__ import annotations

from pathlib import Path

import pytest

from palate.asking import Price, PriceList, Usage, load_prices
from palate.errors import CallError

TEXT = """
currency: USD
models:
  "big-*": {input_per_million: 2, output_per_million: 8}
  big-old: {input_per_million: 1, output_per_million: 1, cached_input_per_million: 0.5}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    return path


def test_the_whole_name_goes_before_a_glob(tmp_path: Path) -> None:
    prices = load_prices(write(tmp_path, TEXT))
    assert prices.currency == "USD"
    assert prices.price("big-new") == Price(2, 8)
    assert prices.price("big-old") == Price(1, 1, 0.5)
    assert prices.price("small") is None
    assert prices.cost("small", Usage(1, 1)) is None


def test_a_million_in_and_half_a_million_out() -> None:
    """2 for the million in and 8 / 2 for the half million out."""
    assert PriceList({"m": Price(2, 8)}).cost("m", Usage(1_000_000, 500_000)) == 6.0
    assert PriceList.free().cost("anything", Usage(1_000_000, 1)) == 0.0
    assert PriceList().cost("anything", Usage(1, 1)) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: {}", "has `models`"),
        ("- 1", "has `models`"),
        ("models: [", "cannot be read"),
        ("model: {a: 1}\nmodels: {a: {input_per_million: 1, output_per_million: 1}}", "unknown: model"),
        ("models: {a: 3}", "no rates"),
        ("models: {a: {input_per_million: 1}}", "no output_per_million"),
        ("models: {a: {input_per_million: 1, output_per_milion: 1}}", 'Did you mean "output_per_million"'),
        ("models: {a: {input_per_million: -1, output_per_million: 1}}", "not negative"),
        ("models: {a: {input_per_million: .inf, output_per_million: 1}}", "not negative"),
        ("models: {a: {input_per_million: yes, output_per_million: 1}}", "not negative"),
        ("currency: 3\nmodels: {a: {input_per_million: 1, output_per_million: 1}}", "currency"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(CallError) as error:
        load_prices(write(tmp_path, text))
    assert told in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="cannot be read"):
        load_prices(tmp_path / "none.yaml")
