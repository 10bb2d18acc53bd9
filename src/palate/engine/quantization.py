"""A base held in four bits, under an adapter that is not: QLoRA (Dettmers et al. 2023, arXiv:2305.14314).

Only the linear layers inside the transformer are quantised. The head decides every log-probability and the
embeddings are looked up, not multiplied: both stay as they are, and so do the norms.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn

from palate.errors import ModelError
from palate.recipe import QuantizationOptions

__all__ = [
    "bitsandbytes",
    "quantization_config",
    "quantization_name",
    "refuse_if_nothing_is_quantised",
    "settle_quantised_layers",
]


# On import, which peft does too, it warns of an optional package for a kernel that is not used here.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def bitsandbytes() -> Any:
    """The library, imported where it is used."""
    import bitsandbytes

    return bitsandbytes


def quantization_config(options: QuantizationOptions, dtype: torch.dtype) -> Any:
    """What transformers quantises by while it loads; layers multiply in `dtype`."""
    from transformers import BitsAndBytesConfig

    bitsandbytes()
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=options.type,
        bnb_4bit_use_double_quant=options.double,
        bnb_4bit_compute_dtype=dtype,
    )


def quantization_name(model: nn.Module) -> str:
    """How the linear layers of a model are held: `none`, or such as `nf4` or `nf4+double`."""
    names = {
        f"{layer.weight.quant_state.quant_type}{'+double' if layer.weight.quant_state.nested else ''}"
        for layer in _quantised_layers(model)
    }
    return ",".join(sorted(names)) or "none"


def settle_quantised_layers(model: nn.Module) -> None:
    """Have quantised layers stay as they were loaded.

    On a CPU with bf16 instructions a layer that is asked without gradient, as in an evaluation, repacks its
    weight for a kernel that has no backward pass and rounds otherwise: training after it would lose the
    gradient through the base without a word, and the reference would not be the policy's.
    """
    for layer in _quantised_layers(model):
        layer.support_avx512bf16_for_cpu = False


def refuse_if_nothing_is_quantised(model: nn.Module, name: str) -> None:
    """Raises `ModelError` where the quantisation that was asked for found no layer."""
    if not _quantised_layers(model):
        raise ModelError(
            "there is nothing to quantise in this model",
            where=f"model.base = {name}",
            why="it has no linear layers but its head",
            next="drop model.quantization",
        )


def _quantised_layers(model: nn.Module) -> list[Any]:
    # By name: a model that is not quantised should not cost the import.
    return [m for m in model.modules() if type(m).__name__ == "Linear4bit" and hasattr(m, "compute_dtype")]
