"""Which judges there are to be, as a person writes it: in a file, or as options of a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from palate.errors import JudgeError, did_you_mean
from palate.judge.rubric import BUILT_IN_RUBRICS
from palate.recipe.loading import StrictLoader, yaml_slip
from palate.recipe.section import Section

__all__ = ["KINDS", "JudgeSpec", "Kind", "load_judges", "with_defaults"]

Kind = Literal["model", "scorer", "reward_model", "logprob_model"]

_OPTIONS: Mapping[Kind, tuple[str, ...]] = {
    "model": ("base_url", "api_key_env", "rubric", "mode", "orders", "temperature", "max_tokens"),
    "scorer": (),
    "reward_model": (),
    "logprob_model": ("rubric",),
}
KINDS: tuple[Kind, ...] = ("model", "scorer", "reward_model", "logprob_model")
"""Of each judge one of these is named."""


class JudgeSpec(Section):
    """One judge. Options that say nothing are None; which of them a judge takes depends on its kind."""

    name: str | None = None
    """How verdicts and the card call it; the model's or scorer's name where absent."""
    model: str | None = None
    """A language model that is asked: its name on the server, or a model of this machine."""
    scorer: str | None = None
    """A function that scores an answer: a built-in name, or module:function."""
    reward_model: str | None = None
    """A reward model of this machine: a Hub name, a folder, or a run."""
    logprob_model: str | None = None
    """A language model of this machine, of which the likelihood of each verdict's word is taken."""
    base_url: str | None = None
    """The server that has the model; a model of this machine where absent."""
    api_key_env: str | None = None
    """The environment variable with the server's key; OPENAI_API_KEY where absent."""
    rubric: str | None = None
    """A built-in rubric's name or a file, found from where the judges' file lies; preference where absent."""
    mode: Literal["pairwise", "pointwise", "listwise"] | None = None
    """Two answers at once, one at a time, or all of a prompt in order; pairwise where absent."""
    orders: Literal["both", "random"] | None = None
    """Ask in both orders, or once in one that chance decides; both where absent."""
    temperature: float | None = Field(default=None, ge=0, le=5)
    """0 where absent."""
    max_tokens: int | None = Field(default=None, ge=1)
    """The most tokens of reasoning and verdict; 1024 where absent."""

    @property
    def kind(self) -> Kind:
        """Which kind of judge it is.

        Raises:
            JudgeError: it names none, or several.
        """
        named = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(named) != 1:
            raise JudgeError(
                f"a judge that names {' and '.join(named) or 'nothing that judges'}",
                next=f"give each judge one of {', '.join(KINDS)}",
            )
        return named[0]

    @property
    def said(self) -> str:
        """The judge as it was named."""
        return f"{self.kind} {getattr(self, self.kind)}"

    def takes(self, option: str) -> bool:
        """Whether an option has an effect on it."""
        return option in _OPTIONS[self.kind]

    def refuse_idle(self, where: str) -> None:
        """
        Raises:
            JudgeError: it is of no kind, or has an option that has no effect on its kind.
        """
        kind = self.kind
        given = [name for options in _OPTIONS.values() for name in options if getattr(self, name) is not None]
        idle = [name for name in dict.fromkeys(given) if not self.takes(name)]
        if idle:
            raise JudgeError(
                f"{', '.join(idle)}: no effect on a {kind.replace('_', ' ')}",
                where=where,
                next=f"drop {'it' if len(idle) == 1 else 'them'}",
            )


def with_defaults(specs: Sequence[JudgeSpec], defaults: Mapping[str, Any]) -> list[JudgeSpec]:
    """The judges, each with the defaults that it takes and says nothing of itself.

    Raises:
        JudgeError: a default that was given reaches none of them.
    """
    given = {name: value for name, value in defaults.items() if value is not None}
    for option in given:
        if not any(spec.takes(option) and getattr(spec, option) is None for spec in specs):
            said = ", ".join(spec.said for spec in specs)
            raise JudgeError(
                f"--{option.replace('_', '-')}: no effect on any of the judges", why=said, next="drop it"
            )
    return [
        spec.model_copy(
            update={
                name: value
                for name, value in given.items()
                if spec.takes(name) and getattr(spec, name) is None
            }
        )
        for spec in specs
    ]


def load_judges(path: str | Path) -> list[JudgeSpec]:
    """Read a file of judges: YAML with a list `judges`, each as `JudgeSpec` has it.

        judges:
          - {name: careful, model: big-model, base_url: "https://one.example/v1", api_key_env: ONE_KEY}
          - {model: small-model, base_url: "http://localhost:8000/v1", rubric: my_rubric.yaml}

    Raises:
        JudgeError: the file cannot be read, or is none.
    """
    path = Path(path)
    try:
        tree = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=StrictLoader)
    except yaml.YAMLError as error:
        problem, place = yaml_slip(error, str(path))
        raise JudgeError(
            "the file of judges cannot be read", where=place, why=problem, next="mend the YAML at that line"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise JudgeError(
            "the file of judges cannot be read",
            where=str(path),
            why=why or "",
            next="name a file of YAML, in UTF-8, with a list judges",
        ) from None
    rows = tree.get("judges") if isinstance(tree, dict) and set(tree) == {"judges"} else None
    if not isinstance(rows, list) or not rows:
        raise JudgeError(
            "this is no file of judges",
            where=str(path),
            next="write `judges:` and below it a list, such as - {model: NAME, base_url: URL}",
        )
    return [_spec(row, path, number) for number, row in enumerate(rows, 1)]


def _spec(row: object, path: Path, number: int) -> JudgeSpec:
    where = f"{path}, judge {number}"
    if not isinstance(row, dict):
        raise JudgeError("a judge is a mapping, such as {model: NAME, base_url: URL}", where=where)
    try:
        spec = JudgeSpec.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            hint = did_you_mean(option, JudgeSpec.model_fields)
            raise JudgeError(f'"{option}": unknown option.{hint}', where=where) from None
        said = first["msg"].removeprefix("Value error, ")
        raise JudgeError(f"{option}: {said}" if option else said, where=where) from None
    try:
        spec.refuse_idle(where)
    except JudgeError as error:
        if error.where:
            raise
        raise JudgeError(error.what, where=where, next=error.next) from None
    rubric = spec.rubric
    if rubric is not None and rubric not in BUILT_IN_RUBRICS and not Path(rubric).is_absolute():
        spec = spec.model_copy(update={"rubric": str(path.parent / rubric)})
    return spec
