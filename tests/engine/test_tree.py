from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import branch

from palate.engine import Branch, Tree, build_tree
from palate.engine.attention import visible
from palate.engine.tree import count_nodes


def test_a_pair_by_hand() -> None:
    """Prompt 5 6; chosen 7 8, rejected 7 9 4; the last token of each predicts nothing and is no node.

    node   0  1  2  3
    token  5  6  7  9      5 6 7 | 5 6 7 9
    depth  0  1  2  3
    end    4  4  4  4      one chain: chosen's nodes begin rejected's
    edges: 6->7, 7->8, 7->9, 9->4; contexts: nodes 1, 2, 3
    """
    tree = build_tree([branch([5, 6], [7, 8]), branch([5, 6], [7, 9, 4])])
    assert tree.token_ids_N.tolist() == [5, 6, 7, 9]
    assert tree.depth_N.tolist() == [0, 1, 2, 3]
    assert tree.end_N.tolist() == [4, 4, 4, 4]
    assert tree.context_C.tolist() == [1, 2, 3]
    assert tree.edge_context_E.tolist() == [0, 1, 1, 2]
    assert tree.edge_target_E.tolist() == [7, 8, 9, 4]
    assert tree.edge_of_token_S.tolist() == [0, 1, 0, 2, 3]
    assert tree.num_scored_B.tolist() == [2, 3]
    assert tree.leaf_B.tolist() == [2, 3]
    assert (tree.num_nodes, tree.num_tokens_represented) == (4, 9)


def test_a_forest_by_hand() -> None:
    """Two prompts; the first forks at once into 4 4 and 6 4; given in an order that is not preorder.

    node   0  1  2  3  4
    token  3  4  6  8  9
    depth  0  1  1  0  1
    end    3  2  3  5  5      node 0's subtree is 0..2, node 1's is itself, node 3's is 3..4
    """
    tree = build_tree([branch([8], [9, 2]), branch([3], [6, 4]), branch([3], [4, 4])])
    assert tree.token_ids_N.tolist() == [3, 4, 6, 8, 9]
    assert tree.depth_N.tolist() == [0, 1, 1, 0, 1]
    assert tree.end_N.tolist() == [3, 2, 3, 5, 5]
    assert tree.leaf_B.tolist() == [4, 2, 1]


def test_leaves_are_nodes_when_asked_for() -> None:
    """With its leaves the pair above has nodes 5 6 7 8 9 4: 8 is a leaf beside 9 -> 4."""
    tree = build_tree([branch([5, 6], [7, 8]), branch([5, 6], [7, 9, 4])], with_leaves=True)
    assert tree.token_ids_N.tolist() == [5, 6, 7, 8, 9, 4]
    assert tree.end_N.tolist() == [6, 6, 6, 4, 6, 6]
    assert tree.leaf_B.tolist() == [3, 5]


def test_only_scored_tokens_are_edges() -> None:
    """Of prompt 3 4, answer 5, other turn 6 7, answer 8, the edges are 4->5 and 7->8."""
    ids = np.array([3, 4, 5, 6, 7, 8])
    tree = build_tree([Branch(ids, np.array([0, 0, 1, 0, 0, 1], np.bool_))])
    assert tree.context_C.tolist() == [1, 4]
    assert tree.edge_target_E.tolist() == [5, 8]


@pytest.mark.parametrize(
    ("ids", "scored"),
    [
        ([3], [True]),  # no prompt, nothing to predict from
        ([3, 4], [True, True]),  # the first token scored
        ([3, 4], [False, False]),  # nothing scored
        ([3, 4], [False, True, True]),  # not the same length
    ],
)
def test_a_branch_needs_a_prompt_and_a_scored_token(ids: list[int], scored: list[bool]) -> None:
    with pytest.raises(ValueError):
        Branch(np.array(ids), np.array(scored))


def test_a_tree_needs_a_branch() -> None:
    with pytest.raises(ValueError, match="at least one branch"):
        build_tree([])


def test_padding_nodes_see_themselves_alone() -> None:
    tree = build_tree([branch([5, 6], [7, 8]), branch([5, 6], [7, 9, 4])])
    padded = tree.padded(3)
    assert padded.num_nodes == 6
    mask = visible(padded.end_N, padded.depth_N, window=2)
    assert torch.equal(mask[4:, :4], torch.zeros(2, 4, dtype=torch.bool))
    assert torch.equal(mask[4:, 4:], torch.eye(2, dtype=torch.bool))
    assert torch.equal(mask[:4, :4], visible(tree.end_N, tree.depth_N, window=2))
    assert not mask[:4, 4:].any()
    assert padded.padded(3).num_nodes == 6


