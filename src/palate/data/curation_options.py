"""What curating and splitting are asked to do, checked before a row is read.

Beside the room that does it, not in it: this loads at once, so that `palate data` has its options from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from palate.data.kinds import Kind
from palate.errors import DataError

__all__ = ["CurationOptions", "SplitOptions", "refuse_without_effect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationOptions:
    """Which rows stay. Identical and invisible sides, contradictions and repeats go unless said otherwise.

    Raises:
        DataError: a number is out of bounds, or an option has no effect beside the others.
    """

    min_chars: int | None = None
    """The fewest characters of a completion."""
    max_chars: int | None = None
    """The most characters of a completion."""
    max_prompt_chars: int | None = None
    """The most characters of a prompt, a system message not counted."""
    require_capital: bool = False
    """A completion's first cased letter is a capital; scripts without case pass."""
    require_closing: bool = False
    """A completion ends with closing punctuation of any script, perhaps in quotes, or with a code fence."""
    form_of: Literal["chosen", "both"] | None = None
    """Whose form is looked at: the preferred completions (where absent), or all."""
    min_margin: float | None = None
    """The smallest margin of a pair; the difference of its scores where it has no margin."""
    max_margin: float | None = None
    """The largest margin of a pair."""
    against: tuple[str, ...] = ()
    """A test set, or several: rows that share a run of words with one of them go."""
    ngram: int | None = None
    """How many words in a row are a shared run; 8 where absent; twice as many Chinese or Thai characters."""
    against_parts: Literal["prompts", "completions", "both"] | None = None
    """Which texts of a row are held against the test sets; both where absent."""
    contradictions: Literal["drop", "keep-majority", "keep"] = "drop"
    """What happens to rows that prefer A to B where others prefer B to A."""
    keep_duplicates: bool = False
    """Keep rows that say exactly what an earlier row says."""
    near_duplicates: bool = False
    """Drop rows that nearly repeat an earlier row, prompt and completions."""
    balance: Literal["drop", "weight"] | None = None
    """Balance lengths, so that longer completions are not chosen more often: drop rows, or weigh them."""

    def __post_init__(self) -> None:
        for name in ("min_chars", "max_chars", "max_prompt_chars", "ngram"):
            _at_least(name, getattr(self, name), 1)
        for name in ("min_margin", "max_margin"):
            _at_least(name, getattr(self, name), 0)
        _in_order("min_chars", self.min_chars, "max_chars", self.max_chars)
        _in_order("min_margin", self.min_margin, "max_margin", self.max_margin)
        if self.form_of is not None and not (self.require_capital or self.require_closing):
            raise _no_effect("form_of", "no form is required", "--require-capital or --require-closing")
        for name in ("ngram", "against_parts"):
            if getattr(self, name) is not None and not self.against:
                raise _no_effect(name, "there is no test set", "--against FILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """How much is held out, and what has to stay together.

    Raises:
        DataError: a fraction is out of bounds.
    """

    eval_fraction: float = 0.1
    """The share of rows for measuring while a model is made."""
    test_fraction: float = 0.0
    """The share of rows for measuring once, at the end."""
    group_by: str = "prompt"
    """prompt, or also a key of the provenance, such as document: rows that share either stay together."""
    group_by_completion: bool = False
    """Rows that share a completion stay together too."""
    group_near_duplicates: bool = False
    """Rows whose prompts are nearly the same stay together too."""

    def __post_init__(self) -> None:
        for name in ("eval_fraction", "test_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise DataError(
                    f"{getattr(self, name):g} is no share within [0, 1)", where="--" + name.replace("_", "-")
                )
        if not 0 < self.eval_fraction + self.test_fraction < 1:
            raise DataError(
                "eval and test together have to be more than nothing and less than everything",
                where="--eval-fraction, --test-fraction",
            )


def refuse_without_effect(options: CurationOptions, kind: Kind, source: str) -> None:
    """What cannot be known before the kind of the rows is.

    Raises:
        DataError: an option means nothing for rows of this kind.
    """
    for name in ("min_margin", "max_margin", "balance"):
        if getattr(options, name) is not None and kind != "pairs":
            raise DataError(
                f"{_typed(name)} has no effect: these rows are {kind}",
                where=source,
                why="a margin or a difference in length is between the two sides of a pair",
                next=f"drop {_typed(name)}"
                + (", or convert the rows to pairs first" if kind == "rankings" else ""),
            )
    if options.contradictions == "keep-majority" and kind == "rankings":
        raise DataError(
            "--contradictions keep-majority cannot be had of rankings",
            where=source,
            why="a ranking may be with the majority in one comparison and against it in the next",
            next="use --contradictions drop or keep, or convert the rows to pairs first",
        )


def _typed(name: str) -> str:
    return "--" + name.replace("_", "-")


def _at_least(name: str, value: float | None, least: int) -> None:
    if value is not None and not least <= value < float("inf"):
        raise DataError(f"{value:g}: a number of {least} or more was expected", where=_typed(name))


def _in_order(low_name: str, low: float | None, high_name: str, high: float | None) -> None:
    if low is not None and high is not None and low > high:
        raise DataError(
            f"{low:g} to {high:g} leaves nothing", where=f"{_typed(low_name)}, {_typed(high_name)}"
        )


def _no_effect(name: str, why: str, needed: str) -> DataError:
    return DataError(f"{_typed(name)} has no effect: {why}", next=f"add {needed}, or drop {_typed(name)}")
