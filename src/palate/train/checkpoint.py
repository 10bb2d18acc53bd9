"""Checkpoints: whole or not there, verified before they are used, with nothing in them that can run code.

checkpoints/step-000100/
  adapter_model.safetensors, adapter_config.json    or a whole model with its tokenizer
  state.safetensors    the tensors that a resumed run goes on with
  state.json           and the plain values
  manifest.json        the step, and every file's size and sha256
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from palate import durable
from palate.engine import Policy
from palate.errors import ArtifactError

__all__ = [
    "SavedState",
    "checkpoint_bytes",
    "checkpoint_folder",
    "discard_newer",
    "free_bytes",
    "load_state",
    "newest_whole",
    "prune_checkpoints",
    "publish",
    "require_space",
    "save_checkpoint",
    "verify_checkpoint",
    "write_weights",
]

_TENSORS = "state.safetensors"
_STATE = "state.json"


@dataclass(frozen=True, slots=True, eq=False)
class SavedState:
    """What a checkpoint holds beside weights: optimizer steps done, tensors (on the CPU), plain values."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def checkpoint_folder(checkpoints: Path, step: int) -> Path:
    """Where the checkpoint of a step stands."""
    return checkpoints / f"step-{step:06d}"


def write_weights(policy: Policy, folder: Path) -> None:
    """What was trained, as others load it: an adapter's folder, or a whole model with its tokenizer.

    Raises:
        OSError, SafetensorError: it cannot be written.
    """
    policy.save_weights(folder)


def save_checkpoint(
    checkpoints: Path,
    step: int,
    write_weights: Callable[[Path], None],
    tensors: Mapping[str, Tensor],
    state: Mapping[str, Any],
) -> Path:
    """Write the checkpoint of `step` and return its folder.

    `write_weights` fills the folder it is given. `state` is JSON's kinds of values, and every float: finite
    ones come back the same to the last bit, infinities and not-a-number as themselves, tuples as lists. A
    checkpoint of that step that is whole and holds the same state is left as it is; another gives way in one
    step.

    Raises:
        ArtifactError: it cannot be written; all checkpoints that stand there already are as they were.
        TypeError, ValueError: a value of the state is of no such kind.
    """
    final = checkpoint_folder(checkpoints, step)
    plain = json.dumps(_encoded(state, "state"), indent=1, allow_nan=False).encode("ascii") + b"\n"
    if _holds(final, plain):
        return final
    with durable.new_folder(final, manifest={"step": step}, replace=True) as folder:
        with _as_os_error():
            write_weights(folder)
            save_file(_apart(tensors), folder / _TENSORS)
        durable.write_part(folder / _STATE, plain)
    return final


def load_state(folder: Path) -> SavedState:
    """Read what `save_checkpoint` was given. `verify_checkpoint` tells beforehand whether that is intact.

    Raises:
        ArtifactError: it is not there, or cannot be read.
    """
    manifest = durable.read_manifest(folder)
    try:
        state = json.loads((folder / _STATE).read_bytes(), object_hook=_decoded)
        return SavedState(int(manifest["step"]), load_file(folder / _TENSORS), state)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ArtifactError(
            f"the checkpoint cannot be read: {error}",
            where=str(folder),
            next="palate resume goes on from the newest checkpoint that is whole",
        ) from None


def verify_checkpoint(folder: Path) -> list[str]:
    """What is wrong with a checkpoint, one line a file; empty when it is whole. Every byte is read."""
    if not folder.is_dir():
        return ["it is not there"]
    problems = durable.verify_folder(folder)
    if problems:
        return problems
    manifest = durable.read_manifest(folder)
    problems = [f"{name}: it is missing" for name in (_TENSORS, _STATE) if name not in manifest["files"]]
    if manifest.get("step") != _step_of(folder):
        problems.append(f"it holds step {manifest.get('step')}")
    return problems


def newest_whole(
    checkpoints: Path,
    note: Callable[[str], None],
    also: Callable[[SavedState], str | None] | None = None,
) -> Path | None:
    """The newest checkpoint that is whole; each one passed over is named through `note`, and why.

    `also` may have another reason to pass over one that is whole: it returns it, or None.

    Raises:
        ArtifactError: what a killed writer left cannot be cleared away.
    """
    durable.settle(checkpoints)
    for step in reversed(_steps(checkpoints)):
        folder = checkpoint_folder(checkpoints, step)
        problems = verify_checkpoint(folder)
        if not problems and also is not None:
            reason = also(load_state(folder))
            problems = [reason] if reason is not None else []
        if not problems:
            return folder
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        note(f"{folder.name} is passed over: {problems[0]}{more}")
    return None


