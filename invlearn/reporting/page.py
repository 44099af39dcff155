"""From sections to one HTML file that makes no requests."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from invlearn.reporting.blocks import Section
from invlearn.system.output import printable

__all__ = ["Page", "render"]


@dataclass(frozen=True)
class Page:
    """The content of a page.

    Args:
        title: Its title.
        lead: The most important sentence.
        facts: Names and values at the top.
        sections: Its sections.
        footnote: Its origin, and which samples were used.
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    footnote: str


def render(page: Page) -> str:
    """The HTML of a page: all values are escaped, and nothing is loaded from elsewhere."""
    environment = Environment(
        loader=PackageLoader("invlearn.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {"slug": _slug, "data": _data}
    style, script = (_own(name) for name in ("style.css", "slider.js"))
    return environment.get_template("page.html").render(
        page=page,
        style=Markup(style),
        script=Markup(script),
        policy=(
            "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
            f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
        ),
    )


def _shown(value: Any) -> Any:
    """Untrusted text without control characters; only our own markup is kept."""
    return printable(value, lines=True) if isinstance(value, str) and not isinstance(value, Markup) else value


def _slug(title: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _data(value: Any) -> Markup:
    """Values for a script, escaped so that they cannot close its element."""
    return Markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c"))


def _own(name: str) -> str:
    return files("invlearn.reporting").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
