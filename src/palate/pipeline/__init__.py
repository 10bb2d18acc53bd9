"""A run, stage by stage: what a recipe asks for and what is already there."""

from palate.pipeline.auditing import tokens_of_model
from palate.pipeline.demo import run_demo
from palate.pipeline.planning import plan_recipe
from palate.pipeline.stages import (
    compare_command,
    compare_stage,
    report_stage,
    resume_run,
    run_recipe,
    train_stage,
)

__all__ = [
    "compare_command",
    "compare_stage",
    "plan_recipe",
    "report_stage",
    "resume_run",
    "run_demo",
    "run_recipe",
    "tokens_of_model",
    "train_stage",
]
