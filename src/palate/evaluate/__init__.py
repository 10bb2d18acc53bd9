"""Did it get better? Answers side by side, and figures that say no more than they know.

What asks models is loaded when it is first asked for: how texts are written can be measured without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.evaluate.compare import Contestant, compare_models, held_out_accuracy
    from palate.evaluate.judges.logprob import LogprobJudge
    from palate.evaluate.judges.reward import RewardModelJudge

__all__ = ["Contestant", "LogprobJudge", "RewardModelJudge", "compare_models", "held_out_accuracy"]

_MODULES = {"LogprobJudge": "judges.logprob", "RewardModelJudge": "judges.reward"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'compare')}"), name)
