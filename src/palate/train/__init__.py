"""Training: from pairs to an aligned model, in a run folder that tells the whole story."""

from palate.train.examples import Example, ExampleSet, encode_pairs
from palate.train.run_folder import RunFolder
from palate.train.session import train

__all__ = ["Example", "ExampleSet", "RunFolder", "encode_pairs", "train"]
