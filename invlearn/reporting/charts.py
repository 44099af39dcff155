"""Matplotlib's figures as SVG for a page: colours follow the page, and text stays text."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invlearn.display.plots import style
from invlearn.system.output import printable

__all__ = ["BASELINE", "DIFFERENT", "LIMIT", "MOVING", "SAME", "SERIES", "chart", "drawing", "in_svg", "label_of"]

SAME, DIFFERENT, LIMIT, BASELINE = "#1f5fbf", "#e69f00", "#d62728", "#777777"
"""Colours with the same meaning in all charts."""

MOVING = "threshold"
"""Name of the part of a figure that the script moves."""

SERIES = ("#1f5fbf", "#e69f00", "#009e73", "#cc79a7", "#d62728", "#56b4e9", "#b8860b", "#8a63d2")
"""Colour-blind-safe colours, in the order of use."""

_VARIABLES = {
    "#000000": "currentColor",
    "#1f5fbf": "var(--blue)",
    "#e69f00": "var(--orange)",
    "#009e73": "var(--green)",
    "#cc79a7": "var(--pink)",
    "#d62728": "var(--red)",
    "#56b4e9": "var(--sky)",
    "#b8860b": "var(--gold)",
    "#8a63d2": "var(--violet)",
    "#777777": "var(--grey)",
    "#b0b0b0": "var(--grey)",
}
"""The page's names for the colours of figures; each is lighter on a dark page."""

_SETTINGS = {
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "invlearn",  # figures with the same marker name share its definition
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.framealpha": 0,
}


def chart(draw: Callable[[Axes], object], *, width: float = 4.4, height: float = 3.0) -> Markup:
    """A figure with one pair of axes.

    Args:
        draw: Draws on them.
        width: Width in inches of 72 units; the default fits on a phone.
        height: Height, likewise.
    """
    with drawing():
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots())
        return in_svg(figure)


@contextmanager
def drawing() -> Iterator[None]:
    """Settings for drawing figures."""
    settings: dict[Any, Any] = {**style(), **_SETTINGS}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's browser may have other fonts
        yield


def label_of(name: str, most: int = 24) -> str:
    """A user's name, safe for matplotlib: without formulas and control characters, and shortened."""
    shown = printable(name)
    shown = shown if len(shown) <= most else f"{shown[: most // 3]}…{shown[most // 3 + 1 - most :]}"
    # A legend leaves out names that begin with _, so a space without width comes first.
    return re.sub("^_", "\u200b_", shown).replace("$", r"\$")


def in_svg(figure: Figure) -> Markup:
    """A figure as an SVG element without inline styles, which the page's security policy refuses."""
    buffer = io.StringIO()
    with drawing():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _tidy(root)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("fill", "currentColor")
    root.set("aria-hidden", "true")  # the surrounding element has a label
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _tidy(element: ElementTree.Element) -> None:
    """Plain attributes in place of namespaces, styles and the names of groups."""
    element.tag = element.tag.rpartition("}")[2]
    attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    for declaration in attributes.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name in ("font", "font-size") and (size := re.search(r"([\d.]+)px", value)):
            attributes["font-size"] = size[1]
        elif name and not name.startswith("font"):
            attributes[name] = _VARIABLES.get(value, value)
    if element.tag == "g" and attributes.pop("id", None) == MOVING:
        attributes["class"] = MOVING
    element.attrib.clear()
    element.attrib.update(attributes)
    for child in list(element):
        if child.tag.rpartition("}")[2] in ("metadata", "style"):
            element.remove(child)
        else:
            _tidy(child)
    if element.tag == "defs" and not len(element):
        element.text = None
