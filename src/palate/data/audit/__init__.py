"""What is wrong with preference data, before a model learns it."""

from palate.data.audit.check import AuditedRecord, Check, Side
from palate.data.audit.finding import (
    CHECKS,
    MAX_EXAMPLES,
    Audit,
    CheckName,
    Finding,
    Severity,
    SourceAccount,
)
from palate.data.audit.run import audit_source, build_checks

__all__ = [
    "CHECKS",
    "MAX_EXAMPLES",
    "Audit",
    "AuditedRecord",
    "Check",
    "CheckName",
    "Finding",
    "Severity",
    "Side",
    "SourceAccount",
    "audit_source",
    "build_checks",
]
