"""The folder of the YAML files."""

from __future__ import annotations

from pathlib import Path

__all__ = ["conf_dir"]


def conf_dir() -> Path:
    """Folder of the YAML files: the one packed into a wheel if there is one, else the repository's."""
    package = Path(__file__).parents[1]
    packed = package / "conf"
    return packed if packed.is_dir() else package.parent / "conf"
