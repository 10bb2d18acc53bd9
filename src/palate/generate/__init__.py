"""Material for pairs: candidate answers from models."""

from palate.generate.candidates import sample_candidates

__all__ = ["sample_candidates"]
