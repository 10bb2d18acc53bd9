"""Material for pairs, from prompts or documents: candidates, triples, strong against weak.

Nothing here imports torch until the local model is asked: that is `palate.generate.local`.
"""

from palate.generate.asking import Generator
from palate.generate.candidates import Candidate, Candidates, generate_candidates
from palate.generate.contrast import Contrast, generate_contrast
from palate.generate.triple_filters import TripleFilters
from palate.generate.triples import Triples, generate_triples

__all__ = [
    "Candidate",
    "Candidates",
    "Contrast",
    "Generator",
    "TripleFilters",
    "Triples",
    "generate_candidates",
    "generate_contrast",
    "generate_triples",
]
