"""Configuration: its schema, composing it with Hydra, and what it means. Importing it loads no torch."""

from invlearn.config.candidates import Candidates
from invlearn.config.settings import (
    GROUPS,
    NOT_COMPARED,
    SCALE,
    TRAINED_BY,
    Settings,
    Trainer,
    as_plain,
    config_hash,
    differences,
    flatten,
    listed,
)

__all__ = [
    "GROUPS",
    "NOT_COMPARED",
    "SCALE",
    "TRAINED_BY",
    "Candidates",
    "Settings",
    "Trainer",
    "as_plain",
    "config_hash",
    "differences",
    "flatten",
    "listed",
]
