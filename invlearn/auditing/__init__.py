"""Audits: what any encoder ignores, what it is blind to, and whether its codes are complete."""

from invlearn.auditing.api import audit
from invlearn.auditing.audit import KINDS, Audit

__all__ = ["KINDS", "Audit", "audit"]
