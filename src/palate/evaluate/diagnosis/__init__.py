"""A run that explains itself: rules over its curves, each with evidence, meaning and a remedy."""

from palate.evaluate.diagnosis.diagnose import Diagnosis, diagnose, diagnose_run, write_diagnosis
from palate.evaluate.diagnosis.finding import Finding, Rule
from palate.evaluate.diagnosis.live import LiveDiagnosis
from palate.evaluate.diagnosis.rules import RULES

__all__ = [
    "RULES",
    "Diagnosis",
    "Finding",
    "LiveDiagnosis",
    "Rule",
    "diagnose",
    "diagnose_run",
    "write_diagnosis",
]
