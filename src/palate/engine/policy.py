"""Loading a model to train: weights, tokenizer, device, attention kernel, adapter.

Only safetensors are read, and no code that comes with a model is ever run.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import warnings
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from palate.engine.head import LanguageHead
from palate.engine.lora import lighten_lora
from palate.errors import ModelError
from palate.recipe import LoraOptions, ModelOptions

__all__ = [
    "Policy",
    "choose_device",
    "load_policy",
    "load_tokenizer",
    "load_trained",
    "resolve_model_folder",
]

_MAMBAS = {"mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h"}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(eq=False)
class Policy:
    """A causal language model ready to be scored, trained and sampled.

    `model` is what is trained: a peft model over `causal_lm`, or `causal_lm` itself.
    """

    model: nn.Module
    causal_lm: Any
    tokenizer: Any
    folder: Path
    device: torch.device
    attention: str
    compute_dtype: torch.dtype
    """What activations are in; the weights' own dtype but for full fine-tuning over autocast."""
    name: str
    """What people call it."""
    source: str
    """What finds the base again: a Hub name or a folder."""

    def __post_init__(self) -> None:
        config = self.causal_lm.config
        self.text_config = config.get_text_config() if hasattr(config, "get_text_config") else config
        self.decoder = self.causal_lm.get_decoder()
        self.pad_token_id: int = _pad_token_id(self.tokenizer)

    @property
    def head(self) -> LanguageHead:
        """The map from hidden states to log-probabilities, as it stands now (peft may have wrapped it)."""
        return LanguageHead(self.causal_lm.get_output_embeddings(), self.text_config)

    @property
    def has_adapter(self) -> bool:
        """Whether the base can be had back by switching an adapter off."""
        return hasattr(self.model, "disable_adapter")

    def hidden_states(self, token_ids: Tensor, attention_mask: Any, position_ids: Tensor) -> Tensor:
        """Hidden states after the final norm, [rows, tokens, hidden size]."""
        output = self.decoder(
            input_ids=token_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
        )
        return output.last_hidden_state

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Mixed precision where weights are held in more than the compute dtype, else nothing.

        LoRA sees to its own fp32 weights (`lora.py`); modules trained whole beside it do not. The answer is
        the same inside `as_reference`, or policy and reference would round differently.
        """
        if any(
            weight.dtype != self.compute_dtype
            and ".lora_" not in name
            and (weight.requires_grad or ".modules_to_save." in name)
            for name, weight in self.causal_lm.named_parameters()
        ):
            return torch.autocast(self.device.type, dtype=self.compute_dtype)
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def as_reference(self) -> Iterator[None]:
        """The base model: adapter off, dropout off, no gradient."""
        was_training = self.model.training
        self.model.eval()
        adapter_off = self.model.disable_adapter() if self.has_adapter else contextlib.nullcontext()  # type: ignore[operator]
        try:
            with torch.no_grad(), adapter_off:
                yield
        finally:
            self.model.train(was_training)

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """The policy as it stands: dropout off, no gradient."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.train(was_training)

    def stop_ids(self) -> list[int]:
        """The tokens the model's own generation settings end an answer with, beside the tokenizer's."""
        stops = getattr(self.causal_lm.generation_config, "eos_token_id", None)
        if stops is None:
            return []
        return [int(stop) for stop in stops] if isinstance(stops, list) else [int(stops)]

    def trainable_parameters(self) -> list[nn.Parameter]:
        """What the optimizer moves."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def load_policy(options: ModelOptions, *, seed: int = 0, folder: Path | None = None) -> Policy:
    """Load the base model to be trained, and put the adapter on it.

    `folder` is where the base lies, for names that neither the Hub nor the file system knows.

    Raises:
        ModelError: the model cannot be found or read, or the adapter's targets are not in it.
    """
    full = options.adapter is None
    policy = _load_base(options, folder, weights=torch.float32 if full else None)
    if options.adapter is not None:
        policy.model = _add_lora(policy.causal_lm, options.adapter, seed)
    policy.model.train()
    return policy


def load_trained(name: str, options: ModelOptions, *, folder: Path | None = None) -> Policy:
    """Load a model to be asked: a Hub name, a model folder, or an adapter's folder, which names its base.

    Of `options` the device, dtype and attention are used. `folder` is as in `load_policy`.

    Raises:
        ModelError: the model, the adapter or the adapter's base cannot be found or read.
    """
    adapter = Path(name).expanduser()
    if not (adapter / "adapter_config.json").is_file():
        policy = _load_base(options.model_copy(update={"base": name}), folder)
        policy.model.eval()
        return policy
    base = _base_of(adapter)
    policy = _load_base(options.model_copy(update={"base": base, "revision": None}), None)
    policy.name = name
    policy.model = _load_adapter(policy.causal_lm, adapter)
    policy.model.eval()
    return policy


def _base_of(adapter: Path) -> str:
    try:
        return str(
            json.loads((adapter / "adapter_config.json").read_text("utf-8"))["base_model_name_or_path"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            "the adapter's adapter_config.json cannot be read", where=str(adapter), why=_first_line(error)
        ) from None


def _load_adapter(causal_lm: Any, adapter: Path) -> nn.Module:
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        if not (adapter / "adapter_model.safetensors").is_file():  # peft would go on to look for a pickle
            raise ValueError("there is no adapter_model.safetensors in this folder")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft's own use of a name transformers retires
            model = PeftModel.from_pretrained(causal_lm, adapter, is_trainable=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError("the adapter cannot be loaded", where=str(adapter), why=_first_line(error)) from None
    lighten_lora(model)
    return model


def _load_base(options: ModelOptions, folder: Path | None, weights: torch.dtype | None = None) -> Policy:
    """The bare base model; its weights in `weights` where that is not what it computes in."""
    found = folder or resolve_model_folder(options.base, options.revision)
    device = choose_device(options.device)
    config = _load_config(found, options.base)
    attention = _choose_attention(options.attention, config, device)
    dtype = _choose_dtype(options.dtype, config, device)
    causal_lm = _load_causal_lm(found, config, options.base, attention, weights or dtype)
    causal_lm.to(device)
    _switch_off_dropout(causal_lm)
    is_local = folder is not None or Path(options.base).expanduser().is_dir()
    return Policy(
        model=causal_lm,
        causal_lm=causal_lm,
        tokenizer=load_tokenizer(found, options.base),
        folder=found,
        device=device,
        attention=attention,
        compute_dtype=dtype,
        name=options.base,
        source=str(found) if is_local else options.base,
    )


def resolve_model_folder(base: str, revision: str | None = None) -> Path:
    """A local folder with the model's files: the named folder itself, or a Hub snapshot.

    Downloads only what is read (safetensors, JSON, tokenizer files), and needs no network for what is
    already here.
    """
    here = Path(base).expanduser()
    if here.is_dir():
        return here.resolve()
    if base.startswith((".", "/", "~")) or base.count("/") > 1 or here.exists():
        raise ModelError(
            "no such model folder",
            where=f"model.base = {base}",
            next="name a folder with config.json, or a Hub model",
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt", "*.jinja"]
    try:
        return Path(snapshot_download(base, revision=revision, allow_patterns=patterns))
    except LocalEntryNotFoundError:
        offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
        why = (
            "HF_HUB_OFFLINE is set and the model is not in the local cache"
            if offline
            else ("the Hub could not be reached and the model is not in the local cache")
        )
        raise ModelError(
            "the model is not here",
            where=f"model.base = {base}",
            why=why,
            next="name a local folder, use model.base=playground, or download it once with a network",
        ) from None
    except (HfHubHTTPError, HFValidationError) as error:
        raise ModelError(
            "the Hub does not give this model",
            where=f"model.base = {base}",
            why=_first_line(error),
            next="check the name; for a gated model accept its licence and set HF_TOKEN",
        ) from None


def choose_device(name: str) -> torch.device:
    """The named device, or the best there is: cuda, mps, cpu."""
    if name != "auto":
        try:
            device = torch.device(name)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ModelError(
                f'device "{name}" cannot be used',
                where="model.device",
                why=_first_line(error),
                next="model.device=auto takes the best there is",
            ) from None
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def load_tokenizer(folder: Path, name: str) -> Any:
    """The tokenizer that lies beside the weights."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises bare ones
        raise ModelError(
            "the tokenizer cannot be read", where=f"model.base = {name}", why=_first_line(error)
        ) from None


