"""How models are compared: what they are asked, who judges, and what else is measured."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from palate.recipe.section import PositiveInt, Section, Tokens

__all__ = ["CompareOptions"]

_JUDGES = ("judge", "judge_model", "reward_model", "logprob_model", "judges")


class CompareOptions(Section):
    """Base and tuned model answer the same held-out prompts."""

    prompts: str | None = None
    """A file of prompts; the held-out prompts of the run where absent."""
    num_prompts: PositiveInt = 32
    """The most prompts to answer."""
    max_new_tokens: Tokens = 128
    """The most tokens of one answer."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 answers greedily; above 0 samples."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Sample from the smallest set of tokens with this much probability."""
    samples_per_prompt: Annotated[int, Field(gt=0, le=10_000)] = 1
    """Answers to each prompt from each model."""
    judge: str | None = None
    """`shorter`, `longer`, `finishes_sentence`, `varied`, or a `module:function` of (prompt, answer)."""
    judge_model: str | None = None
    """A language model that is asked which answer is better: its name on the server, or a local model."""
    judge_base_url: Annotated[str, Field(min_length=1)] | None = None
    """The server that has `judge_model`, such as `http://localhost:8000/v1`; a local model where absent."""
    judge_api_key_env: Annotated[str, Field(min_length=1)] | None = None
    """The environment variable with that server's key; OPENAI_API_KEY where absent."""
    rubric: str | None = None
    """What such a judge goes by: a built-in rubric's name or a file; `preference` where absent."""
    reward_model: str | None = None
    """A reward model as judge: a Hub name, a folder, or a run."""
    logprob_model: str | None = None
    """A local language model as judge, by the likelihood of each verdict's word."""
    judges: str | None = None
    """A YAML file of judges, as `palate judge --judges` takes it: several are a jury."""
    votes: str | None = None
    """People's votes on these answers, a file or a store: they judge, or with a judge say how good it is."""
    force: bool = False
    """Count a judge's verdicts even though it failed a canary."""
    within: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """How many comparisons it still takes to know a win rate so closely, such as 0.03 either way."""
    pairs: str | None = None
    """Preference data: how often each model finds its chosen side likelier. Prompts of training go out."""
    num_pairs: PositiveInt | None = None
    """The most of those pairs, the first; all where absent."""
    style: str | None = None
    """A file or folder of documents in the style that is wanted: how far from it each model writes."""
    drift: bool = True
    """Measure KL per token from the baseline on each model's answers; every model is loaded once more."""
    neutral_text: str | None = None
    """A file or folder of texts that have nothing to do with the tuning: perplexity and KL on them, too."""
    benchmarks: Annotated[str, Field(min_length=1)] | None = None
    """Tasks of lm-evaluation-harness, with commas between; it is installed with `palate[benchmarks]`."""
    benchmark_tasks: str | None = None
    """A folder of such tasks, YAML and data files; what it lacks is one of the harness's own."""
    benchmark_limit: PositiveInt | None = None
    """The most questions of each task, its first; all where absent."""
    benchmark_chat_template: bool = False
    """Ask in the models' chat templates, examples as earlier turns; as plain text where false."""

    @model_validator(mode="after")
    def _what_is_measured_beside_has_effect(self) -> Self:
        if self.neutral_text is not None and not self.drift:
            raise ValueError("neutral_text has no effect with drift = false")
        if self.num_pairs is not None and self.pairs is None:
            raise ValueError("num_pairs has no effect without pairs")
        for name in ("benchmark_tasks", "benchmark_limit", "benchmark_chat_template"):
            if getattr(self, name) not in (None, False) and self.benchmarks is None:
                raise ValueError(f"{name} has no effect without benchmarks")
        return self

    @property
    def benchmark_names(self) -> list[str]:
        """The tasks that `benchmarks` names."""
        return [name.strip() for name in (self.benchmarks or "").split(",") if name.strip()]

    @model_validator(mode="after")
    def _there_is_one_judge(self) -> Self:
        given = [name for name in _JUDGES if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} both judge: name one, or several in a file with judges")
        return self

    @model_validator(mode="after")
    def _judging_options_have_effect(self) -> Self:
        for name, of in (
            ("judge_base_url", ("judge_model",)),
            ("judge_api_key_env", ("judge_base_url",)),
            ("rubric", ("judge_model", "logprob_model")),
            ("force", ("judge_model", "reward_model", "logprob_model", "judges")),
            ("within", (*_JUDGES, "votes")),
        ):
            if getattr(self, name) not in (None, False) and all(getattr(self, other) is None for other in of):
                raise ValueError(f"{name} has no effect without {' or '.join(of)}")
        return self

    @model_validator(mode="after")
    def _temperature_can_be_computed(self) -> Self:
        if 0 < self.temperature < 0.01:
            raise ValueError(
                f"temperature = {self.temperature:g} is too close to 0 to compute with: 0 is greedy"
            )
        return self

    @model_validator(mode="after")
    def _sampling_options_have_effect(self) -> Self:
        if self.temperature == 0:
            for name, value, neutral in (
                ("samples_per_prompt", self.samples_per_prompt, 1),
                ("top_p", self.top_p, 1.0),
            ):
                if value != neutral:
                    raise ValueError(
                        f"{name} = {value} has no effect with temperature = 0: greedy answers never differ"
                    )
        return self
