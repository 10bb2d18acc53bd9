"""What models answer and what is measured of them, as typed: options of `palate compare`.

The fields are those of a recipe's section `compare`: what is typed (`palate.cli.typed.given`) is laid over
it. Its judge is `palate.cli.judging_options.JudgeOptions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cyclopts

__all__ = ["ANSWERS", "MEASURED", "AnswersOptions", "MeasuredOptions"]


@cyclopts.Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersOptions:
    """What the models are asked, and how they answer."""

    prompts: str | None = None
    """A file of prompts."""
    num_prompts: int | None = None
    """The most prompts to answer; 32 where absent."""
    samples_per_prompt: Annotated[int | None, cyclopts.Parameter(name="--num-samples")] = None
    """Answers to each prompt from each model; 1 where absent."""
    max_new_tokens: int | None = None
    """The most tokens of one answer; 128 where absent."""
    temperature: float | None = None
    """0 answers greedily, above 0 samples; 0 where absent."""
    top_p: float | None = None
    """Sample from the smallest set of tokens with this much probability."""


ANSWERS = AnswersOptions()
"""As the run has it."""


@cyclopts.Parameter(name="*", group=cyclopts.Group("What else is measured", sort_key=2))
@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredOptions:
    """What is measured beside who answers better."""

    pairs: str | None = None
    """Preference data: how often each model finds its chosen side likelier. Prompts of training go out."""
    num_pairs: int | None = None
    """The most of those pairs, the first; all where absent."""
    style: str | None = None
    """A file or folder of documents in the style that is wanted: how far from it each model writes."""
    drift: bool | None = None
    """Measure KL per token from the baseline, which loads every model once more; done where absent."""
    neutral_text: str | None = None
    """A file or folder of texts that have nothing to do with the tuning: perplexity and KL on them."""
    benchmarks: str | None = None
    """Tasks of lm-evaluation-harness, with commas between."""
    benchmark_tasks: str | None = None
    """A folder of such tasks, YAML and data files: no network is needed."""
    benchmark_limit: int | None = None
    """The most questions of each task."""
    benchmark_chat_template: bool | None = None
    """Ask in the models' chat templates, examples as earlier turns; as plain text where absent."""


MEASURED = MeasuredOptions()
"""As the run has it."""
