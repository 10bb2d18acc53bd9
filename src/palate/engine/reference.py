"""The reference's log-probabilities: computed once per model and token sequence, and then never again.

They depend on the reference's weights, the tokens and the numerics, and on nothing else; the key is exactly
that. So a changed learning rate, seed, rank, objective or output folder recomputes nothing, a crash loses at
most the batch in flight, and runs and processes on one machine share what they have.

A reference that moves (`MovingReference`) cannot be kept so: it is computed as training goes.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from palate.engine.logps import BranchLogps, Layout, branch_logps
from palate.engine.policy import Policy
from palate.engine.tree import Branch
from palate.errors import ArtifactError
from palate.home import palate_home

__all__ = ["MovingReference", "Reference", "weights_hash"]


_TABLE = "CREATE TABLE IF NOT EXISTS logps (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
_CHECKSUM_BYTES = 4


class Reference:
    """Reference log-probabilities of one frozen model, kept on disk.

    The model is `policy` with a fresh adapter switched off; with `adapter_on`, as it stands: a model of its
    own beside the one trained, or one that training goes on from.

    num_computed and num_cached count completions asked of `fill`, for the run's summary. damage tells what
    was found damaged in what earlier runs had left, and was computed anew.
    """

    def __init__(
        self, policy: Policy, layout: Layout, home: Path | None = None, *, adapter_on: bool = False
    ) -> None:
        self.policy: Policy | None = policy
        self.layout = layout
        self.adapter_on = adapter_on
        self.device = policy.device
        self.num_computed = 0
        self.num_cached = 0
        self.damage: str | None = None
        libraries = f"{torch.__version__}|{version('transformers')}"
        numerics = f"{policy.compute_dtype}|{policy.attention}|{layout}|{policy.device.type}|{libraries}"
        if policy.quantization != "none":
            numerics += f"|{policy.quantization}"
        if adapter_on and policy.start_hash:
            numerics += f"|{policy.start_hash}"
        self.content_hash = weights_hash(policy.folder, home)
        self._prefix = hashlib.sha256(f"{self.content_hash}|{numerics}".encode()).digest()
        folder = (home or palate_home()) / "reference"
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"{self.content_hash[:32]}.sqlite"
        try:
            self._db = self._open()
        except _Malformed as error:
            self._start_over(error)

    def fill(
        self, batches: Sequence[Sequence[Branch]], on_batch: Callable[[int, int], None] | None = None
    ) -> None:
        """Make sure every branch of every batch is there. What is computed together is committed together.

        No completion may be in two batches: the second would be counted as found in the cache. Each batch is
        asked for when it is its turn, so they need not be in memory together.

        `on_batch(done, total)` is called after each batch. Must run before the first optimizer step where the
        reference is the policy as it starts, and not one with its adapter switched off.
        """
        try:
            self._fill(batches, on_batch)
        except _Malformed as error:
            self._db.close()
            self._start_over(error)
            self.num_computed = self.num_cached = 0
            self._fill(batches, on_batch)

    def _fill(self, batches: Sequence[Sequence[Branch]], on_batch: Callable[[int, int], None] | None) -> None:
        policy = self.policy
        if policy is None:
            raise ValueError("the reference's model has been let go of: fill it before")
        for number, batch in enumerate(batches):
            distinct = {self._key(branch): branch for branch in batch}
            missing = {key: branch for key, branch in distinct.items() if not self._has(key, branch)}
            if missing:
                with policy.evaluating() if self.adapter_on else policy.as_reference():
                    logps = branch_logps(policy, list(missing.values()), self.layout)
                values = (part.float().cpu().numpy() for part in logps.per_branch())
                self._put(dict(zip(missing, values, strict=True)))
            self.num_computed += len(missing)
            self.num_cached += len(distinct) - len(missing)
            if on_batch is not None:
                on_batch(number + 1, len(batches))

    def logps(self, branches: Sequence[Branch]) -> BranchLogps:
        """Their log-probabilities, from what `fill` left.

        Raises:
            ArtifactError: a branch is not there, or what is there has the wrong length.
        """
        parts = [self._get(branch) for branch in branches]
        device = self.device
        return BranchLogps(
            per_token_logps_S=torch.from_numpy(np.concatenate(parts)).to(device),
            num_scored_B=torch.tensor([len(part) for part in parts], device=device),
            num_computed=0,
            num_represented=sum(len(branch) for branch in branches),
        )

    def release_model(self) -> None:
        """Let go of the model: all that is needed of it is on disk."""
        self.policy = None

    def after_step(self, step: int) -> None:
        """A frozen reference does not move."""

    def tensors(self) -> dict[str, Tensor]:
        """Nothing a checkpoint would have to hold."""
        return {}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Nothing to take up."""

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _key(self, branch: Branch) -> bytes:
        return hashlib.sha256(self._prefix + branch.key).digest()

    def _has(self, key: bytes, branch: Branch) -> bool:
        row = self._row(key)
        if row is None:
            return False
        if _checked(row, branch) is None:
            self.damage = "values that did not match their checksums"
            return False
        return True

    def _row(self, key: bytes) -> bytes | None:
        try:
            row = self._db.execute("SELECT value FROM logps WHERE key = ?", (key,)).fetchone()
        except sqlite3.DatabaseError as error:
            raise self._failed(error) from None
        return None if row is None else row[0]

    def _start_over(self, error: ArtifactError) -> None:
        """It is only a cache: what is damaged goes aside, and is computed anew."""
        self.damage = error.why
        for end in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._file.with_name(self._file.name + end).replace(f"{self._file}{end}.damaged")
        self._db = self._open()

    def _failed(self, error: sqlite3.DatabaseError) -> ArtifactError:
        # The plain class is what sqlite raises for what is no database, or no longer a whole one; a full
        # disk, a lock or a missing right are kinds of their own.
        kind = _Malformed if type(error) is sqlite3.DatabaseError else ArtifactError
        return self._damaged(str(error), kind)

    def _damaged(self, why: str, kind: type[ArtifactError] = ArtifactError) -> ArtifactError:
        return kind(
            "the reference cache is damaged or cannot be used",
            where=str(self._file),
            why=why,
            next="make room there, or delete that file: it is computed anew. PALATE_HOME puts it elsewhere",
        )

    def _get(self, branch: Branch) -> np.ndarray:
        row = self._row(self._key(branch))
        if row is None:
            raise ArtifactError(
                "a reference log-probability is missing",
                where=str(self._file),
                next="resume the run: what is missing is computed",
            )
        values = _checked(row, branch)
        if values is None:
            raise self._damaged("a value does not match its checksum")
        return values

    def _put(self, values: dict[bytes, np.ndarray]) -> None:
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO logps (key, value) VALUES (?, ?)",
                [(key, _with_checksum(value)) for key, value in values.items()],
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            # IMMEDIATE takes the write lock at once: a deferred one fails under several writers.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.DatabaseError as error:  # a full disk, a damaged page
            raise self._failed(error) from None

    def _open(self) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(self._file, timeout=60, isolation_level=None)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(_TABLE)
        except sqlite3.DatabaseError as error:
            raise self._failed(error) from None
        return db


