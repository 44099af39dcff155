"""Outputs of tutorials without the folder that a build happens to run them in."""

from __future__ import annotations

import re
import tempfile

from docutils import nodes
from sphinx.application import Sphinx

FOLDER = re.compile(re.escape(tempfile.gettempdir()) + r"/tmp\w{8}/")


def setup(app: Sphinx) -> dict[str, bool]:
    """Shorten paths once a page has been read and its cells have run."""
    app.connect("doctree-read", _shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _shorten(_: Sphinx, doctree: nodes.document) -> None:
    for text in list(doctree.findall(nodes.Text)):
        if FOLDER.search(text):
            text.parent.replace(text, nodes.Text(FOLDER.sub("", text)))
