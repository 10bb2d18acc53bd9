"""The completion tree: every distinct token of a batch, once.

A batch is a set of branches, token sequences whose completion tokens are marked as scored. Branches share
prefixes: chosen and rejected share their prompt, ten pairs over five completions share one prompt and five
tails, all of a dataset shares its system message. Put into a trie and laid out in preorder, node `i` has a
token, a depth (its position id) and `end[i]`, one past the last node of its subtree. Token `q` may attend to
token `k` exactly when

    k <= q < end[k]

which says "k is q or an ancestor of q". That one vector is the whole attention mask (`attention.py`).

Scored tokens are edges, from a context node to the token that follows it. Each distinct edge is computed once
and gathered to the branches that pass over it; gradients add up over shared nodes by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Branch", "Tree", "build_tree", "common_prefix", "count_nodes"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """One prompt and one completion, as tokens.

    `token_ids` is int64 [T]; `scored` is bool [T], True where a token's log-probability counts. The first
    token is never scored: nothing stands before it to predict it from.
    """

    token_ids: IntArray
    scored: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.token_ids.shape != self.scored.shape or self.token_ids.ndim != 1:
            shapes = f"token_ids {self.token_ids.shape} and scored {self.scored.shape}"
            raise ValueError(f"{shapes} must both be [T]")
        if len(self.token_ids) < 2 or self.scored[0] or not self.scored.any():
            raise ValueError("a branch has a prompt of at least one token and at least one scored token")

    def __len__(self) -> int:
        return len(self.token_ids)

    @property
    def num_scored(self) -> int:
        """How many tokens count."""
        return int(self.scored.sum())

    @property
    def key(self) -> bytes:
        """Equal for equal branches only; in its order, branches that begin alike stand together."""
        return self.token_ids.astype(">u4").tobytes() + b"\0" + np.packbits(self.scored).tobytes()


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A batch of B branches as N nodes in preorder, C context nodes and E distinct edges.

    token_ids_N, depth_N, end_N: the nodes. Padding, where there is any, is a node with `end = own index + 1`.
    context_C: the nodes whose next token is scored by some branch.
    edge_context_E, edge_target_E: an edge is (index into context_C, token id).
    edge_of_token_S: for each scored token of each branch, branch after branch, its edge.
    num_scored_B: how many of those S tokens each branch has.
    leaf_B: each branch's last node; meaningful where the tree was built with its leaves.
    num_tokens_represented: the tokens a computation without sharing would go through.
    """

    token_ids_N: Tensor
    depth_N: Tensor
    end_N: Tensor
    context_C: Tensor
    edge_context_E: Tensor
    edge_target_E: Tensor
    edge_of_token_S: Tensor
    num_scored_B: Tensor
    leaf_B: Tensor
    num_tokens_represented: int

    @property
    def num_nodes(self) -> int:
        """N, the tokens the model computes."""
        return self.token_ids_N.shape[0]

    def to(self, device: torch.device) -> Self:
        """The same tree with its tensors on `device`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: v.to(device) for name, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **moved)

    def padded(self, multiple: int) -> Self:
        """The same tree with padding nodes after the others, so that N is a multiple of `multiple`.

        A padding node sees itself alone and is no one's context.
        """
        extra = -self.num_nodes % multiple
        own = torch.arange(self.num_nodes, self.num_nodes + extra, device=self.end_N.device)
        zeros = torch.zeros_like(own)
        return replace(
            self,
            token_ids_N=torch.cat([self.token_ids_N, zeros]),
            depth_N=torch.cat([self.depth_N, zeros]),
            end_N=torch.cat([self.end_N, own + 1]),
        )


def build_tree(branches: Sequence[Branch], *, with_leaves: bool = False) -> Tree:
    """Lay branches out as one tree.

    A branch's last token predicts nothing, so it is an edge's target but not a node, unless `with_leaves`
    asks for it (a reward model reads its scalar there).

    Sorting the branches makes preorder free: neighbours share their longest common prefix, and whatever
    follows it is new. The loops run over branches, never over tokens.
    """
    if not branches:
        raise ValueError("a tree needs at least one branch")
    inputs = [branch.token_ids if with_leaves else branch.token_ids[:-1] for branch in branches]
    order = _sorted_order(inputs)

    tokens: list[IntArray] = []
    depths: list[IntArray] = []
    popped: list[tuple[IntArray, int]] = []
    paths: list[IntArray] = [np.empty(0, np.int64)] * len(branches)
    previous, path, num_nodes = np.empty(0, np.int64), np.empty(0, np.int64), 0
    for i in order:
        shared = common_prefix(previous, inputs[i])
        popped.append((path[shared:], num_nodes))  # these subtrees end where the new nodes begin
        new = inputs[i][shared:]
        tokens.append(new)
        depths.append(np.arange(shared, len(inputs[i])))
        path = np.concatenate([path[:shared], np.arange(num_nodes, num_nodes + len(new))])
        previous, paths[i] = inputs[i], path
        num_nodes += len(new)
    popped.append((path, num_nodes))

    end = np.empty(num_nodes, np.int64)
    for nodes, where in popped:
        end[nodes] = where
    return _with_edges(branches, paths, np.concatenate(tokens), np.concatenate(depths), end)


def count_nodes(branches: Sequence[Branch]) -> int:
    """N of the tree these branches would make, without making it."""
    inputs = [branch.token_ids[:-1] for branch in branches]
    order = _sorted_order(inputs)
    total, previous = 0, np.empty(0, np.int64)
    for i in order:
        total += len(inputs[i]) - common_prefix(previous, inputs[i])
        previous = inputs[i]
    return total


def _with_edges(
    branches: Sequence[Branch], paths: Sequence[IntArray], tokens: IntArray, depths: IntArray, end: IntArray
) -> Tree:
    """Find the distinct (context node, next token) edges and which of them each branch scores."""
    contexts, targets, counts = [], [], []
    for branch, path in zip(branches, paths, strict=True):
        position = np.flatnonzero(branch.scored)
        contexts.append(path[position - 1])
        targets.append(branch.token_ids[position])
        counts.append(len(position))
    context_S, target_S = np.concatenate(contexts), np.concatenate(targets)
    span = int(target_S.max()) + 1
    edges, edge_of_token = np.unique(context_S * span + target_S, return_inverse=True)
    context_C, edge_context = np.unique(edges // span, return_inverse=True)
    return Tree(
        token_ids_N=torch.from_numpy(tokens),
        depth_N=torch.from_numpy(depths),
        end_N=torch.from_numpy(end),
        context_C=torch.from_numpy(context_C),
        edge_context_E=torch.from_numpy(edge_context),
        edge_target_E=torch.from_numpy(edges % span),
        edge_of_token_S=torch.from_numpy(edge_of_token),
        num_scored_B=torch.tensor(counts),
        leaf_B=torch.tensor([path[-1] for path in paths]),
        num_tokens_represented=sum(len(branch) for branch in branches),
    )


def _sorted_order(inputs: Sequence[IntArray]) -> list[int]:
    # Big-endian bytes compare as the token sequences do, a prefix before what it begins.
    keys = [ids.astype(">u4").tobytes() for ids in inputs]
    return sorted(range(len(inputs)), key=keys.__getitem__)


def common_prefix(a: IntArray, b: IntArray) -> int:
    """How many tokens both begin with."""
    length = min(len(a), len(b))
    different = np.flatnonzero(a[:length] != b[:length])
    return int(different[0]) if len(different) else length
