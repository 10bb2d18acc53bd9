"""A model without its weights: every tensor has its shape, dtype and place, and no memory.

Built from the checkpoint's config by the classes that a run would use, with the same adapter and the same
lighter modules, under torch's fake tensors. What runs on it takes no memory and no time worth the name, and
can be asked what it would have taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from palate.engine.adapter import add_lora, find_adapter, first_line
from palate.engine.base import find_base
from palate.engine.cpu_attention import prefer_cpu_attention
from palate.engine.light_modules import lighten_modules
from palate.engine.loading import checkpoint_layers, switch_off_dropout
from palate.engine.lora import lighten_lora
from palate.engine.policy import Head, Policy
from palate.engine.reward_model import finish_reward_model
from palate.errors import ModelError
from palate.recipe import LoraOptions, ModelOptions, QuantizationOptions

__all__ = ["Skeleton", "load_skeleton", "quantised_bytes"]

# bitsandbytes quantises blocks of 64 weights, and with double quantisation 256 blocks' scales together.
_BLOCK, _SCALES_BLOCK = 64, 256
_SMALL_WIDTH = 8


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """A policy without memory.

    policy: it says which device and attention kernel the run would take; all its tensors are fake ones on
    the cpu. runnable: the same, saying that it is on the cpu, to be run under `mode`. quantised: the linear
    layers held in four bits, by their names. file_bytes: the checkpoint's own size.
    """

    policy: Policy
    runnable: Policy
    mode: FakeTensorMode
    quantised: dict[str, nn.Linear]
    file_bytes: int


def load_skeleton(
    options: ModelOptions,
    *,
    head: Head = "logps",
    seed: int = 0,
    folder: Path | None = None,
    gradient_checkpointing: bool = False,
) -> Skeleton:
    """What `load_policy` would load, without its weights; arguments and errors are the same."""
    base = find_base(options, head, folder)
    weights = base.dtype if options.adapter is not None else torch.float32
    kernel = "eager" if base.attention == "eager" else "sdpa"
    model = _build(base.config, head, weights, kernel, options.base)
    if head == "scores":
        finish_reward_model(model, base.tokenizer, base.folder, seed=None)
    else:
        model.generation_config = _generation_config(base.folder, base.config)
    prefer_cpu_attention(model, kernel, base.device)
    switch_off_dropout(model)
    _lighten(model)
    policy = base.policy(model, options.base)
    quantised = _linears(model) if options.quantization is not None else {}
    policy.model = _with_adapter(model, options, seed)
    if gradient_checkpointing:
        checkpoint_layers(policy)
    policy.model.train()
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        _make_fake(policy.model)
    size = sum(file.stat().st_size for file in base.folder.glob("*.safetensors"))
    # Of the kernels that keep no scores the cpu's stands for all: they keep the same tensors.
    runnable = replace(policy, device=torch.device("cpu"), attention=kernel)
    return Skeleton(policy, runnable, mode, quantised, size)


def quantised_bytes(layers: dict[str, nn.Linear], options: QuantizationOptions) -> int:
    """What linear layers take in four bits, with their scales (Dettmers et al. 2023, arXiv:2305.14314,
    section 3): half a byte a weight, and a scale for every 64 of them, in fp32 or, with `double`, in eight
    bits with an fp32 scale for 256 of those. Biases stay as they are and are not counted."""
    total = 0
    for layer in layers.values():
        num_weights = layer.weight.numel()
        num_blocks = -(-num_weights // _BLOCK)
        total += num_weights // 2 + (
            num_blocks + 4 * -(-num_blocks // _SCALES_BLOCK) if options.double else 4 * num_blocks
        )
    return total


def _build(config: Any, head: Head, dtype: torch.dtype, attention: str, name: str) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    if getattr(config, "quantization_config", None) is not None:
        # Its layers are those of the model it was made from; their size is the checkpoint's.
        del config.quantization_config
    kind = AutoModelForCausalLM if head == "logps" else AutoModelForSequenceClassification
    try:
        with torch.device("meta"):
            model = kind.from_config(
                config, dtype=dtype, attn_implementation=attention, trust_remote_code=False
            )
    except (ValueError, ImportError) as error:
        raise ModelError(
            "the model cannot be built from its config.json",
            where=f"model.base = {name}",
            why=first_line(error),
            next="name a folder that transformers can load without remote code",
        ) from None
    # As from_pretrained leaves it: every weight in one dtype, buffers in their own.
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    model.tie_weights()
    return model


def _generation_config(folder: Path, config: Any) -> Any:
    from transformers import GenerationConfig

    if (folder / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(folder)
    return GenerationConfig.from_model_config(config)


def _with_adapter(model: Any, options: ModelOptions, seed: int) -> nn.Module:
    if options.adapter is None:
        return model
    if isinstance(options.adapter, LoraOptions):
        return add_lora(model, options.adapter, seed)
    from peft import PeftConfig, get_peft_model

    config = PeftConfig.from_pretrained(str(find_adapter(options.adapter)))
    config.inference_mode = False
    made: nn.Module = get_peft_model(model, config)
    for parameter in made.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    lighten_lora(made)
    return made


def _linears(model: Any) -> dict[str, nn.Linear]:
    """What is quantised: every linear layer but the head."""
    head = model.get_output_embeddings()
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and name != "score"
    }


def _make_fake(model: nn.Module) -> None:
    """Every tensor becomes one that says it is on the cpu, where kernels are chosen as for real ones. Under
    the mode they are to belong to."""
    made: dict[int, Tensor] = {}

    def fake(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:  # tied weights stay tied
            empty = torch.empty(tensor.shape, dtype=tensor.dtype)
            made[id(tensor)] = (
                nn.Parameter(empty, requires_grad=tensor.requires_grad)
                if isinstance(tensor, nn.Parameter)
                else empty
            )
        return made[id(tensor)]

    kept = []  # an id is only its tensor's as long as that lives
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for name, tensor in table.items():
                if tensor is not None:
                    kept.append(tensor)
                    table[name] = fake(tensor)  # type: ignore[assignment]


def _lighten(model: nn.Module) -> None:
    """Give the modules the classes that `lighten_modules` gives those of the real model.

    It asks modules for numbers, and these have none: so small real ones of the same classes are asked.
    """
    twins: dict[tuple[type, type], nn.Module] = {}
    kinds = [(module, (type(module), type(getattr(module, "act_fn", None)))) for module in model.modules()]
    for module, kind in kinds:
        if kind not in twins and (twin := _small_twin(module)) is not None:
            twins[kind] = twin
    lighten_modules(nn.ModuleList(twins.values()))
    for module, kind in kinds:
        if kind in twins:
            module.__class__ = type(twins[kind])


def _small_twin(module: nn.Module) -> nn.Module | None:
    """A module of the same class over a few units, with real weights; None where it is of no interest."""
    children, own = module._modules, module._parameters
    is_gated = {*children} >= {"gate_proj", "up_proj", "down_proj"}
    is_norm = not children and {*own} == {"weight"} and isinstance(own["weight"], Tensor)
    if not (is_gated or (is_norm and type(module).__name__.endswith("RMSNorm"))):
        return None
    twin = object.__new__(type(module))
    twin.__dict__.update(module.__dict__)
    twin.__dict__["_modules"] = {name: _small_linear(child) for name, child in children.items()}
    twin.__dict__["_parameters"] = {name: _small_weight(weight) for name, weight in own.items()}
    return twin


def _small_linear(module: nn.Module | None) -> nn.Module | None:
    if not isinstance(module, nn.Linear):
        return module
    bias = module.bias is not None
    return nn.Linear(_SMALL_WIDTH, _SMALL_WIDTH, bias=bias, dtype=module.weight.dtype)


def _small_weight(weight: nn.Parameter | None) -> nn.Parameter | None:
    return nn.Parameter(torch.rand(_SMALL_WIDTH).to(weight.dtype)) if weight is not None else None
