"""Did it get better? Answers side by side, and statistics that say no more than they know."""

from palate.evaluate.compare import Contestant, compare_models, held_out_accuracy

__all__ = ["Contestant", "compare_models", "held_out_accuracy"]
