"""Whether a folder is as it was."""

from __future__ import annotations

from pathlib import Path


def snapshot(folder: Path) -> dict[Path, bytes | None]:
    """All that lies below a folder, and what is in each file."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
