"""LoRA adapters: put on a model to be trained, or found in a folder."""

from __future__ import annotations

import hashlib
import re
import warnings
from copy import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from palate.engine.lora import lighten_lora
from palate.errors import ModelError
from palate.recipe import ExistingAdapterOptions, LoraOptions

__all__ = ["adapter_hash", "add_lora", "continue_adapter", "find_adapter", "first_line", "load_adapter"]

_MAMBAS = {"mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h"}


def add_lora(base: Any, options: LoraOptions, seed: int) -> nn.Module:
    """A fresh adapter on every module the options name, in fp32.

    Raises:
        ModelError: the options name what the model does not have.
    """
    from peft import get_peft_model

    linear = (name for name, module in base.named_modules() if isinstance(module, nn.Linear))
    names = sorted({name.rpartition(".")[2] for name in linear})
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(seed)
        warnings.simplefilter("ignore", FutureWarning)  # peft's own use of a name transformers retires
        warnings.filterwarnings(
            "ignore", "The following .* keys did not match", RuntimeWarning
        )  # refused below
        try:
            _refuse_quantised_whole(base, options)
            _refuse_idle_exclusions(base, options)
            model = get_peft_model(base, _lora_config(options, base), autocast_adapter_dtype=True)
            _refuse_idle_names(model, options)
        except (ValueError, re.error) as error:
            raise ModelError(
                "the adapter does not fit this model",
                where="model.adapter",
                why=first_line(error),
                next=f"its linear modules are: {', '.join(names)}",
            ) from None
    _hold_in_fp32(model)
    lighten_lora(model)
    return model


def _hold_in_fp32(model: nn.Module) -> None:
    """What is trained. A bf16 adapter barely moves at small learning rates: its steps round away."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _lora_config(options: LoraOptions, base: Any) -> Any:
    from peft import LoraConfig, TaskType

    exclude = options.exclude_modules
    if exclude is None and options.target_modules == "all-linear" and base.config.model_type in _MAMBAS:
        # Their kernels read this weight past any adapter, so peft takes it in no list of targets.
        exclude = ["out_proj"]
    return LoraConfig(
        # A classifier's adapter has its score head trained whole beside it, and saved with it.
        task_type=TaskType.SEQ_CLS if hasattr(base, "score") else TaskType.CAUSAL_LM,
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


def _refuse_quantised_whole(base: nn.Module, options: LoraOptions) -> None:
    for path, module in base.named_modules():
        if path.endswith(tuple(options.modules_to_save or ())) and _is_quantised(module):
            raise ValueError(f"{path} is quantised and cannot be trained whole, as modules_to_save asks")


def _is_quantised(module: nn.Module) -> bool:
    return any(not p.is_floating_point() for p in module.parameters())


def _refuse_idle_names(model: nn.Module, options: LoraOptions) -> None:
    """peft passes over names that match nothing; here an option without effect is an error."""
    paths = [name for name, _ in model.named_modules()]
    adapted = [path.rpartition(".lora_A")[0] for path in paths if path.endswith(".lora_A")]
    for pattern in {**options.rank_pattern, **options.alpha_pattern}:
        # As peft reads them: a pattern is the end of a module's path.
        if not any(re.match(rf"(.*\.)?({pattern})$", path) for path in adapted):
            raise ValueError(f'the pattern "{pattern}" has no effect: no module with an adapter matches it')
    numbers = {int(found[1]) for path in adapted if (found := re.search(r"\.(\d+)\.", path))}
    for layer in options.layers_to_transform or ():
        if layer not in numbers:
            raise ValueError(f"layers_to_transform names layer {layer}, and nothing there has an adapter")
    for name in options.modules_to_save or ():
        if name == "score" and type(model).__name__ == "PeftModelForSequenceClassification":
            raise ValueError("modules_to_save names the score head, which is trained whole in any case")
        if not any(path.endswith(f"{name}.modules_to_save") for path in paths):
            raise ValueError(f'modules_to_save names "{name}", and no module is called that')


def _refuse_idle_exclusions(base: Any, options: LoraOptions) -> None:
    """peft only warns, and only where a name is of no module at all."""
    from transformers.pytorch_utils import Conv1D

    targets, excluded = options.target_modules, options.exclude_modules
    if targets == "all-linear":  # all but the output head
        kinds, head = (nn.Linear, Conv1D), base.get_output_embeddings()
        paths = [path for path, m in base.named_modules() if isinstance(m, kinds) and m is not head]
    else:
        paths = [path for path, _ in base.named_modules() if _is_named(path, targets)]
    for name in [excluded] if isinstance(excluded, str) else [[name] for name in excluded or ()]:
        if not any(_is_named(path, name) for path in paths):
            said = name if isinstance(name, str) else name[0]
            raise ValueError(f'exclude_modules = "{said}" has no effect: target_modules names no such module')


def _is_named(path: str, names: str | list[str]) -> bool:
    """As peft reads them: a text is a regular expression over whole paths, a list has the ends of paths."""
    if isinstance(names, str):
        return re.fullmatch(names, path) is not None
    return any(path == name or path.endswith(f".{name}") for name in names)


def find_adapter(options: ExistingAdapterOptions) -> Path:
    """The folder with the adapter's files: the one that is named, or that of the run that is named.

    Raises:
        ModelError: neither has an adapter in it.
    """
    named = Path(options.path).expanduser()
    for folder in (named, named / "adapter"):
        if (folder / "adapter_config.json").is_file():
            return folder.resolve()
    raise ModelError(
        "there is no adapter here",
        where=f"model.adapter.path = {options.path}",
        why="neither this folder nor an adapter folder in it has an adapter_config.json",
        next="name a folder that peft saved, or the folder of a run that trained an adapter",
    )


def continue_adapter(base: Any, adapter: Path) -> tuple[nn.Module, str]:
    """The adapter in this folder over its base, to be trained on in fp32; and its hash as it starts.

    The hash is the sha256 of the adapter's two files: what is trained against this start depends on it.

    Raises:
        ModelError: it is incomplete, does not fit, or is of another kind than LoRA.
    """
    model = _load(base, adapter, is_trainable=True)
    _hold_in_fp32(model)
    lighten_lora(model)
    return model, adapter_hash(adapter)


def adapter_hash(adapter: Path) -> str:
    """sha256 of an adapter's two files."""
    content = hashlib.sha256()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        with (adapter / name).open("rb") as stream:
            content.update(hashlib.file_digest(stream, "sha256").digest())
    return content.hexdigest()


