"""Names of earlier versions, in overrides and in stored configs."""

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
"""Renamed keys; old names are accepted, with a notice, until version 0.3."""


def migrated(config: Mapping[str, Any]) -> dict[str, Any]:
    """A stored config with current names."""
    return {group: _group(group, value) if isinstance(value, Mapping) else value for group, value in config.items()}


def _group(group: str, node: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {KEYS.get(f"{group}.{key}", f".{key}").rpartition(".")[2]: value for key, value in node.items()}
    if "_target_" in renamed:
        renamed["_target_"] = TARGETS.get(str(renamed["_target_"]), renamed["_target_"])
    if str(renamed.get("_target_")).startswith("invlearn.data."):
        renamed.setdefault("mixing", "none")  # earlier families had no mixing
    if group == "dataset" and renamed.get("fingerprint", "auto") != "auto":
        renamed.setdefault("most_rows", None)  # earlier versions read every row
    return renamed


def renamed_overrides(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides with current names, and a line for each renamed one.

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
