"""Whom a command has judge, as typed: the judges of `palate judge`, the one judge of `palate compare`.

A command takes them as `judges: JudgesOptions = NO_JUDGES` or `judging: JudgeOptions = NO_JUDGE`; every field
is an option of that command, on a panel of its own in the help.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cyclopts

from palate.cli.options import Flag, Repeated
from palate.errors import CallError

if TYPE_CHECKING:  # judges bring statistics along, which take a second, and no help page needs them
    from palate.judge import JudgeSpec

__all__ = ["NO_JUDGE", "NO_JUDGES", "JudgeOptions", "JudgesOptions"]

JUDGES = cyclopts.Group("Judges", sort_key=1)


@cyclopts.Parameter(name="*", group=JUDGES)
@dataclass(frozen=True, slots=True, kw_only=True)
class JudgesOptions:
    """One judge, or the several of a jury, and what they are all told."""

    model: Repeated = ()
    """A language model as judge: its name on the server, or a local model. May be repeated: a jury."""
    scorer: Repeated = ()
    """A function as judge: a built-in name or module:function. May be repeated."""
    reward_model: Repeated = ()
    """A reward model as judge: a Hub name, a folder, or a run. May be repeated."""
    logprob_model: Repeated = ()
    """A local language model as judge, by the likelihood of each verdict's word. May be repeated."""
    judges: Path | None = None
    """A YAML file of judges, for several servers, rubrics or names."""
    base_url: str | None = None
    """The server, such as http://localhost:8000/v1; a local model where absent."""
    rubric: str | None = None
    """preference, helpfulness, faithfulness, writing, or a file; preference where absent."""
    mode: Literal["pairwise", "pointwise", "listwise"] | None = None
    """Two answers at once, one at a time, or all of a prompt in order; pairwise where absent."""
    orders: Literal["both", "random"] | None = None
    """Ask in both orders, or once in one that chance decides; both where absent."""
    temperature: float | None = None
    """0 where absent."""
    max_tokens: int | None = None
    """The most tokens of reasoning and verdict; 1024 where absent."""
    pooling: Literal["majority", "dawid_skene"] | None = None
    """How a jury's verdicts become one; majority where absent."""

    def specs(self) -> list[JudgeSpec]:
        """The judges that are named: first those of the command line, then those of the file.

        Raises:
            CallError: none is named. JudgeError: the file is none, or an option reaches none of the judges.
        """
        from palate.judge.specs import KINDS, JudgeSpec, load_judges, with_defaults

        named = [JudgeSpec.model_validate({kind: name}) for kind in KINDS for name in getattr(self, kind)]
        named += load_judges(self.judges) if self.judges is not None else []
        if not named:
            raise CallError(
                "no judge is named",
                next="name one: --model, --scorer, --reward-model or --logprob-model, "
                "or a file with --judges",
            )
        of_all = ("base_url", "rubric", "mode", "orders", "temperature", "max_tokens")
        return with_defaults(named, {option: getattr(self, option) for option in of_all})


NO_JUDGES = JudgesOptions()
"""Nobody named."""


@cyclopts.Parameter(name="*", group=JUDGES)
@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions:
    """One judge, or a file of several, beside options of the models that are judged.

    The fields are those of a recipe's section `compare`, so that `palate.cli.typed.given` lays them over it.
    """

    judge: str | None = None
    """A function as judge: a built-in name or module:function."""
    judge_model: str | None = None
    """A language model as judge: its name on the server, or a local model."""
    judge_base_url: str | None = None
    """The judge's server, such as http://localhost:8000/v1; a local model where absent."""
    rubric: str | None = None
    """What it goes by: preference, helpfulness, faithfulness, writing, or a file."""
    reward_model: str | None = None
    """A reward model as judge: a Hub name, a folder, or a run."""
    logprob_model: str | None = None
    """A local language model as judge, by the likelihood of each verdict's word."""
    judges: str | None = None
    """A YAML file of judges, as palate judge takes it: several are a jury."""
    votes: str | None = None
    """People's votes on these answers, a file or a store: they judge, or measure the judge that is named."""
    force: Flag = False
    """Count a judge's verdicts even though it failed a canary."""
    within: float | None = None
    """How many comparisons it still takes to know a win rate so closely, such as 0.03 either way."""


NO_JUDGE = JudgeOptions()
"""Nobody named."""
