"""The documentation in the YAML files of ``conf/``: their first comment, and their keys. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Key", "keys_of", "options_of", "remark_of"]


class Key(NamedTuple):
    """A ``name: default  # comment`` line."""

    name: str
    default: str
    comment: str


def options_of(group: Path) -> list[str]:
    """The options of a config group, which is a folder."""
    return sorted(file.stem for file in group.glob("*.yaml"))


def keys_of(file: Path) -> Iterator[Key]:
    """The keys of a file that have a comment; not those below other keys."""
    for line in file.read_text(encoding="utf-8").splitlines():
        setting, comment_mark, comment = line.partition("  # ")
        name, colon, default = f"{setting} ".partition(": ")
        if comment_mark and colon and not line.startswith((" ", "#")):
            yield Key(name, default.strip(), comment)


def remark_of(file: Path) -> list[str]:
    """The lines of a file's first comment, which often starts with a command."""
    lines = file.read_text(encoding="utf-8").removeprefix("# @package _global_\n").splitlines()
    first_other = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line.removeprefix("#").strip() for line in lines[:first_other]]