def test_moving_a_tree_moves_every_tensor() -> None:
    tree = build_tree([branch([5, 6], [7, 8])]).to(torch.device("meta"))
    assert {value.device.type for value in vars_of(tree).values() if isinstance(value, torch.Tensor)} == {
        "meta"
    }
    assert tree.num_tokens_represented == 4


def vars_of(tree: Tree) -> dict[str, object]:
    return {name: getattr(tree, name) for name in Tree.__slots__}


# Few tokens, so that branches share, repeat and begin one another; big ones, so that bytes sort as numbers.
TOKEN = st.sampled_from([0, 1, 2, 255, 256, 70_000])


@st.composite
def any_branch(draw: st.DrawFn) -> Branch:
    ids = draw(st.lists(TOKEN, min_size=2, max_size=7))
    scored = [False, *draw(st.lists(st.booleans(), min_size=len(ids) - 1, max_size=len(ids) - 1))]
    if not any(scored):
        scored[draw(st.integers(1, len(ids) - 1))] = True
    return Branch(np.array(ids, np.int64), np.array(scored))


BATCHES = st.lists(any_branch(), min_size=1, max_size=7)


def parents(tree: Tree) -> list[int]:
    """Each node's parent by the end vector alone: the last node before it whose subtree it is in."""
    end = tree.end_N.tolist()
    return [max((k for k in range(q) if q < end[k]), default=-1) for q in range(tree.num_nodes)]


def paths(tree: Tree) -> list[tuple[int, ...]]:
    """The tokens from the root to each node."""
    found: list[tuple[int, ...]] = []
    for token, parent in zip(tree.token_ids_N.tolist(), parents(tree), strict=True):
        found.append((*(found[parent] if parent >= 0 else ()), token))
    return found


def naive_trie(inputs: Sequence[Sequence[int]]) -> set[tuple[int, ...]]:
    return {tuple(ids[: i + 1]) for ids in inputs for i in range(len(ids))}


@settings(deadline=None, max_examples=100)
@given(BATCHES, st.booleans())
def test_nodes_are_the_distinct_prefixes(batch: list[Branch], with_leaves: bool) -> None:
    tree = build_tree(batch, with_leaves=with_leaves)
    inputs = [branch.token_ids.tolist()[: None if with_leaves else -1] for branch in batch]
    found = paths(tree)
    assert len(found) == len(set(found)), "a prefix is there twice"
    assert set(found) == naive_trie(inputs)
    assert tree.depth_N.tolist() == [len(path) - 1 for path in found]
    assert [found[leaf] for leaf in tree.leaf_B.tolist()] == [tuple(ids) for ids in inputs], (
        "order of branches"
    )
    # Preorder: a subtree is contiguous, and its end is one past its last node.
    for node, path in enumerate(found):
        inside = [i for i, other in enumerate(found) if other[: len(path)] == path]
        assert inside == list(range(node, int(tree.end_N[node])))


@settings(deadline=None, max_examples=100)
@given(BATCHES)
def test_edges_are_the_distinct_scored_steps(batch: list[Branch]) -> None:
    tree = build_tree(batch)
    found = paths(tree)
    context = tree.edge_context_E.tolist()
    assert context == sorted(context)
    steps = [
        (found[tree.context_C[c]], target)
        for c, target in zip(context, tree.edge_target_E.tolist(), strict=True)
    ]
    assert len(steps) == len(set(steps)), "an edge is computed twice"
    expected = [
        (tuple(branch.token_ids[:i].tolist()), int(branch.token_ids[i]))
        for branch in batch
        for i in np.flatnonzero(branch.scored)
    ]
    assert [steps[edge] for edge in tree.edge_of_token_S.tolist()] == expected
    assert set(steps) == set(expected), "an edge that nobody scores"
    assert sorted(set(context)) == list(range(len(tree.context_C))), "a context without an edge"
    assert tree.num_scored_B.tolist() == [branch.num_scored for branch in batch]
    assert tree.num_tokens_represented == sum(len(branch) for branch in batch)


@settings(deadline=None, max_examples=100)
@given(BATCHES)
def test_counting_nodes_needs_no_tree(batch: list[Branch]) -> None:
    assert count_nodes(batch) == build_tree(batch).num_nodes


@settings(deadline=None, max_examples=100)
@given(any_branch(), any_branch())
def test_keys_are_equal_for_equal_branches_only(a: Branch, b: Branch) -> None:
    same = (a.token_ids.tolist(), a.scored.tolist()) == (b.token_ids.tolist(), b.scored.tolist())
    assert (a.key == b.key) == same
