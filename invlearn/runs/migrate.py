"""Configs of earlier versions, in the names of today."""

from __future__ import annotations

from typing import Any

__all__ = ["migrated"]

TARGETS = {
    "invlearn.tables.EntityFile": "invlearn.files.EntityFile",
    "invlearn.tables.PairFile": "invlearn.files.PairFile",
}
"""Classes that have moved."""


def migrated(config: dict[str, Any]) -> dict[str, Any]:
    """A stored config with what has been renamed since it was written."""
    return {key: _migrated_group(value) if isinstance(value, dict) else value for key, value in config.items()}


def _migrated_group(node: dict[str, Any]) -> dict[str, Any]:
    target = node.get("_target_")
    return {**node, "_target_": TARGETS[target]} if target in TARGETS else node
