from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from tiny_models import branch, tiny_branches, tiny_config, tiny_model

from palate.engine import Tree, build_tree
from palate.engine.attention import model_mask, visible


def ancestors(tree: Tree) -> list[list[int]]:
    """Each node's path from the root, itself included, found by walking depths: no `end` involved."""
    path: list[int] = []
    found = []
    for node, depth in enumerate(tree.depth_N.tolist()):
        path = [*path[:depth], node]
        found.append(path)
    return found


def as_matrix(rows: list[list[int]]) -> torch.Tensor:
    mask = torch.zeros(len(rows), len(rows), dtype=torch.bool)
    for q, keys in enumerate(rows):
        mask[q, keys] = True
    return mask


@pytest.mark.parametrize("kind", ["single", "pairs", "group", "forest"])
@pytest.mark.parametrize("window", [None, 1, 4, 100])
def test_a_token_sees_itself_and_its_nearest_ancestors(kind: str, window: int | None) -> None:
    tree = build_tree(tiny_branches(kind))
    expected = as_matrix([path if window is None else path[-window:] for path in ancestors(tree)])
    assert torch.equal(visible(tree.end_N, tree.depth_N, window), expected)


def test_a_window_counts_depth_and_not_index() -> None:
    """Prompt 3; siblings 4 4 4 and 5 6: node 4 (token 5) is four places after the prompt, one step below."""
    tree = build_tree([branch([3], [4, 4, 4, 2]), branch([3], [5, 6, 2])])
    mask = visible(tree.end_N, tree.depth_N, window=2)
    assert mask[4].tolist() == [True, False, False, False, True, False]


def test_padding_sees_itself_and_is_seen_by_nothing() -> None:
    """Nodes 0 1 a chain, 2 3 padding: end = own index + 1."""
    mask = visible(torch.tensor([2, 2, 3, 4]), torch.tensor([0, 1, 0, 0]))
    assert mask.tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [False, False, False, True],
    ]


def test_unrelated_prompts_are_apart() -> None:
    tree = build_tree([branch([3, 4], [5, 6]), branch([7, 8], [5, 6])])
    mask = visible(tree.end_N, tree.depth_N)
    assert not mask[:3, 3:].any() and not mask[3:, :3].any()


@pytest.mark.parametrize("kind", ["single", "pairs", "group", "forest"])
@pytest.mark.parametrize("window", [None, 3])
def test_the_block_mask_is_the_dense_one(kind: str, window: int | None) -> None:
    from torch.nn.attention.flex_attention import create_mask

    tree = build_tree(tiny_branches(kind))
    config = SimpleNamespace(sliding_window=window)
    block = model_mask(tree, config, "flex_attention", torch.float32)
    dense = create_mask(block.mask_mod, 1, 1, tree.num_nodes, tree.num_nodes, device="cpu")
    assert block.shape[-2:] == (tree.num_nodes, tree.num_nodes)
    assert torch.equal(dense[0, 0], visible(tree.end_N, tree.depth_N, window))


def test_blocks_where_nothing_is_visible_are_skipped() -> None:
    """Two chains of 128 nodes, a block each: of the four blocks the two off the diagonal are empty."""
    long = [branch([first], [first] * 128) for first in (3, 4)]
    block = model_mask(build_tree(long), SimpleNamespace(), "flex_attention", torch.float32)
    assert block.to_dense()[0, 0].tolist() == [[1, 0], [0, 1]]


def test_eager_attention_adds_what_sdpa_selects_by() -> None:
    tree = build_tree(tiny_branches("pairs"))
    boolean = model_mask(tree, SimpleNamespace(), "sdpa", torch.bfloat16)
    added = model_mask(tree, SimpleNamespace(), "eager", torch.bfloat16)
    assert boolean.dtype == torch.bool and added.dtype == torch.bfloat16
    assert torch.equal(added == 0, boolean)
    assert torch.equal(added == torch.finfo(torch.bfloat16).min, ~boolean)


@pytest.mark.parametrize("name", ["qwen2-sliding", "gemma2", "gemma3"])
def test_models_that_mix_layers_get_a_mask_for_each_kind(name: str) -> None:
    tree = build_tree(tiny_branches("pairs"))
    masks = model_mask(tree, tiny_config(name), "sdpa", torch.float32)
    assert sorted(masks) == ["full_attention", "sliding_attention"]
    assert torch.equal(masks["full_attention"][0, 0], visible(tree.end_N, tree.depth_N))
    assert torch.equal(masks["sliding_attention"][0, 0], visible(tree.end_N, tree.depth_N, 5))
    assert not torch.equal(masks["full_attention"], masks["sliding_attention"])


def test_a_model_of_one_kind_gets_one_mask() -> None:
    tree = build_tree(tiny_branches("pairs"))
    windowed = model_mask(tree, tiny_config("mistral-sliding"), "sdpa", torch.float32)
    assert torch.equal(windowed[0, 0], visible(tree.end_N, tree.depth_N, 5))
    # A window in the config of a model whose layers are all full has no effect, here as there.
    config = SimpleNamespace(sliding_window=3, layer_types=["full_attention", "full_attention"])
    assert torch.equal(
        model_mask(tree, config, "sdpa", torch.float32)[0, 0], visible(tree.end_N, tree.depth_N)
    )


def test_layers_nobody_knows_are_refused() -> None:
    config = SimpleNamespace(layer_types=["linear_attention", "full_attention"])
    with pytest.raises(ValueError, match="linear_attention"):
        model_mask(build_tree(tiny_branches("pairs")), config, "sdpa", torch.float32)


def test_the_boundaries_of_the_mask_are_felt_by_the_model() -> None:
    """Changing one completion changes nothing of what the model computes for the other."""
    torch.manual_seed(0)
    model = tiny_model(tiny_config("llama")).eval()
    left, right = branch([3, 4], [5, 6, 7]), branch([3, 4], [8, 9, 10])
    other = branch([3, 4], [5, 11, 7])

    def states(*branches: object) -> torch.Tensor:
        tree = build_tree(branches)  # type: ignore[arg-type]
        mask = model_mask(tree, model.config, "sdpa", torch.float32)
        with torch.no_grad():
            out = model.model(tree.token_ids_N[None], attention_mask=mask, position_ids=tree.depth_N[None])
        return out.last_hidden_state[0, tree.leaf_B[-1]]

    assert torch.equal(states(left, right), states(other, right))
