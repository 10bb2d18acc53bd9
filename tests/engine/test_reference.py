from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_folder import save_tiny
from tiny_models import tiny_branches

from palate.engine import Branch, Policy, Reference, branch_logps, load_policy
from palate.engine import reference as reference_module
from palate.engine.reference import weights_hash
from palate.errors import ArtifactError
from palate.recipe import LoraOptions, ModelOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("base"))


def policy_of(folder: Path, **options: Any) -> Policy:
    options = {"adapter": LoraOptions(rank=2), "device": "cpu"} | options
    return load_policy(ModelOptions(base=str(folder), **options))


@pytest.fixture
def policy(folder: Path) -> Policy:
    return policy_of(folder)


def batches() -> list[list[Branch]]:
    return [tiny_branches("pairs", seed) for seed in range(4)]


def counts(reference: Reference) -> tuple[int, int]:
    return reference.num_computed, reference.num_cached


def test_what_was_computed_once_is_never_computed_again(policy: Policy, folder: Path) -> None:
    first = Reference(policy, "tree")
    first.fill(batches())
    assert counts(first) == (8, 0)
    expected = first.logps(batches()[2])
    first.close()
    # Another seed, rank and learning rate; the weights, tokens and numerics are the same.
    other = load_policy(ModelOptions(base=str(folder), adapter=LoraOptions(rank=8)), seed=5)
    second = Reference(other, "tree")
    second.fill(batches())
    assert counts(second) == (0, 8)
    assert torch.equal(second.logps(batches()[2]).per_token_logps_S, expected.per_token_logps_S)


def test_it_gives_what_the_base_gives_to_the_last_bit(policy: Policy) -> None:
    reference = Reference(policy, "tree")
    reference.fill(batches())
    with policy.as_reference():
        expected = branch_logps(policy, batches()[1])
    kept = reference.logps(batches()[1])
    assert torch.equal(kept.per_token_logps_S, expected.per_token_logps_S)
    assert torch.equal(kept.num_scored_B, expected.num_scored_B)
    assert (kept.num_computed, kept.num_represented) == (0, expected.num_represented)


def test_the_adapter_has_no_part_in_it(policy: Policy) -> None:
    from tiny_models import awaken_adapter

    awaken_adapter(policy.model)
    reference = Reference(policy, "tree")
    reference.fill(batches()[:1])
    ours = branch_logps(policy, batches()[0]).per_token_logps_S
    assert (reference.logps(batches()[0]).per_token_logps_S - ours).abs().max() > 0.1
    assert policy.model.training


def test_completions_are_counted_once_however_often_they_come(policy: Policy) -> None:
    reference = Reference(policy, "tree")
    group = tiny_branches("group")  # twenty branches, five completions
    done: list[tuple[int, int]] = []
    reference.fill([group, tiny_branches("pairs")], on_batch=lambda *at: done.append(at))
    assert counts(reference) == (7, 0)
    assert done == [(1, 2), (2, 2)]
    reference.fill([group[:1] * 3])
    assert counts(reference) == (7, 1)
    assert reference.logps(group).num_scored_B.tolist() == [branch.num_scored for branch in group]


def test_the_key_is_weights_tokens_and_numerics(policy: Policy, folder: Path, tmp_path: Path) -> None:
    Reference(policy, "tree").fill(batches())
    different = {
        "layout": (policy, "padded"),
        "attention": (policy_of(folder, attention="eager"), "tree"),
        "dtype": (policy_of(folder, dtype="bfloat16"), "tree"),
        "weights": (policy_of(save_tiny(tmp_path / "other", "qwen3")), "tree"),
    }
    for what, (other, layout) in different.items():
        reference = Reference(other, layout)  # type: ignore[arg-type]
        reference.fill(batches())
        assert counts(reference) == (8, 0), what


def test_the_same_tokens_scored_elsewhere_are_another_completion(policy: Policy) -> None:
    branch = tiny_branches("single")[0]
    fewer = branch.scored.copy()
    fewer[-3:] = False
    reference = Reference(policy, "tree")
    reference.fill([[branch]])
    reference.fill([[Branch(branch.token_ids, fewer)]])
    assert counts(reference) == (2, 0)


def test_asking_for_what_was_never_filled_is_an_error(policy: Policy) -> None:
    reference = Reference(policy, "tree")
    with pytest.raises(ArtifactError, match="missing"):
        reference.logps(batches()[0])