def _load_config(folder: Path, name: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            "the model's config.json cannot be read",
            where=f"model.base = {name}",
            why=_first_line(error),
            next="name a folder that transformers can load without remote code",
        ) from None


def _load_causal_lm(folder: Path, config: Any, name: str, attention: str, dtype: torch.dtype) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    # Weights load in seconds, and a library does not draw on its caller's terminal.
    logging.disable_progress_bar()
    try:
        causal_lm, report = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(
            "the model's weights cannot be loaded",
            where=f"model.base = {name}",
            why=_first_line(error),
            next="Palate reads safetensors only; convert other weights first",
        ) from None
    if missing := sorted(report["missing_keys"]):
        # Left alone they would be random numbers.
        raise ModelError(
            "the model's weights are not complete",
            where=f"model.base = {name}",
            why=f"{len(missing)} tensors are missing, the first of them {missing[0]}",
            next="fetch the model again",
        )
    return causal_lm


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _choose_attention(wanted: str, config: Any, device: torch.device) -> str:
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    softcap = getattr(text, "attn_logit_softcapping", None)
    if wanted == "auto":
        kind = _model_class(config)
        if device.type == "cuda" and getattr(kind, "_supports_flex_attn", False):
            return "flex_attention"
        return "sdpa" if getattr(kind, "_supports_sdpa", False) and softcap is None else "eager"
    if wanted == "sdpa" and softcap is not None:
        raise ModelError(
            "sdpa cannot compute this model's soft-capped attention",
            where="model.attention",
            next="model.attention=auto chooses one that can",
        )
    if wanted == "flex_attention" and device.type == "cpu":
        raise ModelError(
            "flex_attention cannot train on a cpu: it has no backward pass there",
            where="model.attention",
            next="model.attention=auto chooses sdpa",
        )
    return wanted


def _model_class(config: Any) -> Any:
    """The class that will be loaded, to be asked what it can; None where transformers has none."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    found = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    return found[0] if isinstance(found, (list, tuple)) else found


def _choose_dtype(wanted: str, config: Any, device: torch.device) -> torch.dtype:
    if wanted != "auto":
        return _DTYPES[wanted]
    own = getattr(config, "dtype", None) or torch.float32
    if own == torch.float16 and device.type == "cpu":
        return torch.float32
    return own if own in _DTYPES.values() else torch.float32


def _switch_off_dropout(causal_lm: nn.Module) -> None:
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


def _add_lora(causal_lm: Any, options: LoraOptions, seed: int) -> nn.Module:
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
                why=_first_line(error),
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


def _pad_token_id(tokenizer: Any) -> int:
    for candidate in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if candidate is not None:
            return int(candidate)
    return 0
