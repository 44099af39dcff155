"""The reference of commands and config keys, generated from the parsers, the YAML files and the constructors.

A page holds a mark, such as ``<!-- generated: commands -->``, which the build replaces by Markdown.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invlearn.cli import COMMANDS, main
from invlearn.config import GROUPS, Settings
from invlearn.config.build import hints_of, in_words, locate
from invlearn.config.documented import keys_of, options_of, remark_of
from invlearn.config.folder import conf_dir

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["commands", "config_keys"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Fill the marks as pages are read."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def commands() -> str:
    """What ``--help`` says of each command."""
    return "\n".join(f"## invlearn {name}\n\n{_fenced(_help(name), 'text')}" for name in COMMANDS)


def config_keys() -> str:
    """Every group, option and key: its default, what it may be, and its comment."""
    conf = conf_dir()
    parts = ["## Every run\n", _table(conf / "train.yaml", hints_of(Settings))]
    for group in GROUPS:
        parts.append(f"## {group}\n")
        for file in _files(conf / group):
            parts += [f"### {group}={file.stem}\n", _remark(file), _table(file, _hints(group, file))]
    parts.append("## hydra/launcher\n")
    for file in _files(conf / "hydra" / "launcher"):
        parts += [f"### hydra/launcher={file.stem}\n", _remark(file), _table(file, {})]
    for group in ("preset", "grid"):
        parts.append(f"## {group}\n")
        for file in _files(conf / group):
            parts += [f"### {group}={file.stem}\n", _yaml(file)]
    parts += ["## What auto becomes\n", _yaml(conf / "auto.yaml")]
    return "\n".join(parts)


MARKS = {"<!-- generated: commands -->": commands, "<!-- generated: config keys -->": config_keys}


def _fill(_: Sphinx, __: str, source: list[str]) -> None:
    for mark, generate in MARKS.items():
        if mark in source[0]:
            source[0] = source[0].replace(mark, generate())


def _help(command: str) -> str:
    shown = io.StringIO()
    with redirect_stdout(shown), suppress(SystemExit):
        main([command, "--help"])
    # The help of ``train`` goes on with all keys, which have a page of their own.
    return shown.getvalue().partition("\n\nkeys, with their defaults:")[0]


def _files(group: Path) -> Iterator[Path]:
    return (group / f"{option}.yaml" for option in options_of(group))


def _hints(group: str, file: Path) -> dict[str, Any]:
    """The types of the constructor that a file names."""
    target = re.search(r"^_target_: (\S+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    return hints_of(locate(group, target[1])) if target else {}


def _remark(file: Path) -> str:
    """The first comment of a file: its command, and what it says of it."""
    lines = remark_of(file)
    command = [line for line in lines if line.startswith("invlearn ")]
    said = " ".join(line for line in lines if line not in command)
    return "\n".join([*(_fenced(line, "text") for line in command), _escaped(said), ""])


def _table(file: Path, hints: Mapping[str, Any]) -> str:
    """A row for each key of a file."""
    rows = []
    for name, default, comment in keys_of(file):
        takes = re.sub(r" \(of digits.*?\)", "", in_words(hints[name])) if name in hints else ""
        rows.append(f"| `{name}` | `{default}` | {_escaped(takes)} | {_escaped(comment)} |")
    if not rows:
        return ""
    return "\n".join(["| key | default | takes | meaning |", "|---|---|---|---|", *rows, ""])


def _yaml(file: Path) -> str:
    return _fenced(file.read_text(encoding="utf-8").strip(), "yaml")


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def _escaped(text: str) -> str:
    """Text whose signs mean nothing to Markdown, but for those of code."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(
        piece.replace("|", r"\|") if piece.startswith("`") else re.sub(r"([\\*_<>\[\]|$])", r"\\\1", piece)
        for piece in pieces
    )