def prune_checkpoints(
    checkpoints: Path, keep: int, protected: Collection[int] = (), *, just_written: int | None = None
) -> None:
    """Remove all but the `keep` newest, the protected steps, and the newest that is whole.

    `just_written` is the step of a checkpoint that is known to be whole: without it every byte of the newest
    is read again to find out, which for a large model takes as long as writing it.

    Raises:
        ArtifactError: one cannot be removed.
    """
    durable.settle(checkpoints)
    steps = _steps(checkpoints)
    doomed = [step for step in steps[: max(len(steps) - keep, 0)] if step not in protected]
    if not doomed:
        return
    whole = just_written
    if whole is None:
        newest_first = reversed(steps)
        intact = (s for s in newest_first if not verify_checkpoint(checkpoint_folder(checkpoints, s)))
        whole = next(intact, None)
    for step in doomed:
        if step != whole:
            durable.remove_folder(checkpoint_folder(checkpoints, step))


def discard_newer(checkpoints: Path, step: int) -> None:
    """Remove the checkpoints after `step`, for a run that goes on from there.

    They are of a course that was passed over, and must not be taken for the course it takes now.

    Raises:
        ArtifactError: one cannot be removed.
    """
    for newer in _steps(checkpoints):
        if newer > step:
            durable.remove_folder(checkpoint_folder(checkpoints, newer))


def publish(folder: Path, target: Path) -> None:
    """Copy a checkpoint's weights, and nothing else of it, to where the run's result is looked for.

    An earlier result stands until the new one takes its place.

    Raises:
        ArtifactError: the checkpoint is damaged, or the target cannot be written.
    """
    problems = verify_checkpoint(folder)
    if problems:
        raise ArtifactError(
            "this checkpoint is damaged",
            where=str(folder),
            why="; ".join(problems[:3]),
            next="train.keep_checkpoints keeps more of them; palate resume goes on from the newest whole one",
        )
    with durable.new_folder(target, replace=True) as unseen:
        for name in durable.read_manifest(folder)["files"]:
            if name not in (_TENSORS, _STATE):
                durable.copy_part(folder / name, unseen / name)


def checkpoint_bytes(folder: Path) -> int:
    """How many bytes a checkpoint's files have."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def free_bytes(path: Path) -> int:
    """How many bytes can still be written below a path, which need not be there yet."""
    while not path.exists():
        path = path.absolute().parent
    return shutil.disk_usage(path).free


def require_space(path: Path, num_bytes: int, what: str, remedy: str) -> None:
    """Refuse to begin what the disk has no room for; `remedy` is what else than freeing space would help.

    Raises:
        ArtifactError: less than `num_bytes` is free below `path`.
    """
    free = free_bytes(path)
    if free < num_bytes:
        raise ArtifactError(
            f"{what} will not fit on this disk",
            where=str(path),
            why=f"it takes {_in_words(num_bytes)}, and {_in_words(free)} is free",
            next=f"free some space, {remedy}",
        )


def _in_words(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.2f} MB"


def _steps(checkpoints: Path) -> list[int]:
    """The steps of which a checkpoint stands there, damaged or not, ascending."""
    if not checkpoints.is_dir():
        return []
    steps = (_step_of(folder) for folder in checkpoints.iterdir())
    return sorted(step for step in steps if step is not None)


def _step_of(folder: Path) -> int | None:
    match = re.fullmatch(r"step-(\d{6,})", folder.name)
    return int(match[1]) if match else None


def _holds(folder: Path, plain: bytes) -> bool:
    """Whether this checkpoint is whole and has this state; the cheap half first."""
    try:
        if (folder / _STATE).read_bytes() != plain:
            return False
    except OSError:
        return False
    return not verify_checkpoint(folder)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, none sharing memory with another, which safetensors would refuse."""
    seen: set[int] = set()
    made = {}
    for name, tensor in tensors.items():
        there = tensor.detach().cpu().contiguous()
        place = there.untyped_storage().data_ptr()
        made[name] = there.clone() if place in seen else there
        seen.add(place)
    return made


@contextmanager
def _as_os_error() -> Iterator[None]:
    """safetensors tells what the system said in words only."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise OSError(str(error)) from None
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


_FLOAT = "$float"


def _encoded(value: Any, where: str) -> Any:
    """JSON has no word for infinity and not-a-number: `{"$float": "inf"}`."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_FLOAT: repr(float(value))}
    if isinstance(value, Mapping):
        if _FLOAT in value or not all(isinstance(key, str) for key in value):
            raise ValueError(f'{where}: keys are texts, and none is "{_FLOAT}"')
        return {key: _encoded(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(inner, f"{where}[{i}]") for i, inner in enumerate(value)]
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"{where}: {type(value).__name__} is no plain value")


def _decoded(content: dict[str, Any]) -> Any:
    return float(content[_FLOAT]) if content.keys() == {_FLOAT} else content
