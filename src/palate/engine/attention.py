"""Attention masks for a tree, ready-made for each kernel.

Everything follows from one line: token q may attend to token k exactly when `k <= q < end[k]`. A sliding
window adds `depth[q] - depth[k] < window`: depth, not index, because siblings stand between a token and its
ancestors.

Masks go in ready-made. A model that is left to guess them from position ids finds boundaries only where the
depth jumps, and silently lets one completion attend to another.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from palate.engine.tree import Tree

__all__ = ["model_mask", "visible"]


def visible(end_N: Tensor, depth_N: Tensor, window: int | None = None) -> Tensor:
    """bool [N, N]: row q, column k, True where q attends to k."""
    index = torch.arange(end_N.shape[0], device=end_N.device)
    mask = (index[None, :] <= index[:, None]) & (index[:, None] < end_N[None, :])
    if window is not None:
        mask &= depth_N[:, None] - depth_N[None, :] < window
    return mask


def model_mask(tree: Tree, config: Any, attention: str, dtype: torch.dtype) -> Any:
    """What a transformers decoder takes as `attention_mask` for this tree.

    One mask, or a dict of one per layer type where the model mixes full and sliding layers.

    Raises:
        ValueError: some layers are neither, and what they do to a tree is not known.
    """
    window = getattr(config, "sliding_window", None)
    layer_types = set(getattr(config, "layer_types", None) or ())
    if strange := layer_types - {"full_attention", "sliding_attention"}:
        raise ValueError(f"no tree mask is known for layers of type {', '.join(sorted(strange))}")
    if len(layer_types) > 1:
        return {
            kind: _kernel_mask(tree, window if kind == "sliding_attention" else None, attention, dtype)
            for kind in sorted(layer_types)
        }
    if layer_types == {"full_attention"}:
        window = None
    return _kernel_mask(tree, window, attention, dtype)


def _kernel_mask(tree: Tree, window: int | None, attention: str, dtype: torch.dtype) -> Any:
    if attention == "flex_attention":
        return _block_mask(tree, window)
    mask = visible(tree.end_N, tree.depth_N, window)[None, None]
    if attention == "eager":
        # Eager attention adds its mask to the scores.
        zeros = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
        return zeros.masked_fill(~mask, torch.finfo(dtype).min)
    return mask


def _block_mask(tree: Tree, window: int | None) -> Any:
    """The same condition as a FlexAttention block mask, which skips blocks where nothing is visible."""
    from torch.nn.attention.flex_attention import create_block_mask

    end, depth = tree.end_N, tree.depth_N

    def ancestor(batch: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        allowed = (k <= q) & (q < end[k])
        if window is not None:
            allowed = allowed & (depth[q] - depth[k] < window)
        return allowed

    n = tree.num_nodes
    return create_block_mask(ancestor, B=None, H=None, Q_LEN=n, KV_LEN=n, device=str(end.device))
