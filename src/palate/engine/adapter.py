"""LoRA adapters: put on a model to be trained, or found in a folder."""

from __future__ import annotations

import re
import warnings
from copy import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from palate.engine.lora import lighten_lora
from palate.errors import ModelError
from palate.recipe import LoraOptions

__all__ = ["add_lora", "first_line", "load_adapter"]

_MAMBAS = {"mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h"}


def add_lora(causal_lm: Any, options: LoraOptions, seed: int) -> nn.Module:
    """A fresh adapter on every module the options name, in fp32.

    Raises:
        ModelError: the options name what the model does not have.
    """
    from peft import get_peft_model

    linear = (name for name, module in causal_lm.named_modules() if isinstance(module, nn.Linear))
    names = sorted({name.rpartition(".")[2] for name in linear})
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(seed)
        warnings.simplefilter("ignore", FutureWarning)  # peft's own use of a name transformers retires
        warnings.filterwarnings(
            "ignore", "The following .* keys did not match", RuntimeWarning
        )  # refused below
        try:
            model = get_peft_model(
                causal_lm, _lora_config(options, causal_lm.config.model_type), autocast_adapter_dtype=True
            )
            _refuse_idle_names(model, options)
        except (ValueError, re.error) as error:
            raise ModelError(
                "the adapter does not fit this model",
                where="model.adapter",
                why=first_line(error),
                next=f"its linear modules are: {', '.join(names)}",
            ) from None
    for parameter in model.parameters():
        if parameter.requires_grad:
            # A bf16 adapter barely moves at small learning rates: its steps round away.
            parameter.data = parameter.data.float()
    lighten_lora(model)
    return model


def _lora_config(options: LoraOptions, model_type: str) -> Any:
    from peft import LoraConfig, TaskType

    exclude = options.exclude_modules
    if exclude is None and options.target_modules == "all-linear" and model_type in _MAMBAS:
        # Their kernels read this weight past any adapter, so peft takes it in no list of targets.
        exclude = ["out_proj"]
    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=copy(options.target_modules),
        exclude_modules=exclude,
        layers_to_transform=copy(options.layers_to_transform),
        modules_to_save=copy(options.modules_to_save),
        # Copies: peft adds patterns of its own for some models, and the recipe is not its to change.
        rank_pattern=copy(options.rank_pattern),
        alpha_pattern=copy(options.alpha_pattern),
        use_rslora=options.rslora,
    )


def _refuse_idle_names(model: nn.Module, options: LoraOptions) -> None:
    """peft passes over names that match nothing; here an option without effect is an error."""
    paths = [name for name, _ in model.named_modules()]
    adapted = [path.rpartition(".lora_A")[0] for path in paths if path.endswith(".lora_A")]
    for pattern in {**options.rank_pattern, **options.alpha_pattern}:
        # As peft reads them: a pattern is the end of a module's path.
        if not any(re.match(rf"(.*\.)?({pattern})$", path) for path in adapted):
            raise ValueError(f'the pattern "{pattern}" has no effect: no module with an adapter matches it')
    for name in options.modules_to_save or ():
        if not any(path.endswith(f"{name}.modules_to_save") for path in paths):
            raise ValueError(f'modules_to_save names "{name}", and no module is called that')


def load_adapter(causal_lm: Any, adapter: Path) -> nn.Module:
    """The adapter in this folder over its base, not to be trained.

    Raises:
        ModelError: it is incomplete, or does not fit.
    """
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        if not (adapter / "adapter_model.safetensors").is_file():  # peft would go on to look for a pickle
            raise ValueError("there is no adapter_model.safetensors in this folder")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft's own use of a name transformers retires
            model = PeftModel.from_pretrained(causal_lm, adapter, is_trainable=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError("the adapter cannot be loaded", where=str(adapter), why=first_line(error)) from None
    lighten_lora(model)
    return model


def first_line(error: Exception) -> str:
    """What other libraries' errors say, without the pages that some of them add."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
