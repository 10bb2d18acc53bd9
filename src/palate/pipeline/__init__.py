"""A run, stage by stage; and what commands do that need more rooms than one.

A module is loaded when something of it is first asked for: judging and voting wait for no trainer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.pipeline.annotating import Address, annotate_source
    from palate.pipeline.auditing import tokens_of_model
    from palate.pipeline.comparing import compare_command, compare_stage
    from palate.pipeline.demo import run_demo
    from palate.pipeline.diagnosing import diagnose_stage
    from palate.pipeline.judges import build_judge
    from palate.pipeline.judging import judge_file, judge_material, read_material
    from palate.pipeline.planning import plan_recipe
    from palate.pipeline.stages import report_stage, resume_run, run_recipe, train_stage
    from palate.pipeline.votes import export_votes, import_vote_file, read_standing

__all__ = [
    "Address",
    "annotate_source",
    "build_judge",
    "compare_command",
    "compare_stage",
    "diagnose_stage",
    "export_votes",
    "import_vote_file",
    "judge_file",
    "judge_material",
    "plan_recipe",
    "read_material",
    "read_standing",
    "report_stage",
    "resume_run",
    "run_demo",
    "run_recipe",
    "tokens_of_model",
    "train_stage",
]

_MODULES = {
    "Address": "annotating",
    "annotate_source": "annotating",
    "build_judge": "judges",
    "compare_command": "comparing",
    "compare_stage": "comparing",
    "diagnose_stage": "diagnosing",
    "export_votes": "votes",
    "import_vote_file": "votes",
    "judge_file": "judging",
    "judge_material": "judging",
    "plan_recipe": "planning",
    "read_material": "judging",
    "read_standing": "votes",
    "run_demo": "demo",
    "tokens_of_model": "auditing",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'stages')}"), name)
