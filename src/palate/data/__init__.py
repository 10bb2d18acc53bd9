"""Any preference data in, pairs out: nothing dropped silently, nothing fatal about one bad row."""

from palate.data.inspection import inspect_source
from palate.data.layouts import LAYOUTS
from palate.data.pairs import PairSet, read_pairs
from palate.data.prompts import read_prompts
from palate.data.split import split_by_prompt

__all__ = ["LAYOUTS", "PairSet", "inspect_source", "read_pairs", "read_prompts", "split_by_prompt"]
