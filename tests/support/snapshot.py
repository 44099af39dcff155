"""Detect changes of a folder."""

from __future__ import annotations

from pathlib import Path


def snapshot(folder: Path) -> dict[Path, bytes | None]:
    """All paths below a folder, with the content of each file."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
