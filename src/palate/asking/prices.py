"""What tokens cost, as a person wrote it down. None are built in: prices change, and a wrong one misleads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from palate.asking.requests import Usage
from palate.errors import CallError, did_you_mean

__all__ = ["Price", "PriceList", "load_prices"]

_RATES = ("input_per_million", "output_per_million", "cached_input_per_million")


@dataclass(frozen=True, slots=True)
class Price:
    """Money per million tokens."""

    input_per_million: float
    output_per_million: float
    cached_input_per_million: float | None = None
    """For what the server had at hand of the prompt; None: the same as the rest."""

    def cost(self, usage: Usage) -> float:
        """What so many tokens cost."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        cached_rate = self.cached_input_per_million
        if cached_rate is None:
            cached_rate = self.input_per_million
        return (
            (usage.prompt_tokens - cached) * self.input_per_million
            + cached * cached_rate
            + usage.completion_tokens * self.output_per_million
        ) / 1_000_000


FREE = Price(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by model name. A name in the list may be a glob; the whole name goes before any glob, and among
    globs the first that fits."""

    models: Mapping[str, Price] = field(default_factory=dict)
    currency: str = ""

    @classmethod
    def free(cls) -> PriceList:
        """Every model costs nothing: for those that run on this machine."""
        return cls({"*": FREE})

    def price(self, model: str) -> Price | None:
        """A model's price; None where the list has none."""
        if model in self.models:
            return self.models[model]
        return next((price for name, price in self.models.items() if fnmatchcase(model, name)), None)

    def cost(self, model: str, usage: Usage) -> float | None:
        """What so many tokens of a model cost, in `currency`; None where it has no price."""
        price = self.price(model)
        return None if price is None else price.cost(usage)


def load_prices(path: str | Path) -> PriceList:
    """Read a price list: YAML with `currency` and, under `models`, rates for each name or glob.

        currency: USD
        models:
          small-model: {input_per_million: 0.15, output_per_million: 0.60, cached_input_per_million: 0.08}
          "big-*": {input_per_million: 2, output_per_million: 8}

    Raises:
        CallError: the file cannot be read, or is no price list.
    """
    path = Path(path)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise CallError(f"the price list cannot be read: {error}", where=str(path)) from None
    if not isinstance(tree, dict) or not isinstance(tree.get("models"), dict) or not tree["models"]:
        raise _wrong(path, "a price list has `models`, and under it rates for each name")
    if unknown := set(tree) - {"currency", "models"}:
        raise _wrong(path, f"unknown: {', '.join(map(str, sorted(unknown, key=str)))}")
    currency = tree.get("currency", "")
    if not isinstance(currency, str):
        raise _wrong(path, "`currency` is a word, such as USD")
    return PriceList(
        {str(name): _price(path, name, rates) for name, rates in tree["models"].items()}, currency
    )


def _price(path: Path, name: Any, rates: Any) -> Price:
    if not isinstance(rates, dict):
        raise _wrong(path, f'"{name}" has no rates')
    for key, rate in rates.items():
        if key not in _RATES:
            raise _wrong(path, f'"{name}": unknown rate "{key}".{did_you_mean(str(key), _RATES)}')
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < math.inf:
            raise _wrong(path, f'"{name}": {key} is a number that is not negative, not {rate!r}')
    for key in _RATES[:2]:
        if key not in rates:
            raise _wrong(path, f'"{name}" has no {key}')
    return Price(**{key: float(rate) for key, rate in rates.items()})


def _wrong(path: Path, what: str) -> CallError:
    return CallError(
        f"not a price list: {what}",
        where=str(path),
        next="write for each model: {input_per_million: 0.15, output_per_million: 0.60}",
    )
