"""Training: from pairs to an aligned model, in a run folder that tells the whole story."""

from palate.train.environment import file_hash
from palate.train.example import Example
from palate.train.example_set import ExampleSet, encode_records
from palate.train.interrupts import Interrupted
from palate.train.processes import Processes, join_processes
from palate.train.run_folder import RunFolder
from palate.train.session import train

__all__ = [
    "Example",
    "ExampleSet",
    "Interrupted",
    "Processes",
    "RunFolder",
    "encode_records",
    "file_hash",
    "join_processes",
    "train",
]
