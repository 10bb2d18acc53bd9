"""Loading a model: the base's weights, and the adapter on it.

Only safetensors are read, and no code that comes with a model is ever run.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from palate.engine.adapter import (
    adapter_hash,
    add_lora,
    continue_adapter,
    find_adapter,
    first_line,
    load_adapter,
)
from palate.engine.base import Base, find_base
from palate.engine.cpu_attention import prefer_cpu_attention
from palate.engine.light_modules import lighten_modules
from palate.engine.policy import Head, Policy
from palate.engine.quantization import (
    quantization_config,
    quantization_name,
    refuse_if_nothing_is_quantised,
    settle_quantised_layers,
)
from palate.engine.reward_model import SCORE_WEIGHT, finish_reward_model
from palate.errors import ModelError
from palate.recipe import LoraOptions, ModelOptions

__all__ = ["base_of_adapter", "checkpoint_layers", "load_policy", "load_trained", "switch_off_dropout"]


def load_policy(
    options: ModelOptions,
    *,
    head: Head = "logps",
    seed: int = 0,
    folder: Path | None = None,
    gradient_checkpointing: bool = False,
) -> Policy:
    """Load the base model to be trained, and put the adapter on it.

    With `head="scores"` it becomes a reward model. The score head is the base's where it has one, else a
    fresh one (`reward_model.py`); it is trained whole beside an adapter. `folder` is where the base lies,
    for names that neither the Hub nor the file system knows. With
    `gradient_checkpointing` each layer keeps only its input for the backward pass (Chen et al. 2016,
    arXiv:1604.06174).

    Raises:
        ModelError: the model cannot be found or read, or the adapter does not fit it.
    """
    if options.revision is not None and Path(options.base).expanduser().is_dir():
        raise ModelError(
            f'revision = "{options.revision}" has no effect on a folder: it belongs to a Hub model',
            where=f"model.base = {options.base}",
            next="drop model.revision",
        )
    full = options.adapter is None
    policy = _load_base(options, folder, head, seed, weights=torch.float32 if full else None)
    if isinstance(options.adapter, LoraOptions):
        policy.model = add_lora(policy.base_model, options.adapter, seed)
    elif options.adapter is not None:
        start = find_adapter(options.adapter)
        _refuse_other_head(start, head)
        policy.model, policy.start_hash = continue_adapter(policy.base_model, start)
        policy.notes += _other_base(start, policy)
    if gradient_checkpointing:
        checkpoint_layers(policy)
    policy.model.train()
    return policy


def load_trained(
    name: str, options: ModelOptions, *, head: Head = "logps", folder: Path | None = None
) -> Policy:
    """Load a model to be asked: a Hub name, a model folder, or an adapter's folder, which names its base.

    Of `options` the device, dtype, attention and quantisation are used. `folder` is as in `load_policy`.
    `head="scores"` is for a reward model.

    Raises:
        ModelError: the model, the adapter or the adapter's base cannot be found or read, or it is a reward
            model where none is asked for, or the other way round.
    """
    adapter = Path(name).expanduser()
    if not (adapter / "adapter_config.json").is_file():
        policy = _load_base(options.model_copy(update={"base": name}), folder, head)
        policy.model.eval()
        return policy
    _refuse_other_head(adapter, head)
    policy = _load_base(options.model_copy(update=base_of_adapter(adapter)), None, head, seed=0)
    policy.name = name
    policy.model = load_adapter(policy.base_model, adapter)
    policy.start_hash = adapter_hash(adapter)
    policy.model.eval()
    return policy


def base_of_adapter(adapter: Path) -> dict[str, str | None]:
    """The base an adapter was trained on, as model options name it."""
    config = _adapter_config(adapter)
    return {"base": str(config["base_model_name_or_path"]), "revision": config.get("revision")}


def _refuse_other_head(adapter: Path, head: Head) -> None:
    """An adapter of a reward model brings its score head with it; one of a language model has none."""
    if (_adapter_config(adapter).get("task_type") == "SEQ_CLS") == (head == "scores"):
        return
    raise ModelError(
        "this is the adapter of a reward model: it scores answers and writes none"
        if head == "logps"
        else "this is the adapter of a language model: it has no score head",
        where=str(adapter),
        next="name an adapter trained with a reward objective"
        if head == "scores"
        else "name an adapter trained with an objective on log-probabilities",
    )


def _adapter_config(adapter: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
        if "base_model_name_or_path" not in config:
            raise KeyError("it does not name its base")
        return config
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            "the adapter's adapter_config.json cannot be read", where=str(adapter), why=first_line(error)
        ) from None


def _other_base(adapter: Path, policy: Policy) -> tuple[str, ...]:
    """A note where the adapter was trained on what goes by another name: it fits, but may not belong."""
    before = base_of_adapter(adapter)
    known = {policy.name, policy.source, str(policy.folder)}
    if before["base"] not in known and str(Path(str(before["base"])).resolve()) not in known:
        return (f"the adapter in {adapter} was trained on {before['base']}, not on {policy.name}",)
    if before["revision"] != policy.revision:
        return (
            f"the adapter in {adapter} was trained on revision {before['revision'] or 'main'} "
            f"of {policy.name}, not on {policy.revision or 'main'}",
        )
    return ()


def checkpoint_layers(policy: Policy) -> None:
    model = policy.base_model
    # Renamed within transformers 5; the old name goes with 6.
    enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
    try:
        enable({"use_reentrant": False})
    except ValueError as error:
        raise ModelError(
            "this model cannot compute its layers again",
            where="train.gradient_checkpointing",
            why=first_line(error),
            next="drop train.gradient_checkpointing; train.micro_batch_tokens bounds memory too",
        ) from None


def _load_base(
    options: ModelOptions,
    folder: Path | None,
    head: Head,
    seed: int | None = None,
    weights: torch.dtype | None = None,
) -> Policy:
    """The bare base model; its weights in `weights` where that is not what it computes in.

    A `seed` makes a score head where the checkpoint has none; without one that is an error.
    """
    base = find_base(options, head, folder)
    how: dict[str, Any] = {"dtype": weights or base.dtype, "attn_implementation": base.attention}
    if options.quantization is not None:
        how["quantization_config"] = quantization_config(options.quantization, base.dtype)
        how["device_map"] = {"": base.device}  # quantised where it is to stay, layer by layer
    model, is_fresh = _load_weights(base, options, head, how)
    if head == "scores":
        if is_fresh and seed is None:
            raise ModelError(
                "this is no reward model: it has no score head",
                where=f"model.base = {options.base}",
                next="name a model that was trained with a reward objective",
            )
        finish_reward_model(model, base.tokenizer, base.folder, seed=seed if is_fresh else None)
    if options.quantization is not None:
        refuse_if_nothing_is_quantised(model, options.base)
    else:
        model.to(base.device)
    settle_quantised_layers(model)
    prefer_cpu_attention(model, base.attention, base.device)
    switch_off_dropout(model)
    lighten_modules(model)
    is_local = folder is not None or Path(options.base).expanduser().is_dir()
    return replace(
        base.policy(model, options.base),
        source=str(base.folder) if is_local else options.base,
        revision=None if is_local else options.revision,
        quantization=quantization_name(model),
    )


def _load_weights(base: Base, options: ModelOptions, head: Head, how: dict[str, Any]) -> tuple[Any, bool]:
    """The model, and whether its score head is a fresh one."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
    from transformers.utils import logging

    # Weights load in seconds, and a library does not draw on its caller's terminal.
    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # what it would say of missing and unexpected weights is said below
    kind = AutoModelForCausalLM if head == "logps" else AutoModelForSequenceClassification
    try:
        model, report = kind.from_pretrained(
            base.folder,
            config=base.config,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **how,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(
            "the model's weights cannot be loaded",
            where=f"model.base = {options.base}",
            why=first_line(error),
            next="Palate reads safetensors only; convert other weights first"
            if options.quantization is None
            else "try it without model.quantization, to see which of the two it is",
        ) from None
    finally:
        logging.set_verbosity(verbosity)
    if head == "logps" and SCORE_WEIGHT in report["unexpected_keys"]:
        raise ModelError(
            "this is a reward model: it scores answers and writes none",
            where=f"model.base = {options.base}",
            next="name a causal language model",
        )
    is_fresh = head == "scores" and SCORE_WEIGHT in report["missing_keys"]
    if missing := sorted(report["missing_keys"] - ({SCORE_WEIGHT} if is_fresh else set())):
        # Left alone they would be random numbers.
        raise ModelError(
            "the model's weights are not complete",
            where=f"model.base = {options.base}",
            why=f"{len(missing)} tensors are missing, the first of them {missing[0]}",
            next="fetch the model again",
        )
    return model, is_fresh


def switch_off_dropout(causal_lm: nn.Module) -> None:
    """No dropout of the base's own, not even in training.

    Preference objectives compare the policy with its reference: noise in one of them would be a preference
    for nothing, and step 0 would not start at zero margin. The adapter's dropout is the recipe's choice and
    stays.
    """
    for module in causal_lm.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if isinstance(value, float) and ("dropout" in name or name.endswith("pdrop")):
                setattr(module, name, 0.0)
