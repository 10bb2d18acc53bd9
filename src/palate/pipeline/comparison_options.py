"""How models are to be compared, from what a run's recipe says and what is laid over it; and by whom."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from palate.errors import RecipeError
from palate.judge.specs import JudgeSpec, load_judges
from palate.recipe import CompareOptions, load_recipe
from palate.train import RunFolder

__all__ = ["compare_options", "judge_specs", "run_recipe_file"]


def compare_options(
    models: Sequence[str], changes: Mapping[str, Any], output: Path | None = None
) -> CompareOptions:
    """The options of a comparison: a run's own with changes laid over them, or the defaults with them.

    A judge that is named takes the place of the run's own, whatever that is.

    Raises:
        RecipeError: no model is named, one that is no run folder, or an option cannot be as it is.
    """
    if not models:
        raise RecipeError(
            "nothing is named that could be compared", where="palate compare", next="a run, or two models"
        )
    own: dict[str, Any] = {}
    if len(models) == 1:
        if output is not None:
            raise RecipeError(
                "--output has no effect with one run: its comparison goes into the run folder",
                where="palate compare RUN",
                next="drop --output",
            )
        recipe = load_recipe(run_recipe_file(models[0]), [f"output={models[0]}"])
        own = (recipe.compare or CompareOptions()).model_dump()
        if any(name in changes for name in _NAMES_A_JUDGE):
            own |= dict.fromkeys(_OF_JUDGES)
            own["force"] = False
    try:
        return CompareOptions.model_validate(own | dict(changes))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        where = "--" + _TYPED.get(name, name).replace("_", "-") if name else "palate compare"
        raise RecipeError(_as_typed(first["msg"].removeprefix("Value error, ")), where=where) from None


def _as_typed(message: str) -> str:
    """With options' names as they are typed, where no plain word is called the same."""
    for name in CompareOptions.model_fields:
        if "_" in name:
            message = re.sub(rf"\b{name}\b", "--" + _TYPED.get(name, name).replace("_", "-"), message)
    return message


_NAMES_A_JUDGE = ("judge", "judge_model", "reward_model", "logprob_model", "judges")
_TYPED = {"samples_per_prompt": "num_samples", "judge_api_key_env": "api_key_env"}
_OF_JUDGES = (*_NAMES_A_JUDGE, "judge_base_url", "judge_api_key_env", "rubric")


def judge_specs(options: CompareOptions) -> list[JudgeSpec]:
    """The judges that options name, none where they name none.

    Raises:
        JudgeError: the file of judges cannot be read.
    """
    if options.judges is not None:
        return load_judges(options.judges)
    if options.judge is not None:
        return [JudgeSpec(scorer=options.judge)]
    if options.reward_model is not None:
        return [JudgeSpec(reward_model=options.reward_model)]
    if options.logprob_model is not None:
        return [JudgeSpec(logprob_model=options.logprob_model, rubric=options.rubric)]
    if options.judge_model is not None:
        return [
            JudgeSpec(
                model=options.judge_model,
                base_url=options.judge_base_url,
                api_key_env=options.judge_api_key_env,
                rubric=options.rubric,
            )
        ]
    return []


def run_recipe_file(run: str) -> Path:
    """The recipe in a run folder.

    Raises:
        RecipeError: it is none.
    """
    file = RunFolder(run).recipe_file
    if not file.is_file():
        raise RecipeError(
            "this is not a run folder",
            where=run,
            next="name a folder that palate train made, or two models and --prompts FILE",
        )
    return file
