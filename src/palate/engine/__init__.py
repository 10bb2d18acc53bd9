"""Log-probabilities of completions, each distinct token computed once; and generation."""

from palate.engine.base import load_tokenizer, resolve_model_folder
from palate.engine.generation import Sampling, generate
from palate.engine.loading import load_policy, load_trained
from palate.engine.logps import BranchLogps, Layout, branch_logps, own_forward_logps
from palate.engine.policy import Head, Policy
from palate.engine.proof import LayoutProof, prove_layout, prove_scores
from palate.engine.reference import Reference
from palate.engine.scores import BranchScores, branch_scores
from palate.engine.tokens import Rendered, Renderer, UnusableRow
from palate.engine.tree import Branch, Tree, build_tree

__all__ = [
    "Branch",
    "BranchLogps",
    "BranchScores",
    "Head",
    "Layout",
    "LayoutProof",
    "Policy",
    "Reference",
    "Rendered",
    "Renderer",
    "Sampling",
    "Tree",
    "UnusableRow",
    "branch_logps",
    "branch_scores",
    "build_tree",
    "generate",
    "load_policy",
    "load_tokenizer",
    "load_trained",
    "own_forward_logps",
    "prove_layout",
    "prove_scores",
    "resolve_model_folder",
]
