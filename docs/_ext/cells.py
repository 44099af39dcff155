"""Cells of tutorials as their readers would type them, and what they print in one piece.

Commands lose the ``%%bash`` above them, files say their names in a comment, and outputs lose the folder that a build
happens to run in.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx

FOLDER = re.compile(re.escape(tempfile.gettempdir()) + r"/tmp\w{8}/")
LANGUAGES = {"py": "python", "yaml": "yaml"}


def setup(app: Sphinx) -> dict[str, bool]:
    """Change pages once they are read and their cells have run."""
    app.connect("doctree-read", _change)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _change(_: Sphinx, doctree: nodes.document) -> None:
    for block in _blocks(doctree, "cell_input"):
        magic, _, rest = block.astext().partition("\n")
        if magic == "%%bash":
            _write(block, rest, "bash")
        elif magic.startswith("%%writefile "):
            name = magic.removeprefix("%%writefile ")
            _write(block, f"# {name}\n{rest}", LANGUAGES[name.rpartition(".")[2]])
    for block in reversed(list(_blocks(doctree, "cell_output"))):
        before = block.previous_sibling()
        if {"stream", "stderr"} & {*block["classes"]} and before is not None and before["classes"] == block["classes"]:
            # A kernel sends what a command prints in chunks, which end anywhere.
            _write(before, before.astext() + block.astext())
            block.parent.remove(block)
        else:
            _write(block, block.astext())


def _blocks(doctree: nodes.document, part: str) -> Iterator[nodes.literal_block]:
    for cell in doctree.findall(lambda node: isinstance(node, nodes.container) and part in node["classes"]):
        yield from cell.findall(nodes.literal_block)


def _write(block: nodes.literal_block, text: str, language: str | None = None) -> None:
    block.rawsource = FOLDER.sub("", text)
    block.children = [nodes.Text(block.rawsource)]
    block["language"] = language or block["language"]