class _Malformed(ArtifactError):
    """The file is not, or no longer, a database."""


class MovingReference:
    """A reference that follows the policy: TR-DPO (Gorbatovski et al. 2024, arXiv:2404.09656).

    Every `sync_every` optimizer steps its weights become  mixup * policy + (1 - mixup) * reference
    (equations 5 and 6: a mixup of 1 is the paper's hard update). It holds one more copy of what is trained,
    which for an adapter is little; the frozen base is shared.
    """

    num_computed = 0
    num_cached = 0

    def __init__(self, policy: Policy, layout: Layout, *, sync_every: int, mixup: float) -> None:
        self.policy = policy
        self.layout = layout
        self.sync_every = sync_every
        self.mixup = mixup
        self._weights = [weight.detach().clone() for weight in policy.trainable_parameters()]

    def logps(self, branches: Sequence[Branch]) -> BranchLogps:
        """Their log-probabilities under the reference as it stands. Before the policy's own forward pass, or
        autograd would find the weights changed."""
        parameters = self._policy_weights()
        with self.policy.evaluating():
            kept = [parameter.detach().clone() for parameter in parameters]
            torch._foreach_copy_(parameters, self._weights)
            try:
                return branch_logps(self.policy, branches, self.layout)
            finally:
                torch._foreach_copy_(parameters, kept)

    def after_step(self, step: int) -> None:
        """Move, where it is time to; `step` counts optimizer steps from 1."""
        if step % self.sync_every == 0:
            with torch.no_grad():
                torch._foreach_lerp_(self._weights, self._policy_weights(), self.mixup)

    def _policy_weights(self) -> list[Tensor]:
        return list(self.policy.trainable_parameters())

    def tensors(self) -> dict[str, Tensor]:
        """Its weights, by the order of the policy's trainable parameters."""
        return {str(i): weight for i, weight in enumerate(self._weights)}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `tensors` gave."""
        for i, weight in enumerate(self._weights):
            weight.copy_(tensors[str(i)])

    def close(self) -> None:
        """Nothing is open."""


def _checked(row: bytes, branch: Branch) -> np.ndarray | None:
    """The branch's values; None where they are not what was written."""
    data = row[:-_CHECKSUM_BYTES]
    if len(data) != 4 * branch.num_scored:
        return None
    values = np.frombuffer(data, np.float32).copy()
    return values if row == _with_checksum(values) else None


def _with_checksum(values: np.ndarray) -> bytes:
    """A flipped bit would be a wrong reference, trained against without a sign."""
    data = values.tobytes()
    return data + zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "little")


def weights_hash(folder: Path, home: Path | None = None) -> str:
    """sha256 over a model folder's weights and config.

    Hashing tens of gigabytes takes minutes, so a file's hash is remembered under its path, size, inode and
    time of change.
    """
    memory_file = (home or palate_home()) / "weights.json"
    memory: dict[str, str] = {}
    with suppress(OSError, ValueError, TypeError):  # only a memory: without it the hash is taken again
        memory = dict(json.loads(memory_file.read_text()))
    total = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors"), folder / "config.json"]):
        stat = file.stat()
        label = f"{file.resolve()}|{stat.st_size}|{stat.st_ino}|{stat.st_mtime_ns}"
        if label not in memory:
            with file.open("rb") as stream:
                memory[label] = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{file.name}:{memory[label]}\n".encode())
    memory_file.parent.mkdir(parents=True, exist_ok=True)
    temporary = memory_file.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(memory, indent=0))
    temporary.replace(memory_file)
    return total.hexdigest()
