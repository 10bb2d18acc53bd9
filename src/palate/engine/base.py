"""A base model before its weights: where it lies, its tokenizer, and what it is to compute on and in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from palate.engine.adapter import first_line
from palate.engine.policy import Head, Policy
from palate.engine.reward_model import reward_config
from palate.errors import ModelError
from palate.recipe import ModelOptions

__all__ = ["Base", "choose_device", "find_base", "load_tokenizer", "resolve_model_folder"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """What is decided of a base before anything of it is loaded."""

    folder: Path
    device: torch.device
    config: Any
    """Of transformers; for a reward model it says that there is one label."""
    tokenizer: Any
    attention: str
    dtype: torch.dtype
    """What it computes in."""

    def policy(self, model: Any, name: str) -> Policy:
        """A policy of this base's model, without an adapter."""
        return Policy(
            model=model,
            base_model=model,
            tokenizer=self.tokenizer,
            folder=self.folder,
            device=self.device,
            attention=self.attention,
            compute_dtype=self.dtype,
            name=name,
            source=str(self.folder),
        )


def find_base(options: ModelOptions, head: Head, folder: Path | None = None) -> Base:
    """Find the base that options name, in `folder` where that is given.

    Raises:
        ModelError: it cannot be found, read or used as the options say.
    """
    found = folder or resolve_model_folder(options.base, options.revision)
    device = choose_device(options.device)
    config = _load_config(found, options.base)
    tokenizer = load_tokenizer(found, options.base)
    if head == "scores":
        reward_config(config, options.base)
    attention = _choose_attention(options.attention, config, device)
    dtype = _choose_dtype(options.dtype, config, device)
    _refuse_second_quantisation(options, config)
    return Base(found, device, config, tokenizer, attention, dtype)


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
            why=first_line(error),
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
                why=first_line(error),
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
            "the tokenizer cannot be read", where=f"model.base = {name}", why=first_line(error)
        ) from None


def _load_config(folder: Path, name: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            "the model's config.json cannot be read",
            where=f"model.base = {name}",
            why=first_line(error),
            next="name a folder that transformers can load without remote code",
        ) from None


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


def _refuse_second_quantisation(options: ModelOptions, config: Any) -> None:
    """A base that comes quantised is taken as it is, under an adapter."""
    if getattr(config, "quantization_config", None) is None:
        return
    if options.adapter is None:
        raise ModelError(
            "this base comes quantised, and so few bits cannot be trained",
            where=f"model.base = {options.base}",
            next="give it an adapter: drop model.adapter=null; or name the base it was made from",
        )
    if options.quantization is not None:
        raise ModelError(
            "model.quantization has no effect on a base that comes quantised",
            where=f"model.base = {options.base}",
            next="drop model.quantization, or name the base it was made from",
        )