def _fill_and_die(folder: Path) -> None:
    torch.set_num_threads(1)
    compute, calls = reference_module.branch_logps, []

    def dying(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return compute(*args)

    reference_module.branch_logps = dying
    Reference(policy_of(folder), "tree").fill(batches())


def test_a_killed_run_loses_at_most_the_batch_in_flight(policy: Policy, folder: Path) -> None:
    worker = multiprocessing.get_context("fork").Process(target=_fill_and_die, args=(folder,))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    reference = Reference(policy, "tree")
    reference.fill(batches())
    assert counts(reference) == (4, 4), "two batches of two were done, the third was in flight"


def _fill(folder: Path, order: Sequence[int], results: Any) -> None:
    torch.set_num_threads(1)
    try:
        reference = Reference(policy_of(folder), "tree")
        all_batches = [[branch] for seed in range(12) for branch in tiny_branches("pairs", seed)]
        reference.fill([all_batches[i] for i in order])
        results.put(counts(reference))
    except BaseException as error:
        results.put(repr(error))


def test_runs_fill_one_cache_at_once(folder: Path) -> None:
    """Three processes start together on an empty folder; none fails, and every completion is there."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    orders = [list(range(24)), list(reversed(range(24))), list(range(24))]
    workers = [context.Process(target=_fill, args=(folder, order, results)) for order in orders]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    assert all(isinstance(one, tuple) and sum(one) == 24 for one in found), found
    reference = Reference(policy_of(folder), "tree")
    reference.fill([[branch] for seed in range(12) for branch in tiny_branches("pairs", seed)])
    assert counts(reference) == (0, 24)


def cache_file(reference: Reference) -> Path:
    (file,) = (Path(os.environ["PALATE_HOME"]) / "reference").glob("*.sqlite")
    assert file == reference._file
    return file


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be read as one" * 20, b"SQLite"]
)
def test_a_file_that_is_no_database_goes_aside(policy: Policy, content: bytes) -> None:
    reference = Reference(policy, "tree")
    reference.close()
    cache_file(reference).write_bytes(content)
    for suffix in ("-wal", "-shm"):
        Path(f"{cache_file(reference)}{suffix}").unlink(missing_ok=True)
    again = Reference(policy, "tree")
    again.fill(batches())
    assert again.damage and again.num_computed > 0
    assert cache_file(reference).with_name(cache_file(reference).name + ".damaged").read_bytes() == content


def test_a_cache_that_cannot_be_opened_is_named(policy: Policy) -> None:
    reference = Reference(policy, "tree")
    reference.close()
    file = cache_file(reference)
    file.unlink()
    file.mkdir()
    with pytest.raises(ArtifactError) as caught:
        Reference(policy, "tree")
    assert str(file) in str(caught.value)
    assert "delete that file" in caught.value.next


def test_pages_overwritten_in_the_middle_are_computed_anew(policy: Policy) -> None:
    every = [tiny_branches("pairs", seed) for seed in range(30)]
    reference = Reference(policy, "tree")
    reference.fill(every)
    expected = [reference.logps(batch).per_token_logps_S for batch in every]
    reference.close()
    file = cache_file(reference)
    data = bytearray(file.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    file.write_bytes(data)
    again = Reference(policy, "tree")
    again.fill(every)
    assert again.damage and again.num_computed == reference.num_computed
    assert file.with_name(file.name + ".damaged").is_file(), "and what it was stays"
    for batch, logps in zip(every, expected, strict=True):
        assert torch.equal(again.logps(batch).per_token_logps_S, logps)


def test_a_flipped_bit_is_found(policy: Policy) -> None:
    """The database itself would not notice: it keeps no checksums."""
    reference = Reference(policy, "tree")
    reference.fill(batches())
    with sqlite3.connect(cache_file(reference)) as db:
        key, value = db.execute("SELECT key, value FROM logps LIMIT 1").fetchone()
        db.execute("UPDATE logps SET value = ? WHERE key = ?", (bytes([value[0] ^ 1, *value[1:]]), key))
    with pytest.raises(ArtifactError, match="damaged") as caught:
        for batch in batches():
            reference.logps(batch)
    assert "checksum" in caught.value.why
    again = Reference(policy, "tree")
    again.fill(batches())
    assert again.num_computed == 1 and again.damage is not None, "the one value is computed anew"
    assert Reference(policy, "tree").damage is None


def test_the_hash_is_of_weights_and_config(folder: Path, tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    assert weights_hash(base) == weights_hash(folder), "the same content in another folder"
    (base / "README.md").write_text("about this model")
    assert weights_hash(base) == weights_hash(folder), "no part of what is computed"
    config = base / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'))
    assert weights_hash(base) != weights_hash(folder)


def test_changed_weights_of_the_same_size_are_noticed(tmp_path: Path) -> None:
    """The remembered hash of a file is not used once the file was written again."""
    base = save_tiny(tmp_path / "base")
    before = weights_hash(base)
    weights = base / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    time.sleep(0.02)
    weights.write_bytes(data)
    assert weights_hash(base) != before


def test_a_hash_is_remembered_and_its_memory_may_be_lost(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    first = weights_hash(folder, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read the weights again"))
        assert weights_hash(folder, tmp_path) == first
    for rubbish in ("", "[1, 2]", "{"):
        (tmp_path / "weights.json").write_text(rubbish)
        assert weights_hash(folder, tmp_path) == first
    assert not list(tmp_path.glob("*.tmp"))
