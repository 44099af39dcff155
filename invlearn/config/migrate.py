"""Names of earlier versions: keys that were typed, and configs that were stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["KEYS", "migrated", "renamed_overrides"]

TARGETS = {
    "invlearn.tables.EntityFile": "invlearn.files.EntityFile",
    "invlearn.tables.PairFile": "invlearn.files.PairFile",
}
"""Classes that have moved."""

KEYS = {"model.smoothing": "model.eps", "dataset.copies": "dataset.samples_per_entity"}
"""Keys that have another name; the old one is accepted, with a notice, until version 0.3."""


def migrated(config: Mapping[str, Any]) -> dict[str, Any]:
    """A stored config in the names of today."""
    return {group: _group(group, value) if isinstance(value, Mapping) else value for group, value in config.items()}


def _group(group: str, node: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {KEYS.get(f"{group}.{key}", f".{key}").rpartition(".")[2]: value for key, value in node.items()}
    if "_target_" in renamed:
        renamed["_target_"] = TARGETS.get(str(renamed["_target_"]), renamed["_target_"])
    if str(renamed.get("_target_")).startswith("invlearn.data."):
        renamed.setdefault("mixing", "none")  # of families, which knew none
    if group == "dataset" and renamed.get("fingerprint", "auto") != "auto":
        renamed.setdefault("most_rows", None)  # of runs that were started when every row was read
    return renamed


def renamed_overrides(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides in the names of today, and a line for each that was renamed.

    Example:
        >>> renamed_overrides(["+model.smoothing=1", "seed=2"])
        (['+model.eps=1', 'seed=2'], ['model.smoothing is now called model.eps'])
    """
    found, notices = [], []
    for override in overrides:
        key, equals, value = override.partition("=")
        signs = key[: len(key) - len(key.lstrip("+~"))]
        new = KEYS.get(key[len(signs) :])
        if new:
            notices.append(f"{key[len(signs) :]} is now called {new}")
        found.append(f"{signs}{new}{equals}{value}" if new else override)
    return found, notices
