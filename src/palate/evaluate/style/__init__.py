"""Are answers written as a target corpus is? Distances with a noise floor, and the words that tell."""

from palate.evaluate.style.log_odds import Telling, telling_features
from palate.evaluate.style.measure import ModelStyle, StyleComparison, compare_style
from palate.evaluate.style.permuting import MEASURES, Closer, Distance

__all__ = [
    "MEASURES",
    "Closer",
    "Distance",
    "ModelStyle",
    "StyleComparison",
    "Telling",
    "compare_style",
    "telling_features",
]
