"""The parts of a section. Sections hold texts and numbers; the templates turn them into HTML, and escape them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from markupsafe import Markup

__all__ = ["Block", "Chart", "Code", "Gallery", "Items", "Picture", "Row", "Section", "Slider", "Table", "Text"]


@dataclass(frozen=True)
class Block:
    """A part of a section; ``templates/blocks/<template>.html`` draws it."""

    template: ClassVar[str]


@dataclass(frozen=True)
class Text(Block):
    """A paragraph.

    Args:
        text: One sentence or several.
        is_note: Whether it asks for attention.
    """

    template = "text"
    text: str
    is_note: bool = False


@dataclass(frozen=True)
class Items(Block):
    """A list of sentences."""

    template = "items"
    items: Sequence[str]


@dataclass(frozen=True)
class Code(Block):
    """Commands or a program, line by line."""

    template = "code"
    text: str


@dataclass(frozen=True)
class Table(Block):
    """A table. The first cell of a row names it.

    Args:
        caption: What the table shows.
        heads: Heads of the columns.
        rows: Rows of texts, one per column.
        marked: Index of a row that stands out.
    """

    template = "table"
    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: int | None = None


@dataclass(frozen=True)
class Chart(Block):
    """A figure.

    Args:
        svg: The drawing.
        label: A description with the main numbers, for screen readers.
        caption: The text below it.
        is_large: Whether it is larger than others.
    """

    template = "chart"
    svg: Markup
    label: str
    caption: str
    is_large: bool = False


@dataclass(frozen=True)
class Picture:
    """A sample as a small picture.

    Args:
        drawing: SVG or an image.
        label: A description, for screen readers.
        caption: The text below it.
        mark: ``same`` or ``different``, if that is marked.
    """

    drawing: Markup
    label: str
    caption: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """A row of pictures with a title."""

    title: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Gallery(Block):
    """Rows of pictures.

    Args:
        caption: What they show.
        rows: The rows, each as long as the others or shorter.
        beside: Whether rows are short, and placed side by side.
    """

    template = "gallery"
    caption: str
    rows: Sequence[Row]
    beside: bool = False


@dataclass(frozen=True)
class Slider(Block):
    """A histogram of same and different pairs with a threshold that moves.

    Args:
        svg: The histogram; the script moves the line in it whose class is ``threshold``.
        label: What the histogram shows.
        caption: The text below it.
        data: For each position of the slider its ``distance``, ``x`` in the drawing, ``false`` matches and ``missed``.
        start: The initial position.
        says: The text for that position.
    """

    template = "slider"
    svg: Markup
    label: str
    caption: str
    data: Mapping[str, Any]
    start: int
    says: str


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Args:
        title: Its heading.
        blocks: Its blocks.
    """

    title: str
    blocks: Sequence[Block] = field(default_factory=list)
