"""The one place where files that must last are written: each is there whole, or not at all.

What is written goes under a hidden name in the same folder, onto the disk, and is renamed in one step; then
the folder that holds the name goes onto the disk too. So a kill or a power cut at any moment leaves the old
or the new, and at worst a hidden leftover, which `settle` and the next writer of that folder remove.

A folder may carry a manifest of its files' sizes and hashes, by which damage is found later.
"""

from palate.durable.files import (
    append_line,
    ensure_folder,
    flush_file,
    refuse_closed_folder,
    write_bytes,
    write_json,
    write_text,
)
from palate.durable.folders import copy_part, new_folder, remove_folder, settle, write_part
from palate.durable.growing import new_file, scratch_file
from palate.durable.leftovers import is_leftover
from palate.durable.manifest import MANIFEST, read_manifest, verify_folder

__all__ = [
    "MANIFEST",
    "append_line",
    "copy_part",
    "ensure_folder",
    "flush_file",
    "is_leftover",
    "new_file",
    "new_folder",
    "read_manifest",
    "refuse_closed_folder",
    "remove_folder",
    "scratch_file",
    "settle",
    "verify_folder",
    "write_bytes",
    "write_json",
    "write_part",
    "write_text",
]