def load_adapter(base: Any, adapter: Path) -> nn.Module:
    """The adapter in this folder over its base, not to be trained.

    Raises:
        ModelError: it is incomplete, or does not fit.
    """
    model = _load(base, adapter, is_trainable=False)
    lighten_lora(model)
    return model


def _load(base: Any, adapter: Path, *, is_trainable: bool) -> Any:
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        if not (adapter / "adapter_model.safetensors").is_file():  # peft would go on to look for a pickle
            raise ValueError("there is no adapter_model.safetensors in this folder")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft's own use of a name transformers retires
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # refused below
            model = PeftModel.from_pretrained(base, adapter, is_trainable=is_trainable)
        _refuse_misfit(model, adapter, is_trainable=is_trainable)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            "the adapter cannot be loaded",
            where=str(adapter),
            why=first_line(error),
            next="check that it was trained on this base: its adapter_config.json names one",
        ) from None
    return model


def _refuse_misfit(model: Any, adapter: Path, *, is_trainable: bool) -> None:
    """peft leaves what the file lacks at its random start, and what the model lacks in the file."""
    from peft.utils.save_and_load import load_peft_weights, set_peft_model_state_dict

    if is_trainable and model.peft_config["default"].peft_type != "LORA":
        raise ValueError(f"only LoRA adapters can be trained on, and this is {_kind_of(model)}")
    found = set_peft_model_state_dict(model, load_peft_weights(str(adapter), device="cpu"))
    absent = [key for key in found.missing_keys if "lora_" in key or ".modules_to_save." in key]
    if absent:
        raise ValueError(
            f"its file lacks {len(absent)} tensors of the adapter, the first of them {absent[0]}"
        )
    if found.unexpected_keys:
        first = found.unexpected_keys[0]
        raise ValueError(f"{len(found.unexpected_keys)} of its tensors have no place here, such as {first}")


def _kind_of(model: Any) -> str:
    kind = model.peft_config["default"].peft_type
    return str(getattr(kind, "value", kind))


def first_line(error: Exception) -> str:
    """What other libraries' errors say, without the pages that some of them add."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    if not lines:
        return type(error).__name__
    # torch's first line only says that something follows.
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
