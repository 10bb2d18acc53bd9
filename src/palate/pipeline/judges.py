"""Judges from their specifications: whoever is needed of each kind, and a jury where there are several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from palate.asking import Asker
from palate.errors import JudgeError
from palate.judge.judging import Judge
from palate.judge.jury import Jury, Pooling
from palate.judge.llm import LLMJudge
from palate.judge.programmatic import ScorerJudge
from palate.judge.rubric import Rubric, load_rubric
from palate.judge.specs import JudgeSpec, Kind
from palate.records import Vote
from palate.watcher import Watcher

__all__ = ["DEFAULT_BATCH_SIZE", "AskerOf", "build_judge", "takes_ties"]

AskerOf = Callable[[JudgeSpec], Asker]
"""Who asks a language model for its verdicts."""

DEFAULT_BATCH_SIZE = 16
"""What a local model that scores or weighs reads at once."""

_DEFAULT_RUBRIC = "preference"
_MAX_TOKENS = 1024
_MAX_REASONING_CHARACTERS = 400
"""For a model of this machine, which is held to the form of its answer and would write on for ever."""
_PLAYGROUND = "playground"


def build_judge(
    specs: Sequence[JudgeSpec],
    asker_of: AskerOf,
    *,
    pooling: Pooling | None = None,
    examples: Sequence[Vote] = (),
    references: Mapping[str, str] | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    seed: int = 0,
    watcher: Watcher | None = None,
) -> Judge:
    """The judge that is specified, or the jury of those that are.

    Args:
        asker_of: gives the asker of each language model.
        pooling: of a jury; `majority` where absent.
        examples: decided cases for language models, as `choose_examples` gives them.
        references: reference answers or notes for grading, by the prompt's id.
        batch_size: what reward models and log-probability judges read at once.
        seed: of the orders in which things are shown.

    Raises:
        JudgeError: there is none, or what is given has no effect. ModelError: a local model is not there.
    """
    if not specs:
        raise JudgeError("no judge is named", next="name a model, a scorer, or a local model that judges")
    kinds = {spec.kind for spec in specs}
    _refuse_idle(kinds, len(specs), pooling, examples, references)
    judges = [_judge(spec, asker_of, examples, references or {}, batch_size, seed, watcher) for spec in specs]
    return judges[0] if len(judges) == 1 else Jury(judges, pooling or "majority")


def takes_ties(specs: Sequence[JudgeSpec]) -> bool:
    """Whether a tie may be an example for every language model among them: their rubrics may allow none.

    Raises:
        JudgeError: there is no such rubric.
    """
    return all(
        load_rubric(spec.rubric or _DEFAULT_RUBRIC).allow_ties
        for spec in specs
        if spec.kind == "model" and spec.mode in (None, "pairwise")
    )


def _refuse_idle(
    kinds: set[Kind],
    num_judges: int,
    pooling: Pooling | None,
    examples: Sequence[Vote],
    references: Mapping[str, str] | None,
) -> None:
    if pooling is not None and num_judges == 1:
        raise JudgeError(
            f"pooling = {pooling}: no effect on one judge", next="drop it, or name several judges"
        )
    if examples and "model" not in kinds:
        raise JudgeError("examples: no effect, no language model is asked", next="drop them")
    if references is not None and not kinds & {"model", "logprob_model"}:
        raise JudgeError("references: no effect, no language model reads them", next="drop them")


def _judge(
    spec: JudgeSpec,
    asker_of: AskerOf,
    examples: Sequence[Vote],
    references: Mapping[str, str],
    batch_size: int,
    seed: int,
    watcher: Watcher | None,
) -> Judge:
    if spec.scorer is not None:
        return ScorerJudge(spec.scorer, name=spec.name)
    if spec.reward_model is not None:
        from palate.evaluate.judges.reward import RewardModelJudge

        return RewardModelJudge(spec.reward_model, batch_size=batch_size, name=spec.name)
    rubric = load_rubric(spec.rubric or _DEFAULT_RUBRIC)
    if spec.logprob_model is not None:
        from palate.evaluate.judges.logprob import LogprobJudge

        return LogprobJudge(
            spec.logprob_model,
            rubric,
            references=references,
            folder=_folder_of(spec.logprob_model, watcher),
            batch_size=batch_size,
            seed=seed,
            name=spec.name,
        )
    return _language_model(spec, rubric, asker_of(spec), examples, references, seed)


def _language_model(
    spec: JudgeSpec,
    rubric: Rubric,
    asker: Asker,
    examples: Sequence[Vote],
    references: Mapping[str, str],
    seed: int,
) -> Judge:
    assert spec.model is not None
    if not rubric.allow_ties and spec.mode in (None, "pairwise"):
        examples = [vote for vote in examples if vote.preferred != "tie"]
    is_local = spec.base_url is None
    return LLMJudge(
        asker,
        spec.model,
        rubric,
        mode=spec.mode or "pairwise",
        orders=spec.orders or "both",
        examples=examples,
        references=references,
        seed=seed,
        temperature=0.0 if spec.temperature is None else spec.temperature,
        max_tokens=_MAX_TOKENS if spec.max_tokens is None else spec.max_tokens,
        max_reasoning_characters=_MAX_REASONING_CHARACTERS if is_local else None,
        name=spec.name,
    )


def _folder_of(model: str, watcher: Watcher | None) -> Path | None:
    """Where the playground's model lies; every other model is found by its name."""
    if model != _PLAYGROUND:
        return None
    from palate.pipeline.bases import playground_folder

    return playground_folder(watcher)
