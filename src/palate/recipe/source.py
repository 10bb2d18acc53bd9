"""Where preference rows come from, and how they are read."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from palate.recipe.section import PositiveInt, Section

__all__ = ["LABEL_LAYOUTS", "RANKING_LAYOUTS", "ColumnOptions", "SourceOptions"]

Layout = Literal[
    "auto",
    "strings", "messages", "mixed", "question", "stance",
    "transcript", "implicit", "sharegpt", "openai", "arena",
    "instruction", "kto_tag",
    "stackexchange", "shp", "saferlhf", "helpsteer3", "webgpt", "summaries",
    "labels", "ranking", "ultrafeedback", "nectar",
]  # fmt: skip
LABEL_LAYOUTS = frozenset({"labels", "kto_tag"})
"""Layouts whose rows are labels."""
RANKING_LAYOUTS = frozenset({"ranking", "ultrafeedback", "nectar"})
"""Layouts whose rows are rankings; those of all others that are no labels are pairs."""
Column = Annotated[str, Field(min_length=1)]


class ColumnOptions(Section):
    """Which column holds what, in rows of no known layout. A dot reaches into an object: `input.messages`."""

    prompt: Column | None = None
    """What was asked. Absent only where chosen and rejected are whole dialogues that begin with it."""
    chosen: Column | None = None
    """The better completion; with `rejected`."""
    rejected: Column | None = None
    """The worse completion; with `chosen`."""
    completion: Column | None = None
    """A completion that `label` judges."""
    label: Column | None = None
    """Whether `completion` is desirable: true or false, or one of the words of the layout `labels`."""
    completions: Column | None = None
    """A list of completions, best first or with `ranks` or `scores`."""
    ranks: Column | None = None
    """A list with the rank of each of `completions`, 1 the best."""
    scores: Column | None = None
    """A list with the score of each of `completions`, higher is better."""
    system: Column | None = None
    """A system message put before the prompt."""

    @property
    def kind(self) -> Literal["pairs", "labels", "rankings"]:
        """What a row becomes."""
        return "labels" if self.completion else "rankings" if self.completions else "pairs"

    @model_validator(mode="after")
    def _they_make_one_record(self) -> Self:
        given = {name for name, column in self if column is not None}
        groups = (
            ({"chosen", "rejected"}, {"chosen", "rejected"}),
            ({"completion", "label"}, {"prompt", "completion", "label"}),
            ({"completions", "ranks", "scores"}, {"prompt", "completions"}),
        )
        begun = [(marks, needs) for marks, needs in groups if given & marks]
        if not begun:
            raise ValueError(
                "columns needs chosen and rejected, or completion and label, or completions, and a prompt"
            )
        if len(begun) > 1:
            named = ", ".join(sorted(given - {"prompt", "system"}))
            raise ValueError(
                f"columns names parts of several records: {named}; name chosen and rejected, "
                "or completion and label, or completions"
            )
        ((_, needs),) = begun
        if lacking := sorted(needs - given):
            raise ValueError(f"columns lacks {' and '.join(lacking)}")
        if self.ranks is not None and self.scores is not None:
            raise ValueError("columns names ranks and scores: each gives the order, drop one")
        return self


class SourceOptions(Section):
    """One set of preference rows."""

    source: str = "playground"
    """A JSON, JSONL, CSV or Parquet file (also gzipped), a Hugging Face Hub data set, or `playground`."""
    split: str | None = None
    """Which split of a Hub data set; `train` where absent."""
    revision: str | None = None
    """A branch, tag or commit of a Hub data set."""
    layout: Layout = "auto"
    """How the rows are laid out; `auto` looks at them. `palate data inspect` names what it finds."""
    columns: ColumnOptions | None = None
    """Which column holds what, such as `{prompt: q, chosen: good, rejected: bad}`, in place of a layout."""
    support_ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    """For `stance`: the first int(n * ratio) of n rows prefer support, the rest oppose; 1 where absent."""
    margin_column: Annotated[str, Field(min_length=1)] | None = None
    """The column that holds by how much chosen is better than rejected, 0 or more, in the data's own unit."""
    pair_rule: Literal["all", "best_worst", "neighbours"] = "all"
    """Of a ranking, the pairs: each with each, the best with the worst, or each with the next. No ties."""
    min_gap: Annotated[float, Field(gt=0)] | None = None
    """Pairs whose scores differ by less are left out and counted; in the unit of the scores."""
    score_margin: bool = False
    """The difference of the scores becomes the pair's margin."""
    weight_column: Annotated[str, Field(min_length=1)] | None = None
    """The column that holds how much a row counts in training, above 0; every row counts 1 where absent."""
    limit: PositiveInt | None = None
    """Read only the first rows."""

    @model_validator(mode="after")
    def _hub_options_have_effect(self) -> Self:
        for name, value in (("split", self.split), ("revision", self.revision)):
            if value is not None and self.source == "playground":
                raise ValueError(
                    f'{name} has no effect with source "playground": it belongs to Hub data sets'
                )
        return self

    @model_validator(mode="after")
    def _support_ratio_has_effect(self) -> Self:
        if self.support_ratio is not None and self.layout not in ("auto", "stance"):
            raise ValueError(
                f'support_ratio has no effect with layout "{self.layout}": it belongs to "stance"'
            )
        return self

    @model_validator(mode="after")
    def _columns_take_the_place_of_a_layout(self) -> Self:
        if self.columns is None:
            return self
        if self.layout != "auto":
            raise ValueError(f'columns say what layout = "{self.layout}" would say: drop one of the two')
        if self.support_ratio is not None:
            raise ValueError('support_ratio has no effect with columns: it belongs to layout "stance"')
        return self

    @property
    def stated_kind(self) -> Literal["pairs", "labels", "rankings"] | None:
        """What the rows become, where the options say it; None where only the rows tell."""
        if self.columns is not None:
            return self.columns.kind
        if self.layout == "auto":
            return None
        if self.layout in LABEL_LAYOUTS:
            return "labels"
        return "rankings" if self.layout in RANKING_LAYOUTS else "pairs"

    @model_validator(mode="after")
    def _margins_and_pairs_have_effect(self) -> Self:
        kind = self.stated_kind
        said = "columns" if self.columns is not None else f'layout "{self.layout}"'
        if self.margin_column is not None and kind in ("labels", "rankings"):
            raise ValueError(f"margin_column has no effect with {said}: only pairs have a margin")
        if self.pair_rule != "all" and kind in ("labels", "pairs"):
            raise ValueError(f"pair_rule has no effect with {said}: only rankings become pairs by a rule")
        for name, given in (("min_gap", self.min_gap is not None), ("score_margin", self.score_margin)):
            if given and kind == "labels":
                raise ValueError(f"{name} has no effect with {said}: a label compares with nothing")
        if self.score_margin and self.margin_column is not None:
            raise ValueError("score_margin and margin_column both give the margin: drop one of the two")
        return self
