"""What stays, and what is split, in files: whole or not there."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from palate.data.converting import refuse_to_overwrite, set_aside_line, set_aside_path
from palate.data.curation.curate import Curation
from palate.data.curation.splitting import Split, SplitName
from palate.data.writing import Written, refuse_unwritable, write_records
from palate.durable import new_file
from palate.errors import DataError

__all__ = ["write_curation", "write_split"]

_ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")


def write_curation(curation: Curation, out: Path, *, overwrite: bool = False) -> Written | None:
    """Write what stays into `out` and what went into `OUT.set_aside.jsonl`, a line with its reason each.

    None where nothing stays: then `out` is not written. Where nothing went, nothing lists it.

    Raises:
        DataError: `out` is there already, is the source or a test set, or has an ending that is not written.
            ArtifactError: a file cannot be written.
    """
    refuse_unwritable(out)
    rest, account = set_aside_path(out), curation.account
    refuse_to_overwrite(account.source, (out, rest), allowed=overwrite)
    for test_set in curation.test_sets:
        refuse_to_overwrite(test_set, (out, rest), allowed=overwrite, called="test set")
    written = None
    kept = curation.kept()
    if (first := next(kept, None)) is not None:
        written = write_records(chain([first], kept), out)
    if account.num_set_aside:
        with new_file(rest) as file:
            file.writelines(map(set_aside_line, curation.set_aside()))
    else:
        rest.unlink(missing_ok=True)
    return written


def write_split(
    split: Split, folder: Path, *, ending: str = ".jsonl", overwrite: bool = False
) -> dict[SplitName, Written]:
    """Write each side into a file of its name in the folder, `train.jsonl` and so on.

    Raises:
        DataError: a file is there already, or the ending is none that is written. ArtifactError: a file
            cannot be written.
    """
    paths = {side: folder / f"{side}{ending}" for side in split.names}
    stale = [
        path
        for side in ("train", "eval", "test")
        for name in (f"{side}{ending}" for ending in _ENDINGS)
        if side not in paths and (path := folder / name).exists()
    ]
    for path in paths.values():
        refuse_unwritable(path)
    refuse_to_overwrite(split.stream.source, tuple(paths.values()), allowed=overwrite)
    if stale:
        raise DataError(
            "an earlier split left this file, which would share rows with the new one",
            where=str(stale[0]),
            next="remove it, or name another folder",
        )
    return {side: write_records(split.records(side), path) for side, path in paths.items()}
