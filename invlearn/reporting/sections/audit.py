"""The audit of the run, if there is one."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from invlearn.errors import UserError
from invlearn.reporting.blocks import Block, Chart, Items, Section, Table, Text
from invlearn.reporting.context import Context
from invlearn.reporting.texts import number, share, span
from invlearn.system.storage import read_inside

__all__ = ["audit"]

FOLDER = "audit"

MOST_BYTES = 2**19
"""Largest size of a picture; larger ones are left out."""

MOST_JSON = 2**26


def audit(context: Context) -> Section | None:
    """Findings, the profile, and pictures of ``RUN/audit``."""
    folder = context.run.directory.path / FOLDER
    if not (folder / "audit.json").is_file():
        return None
    try:
        page = read_inside(folder, "audit.md", most=MOST_BYTES).decode()
        blocks = [Items(_findings(page)), *_found(json.loads(read_inside(folder, "audit.json", most=MOST_JSON)))]
    except (UserError, ValueError, KeyError, TypeError, AttributeError):
        return Section("Audit", [Text(f"{folder / 'audit.json'} cannot be read", is_note=True)])
    return Section("Audit", [*blocks, *_pictures(context)])


def _findings(page: str) -> list[str]:
    """The findings at the head of audit.md, without emphasis."""
    head = page.partition("\n## ")[0]
    return [line.removeprefix("- ").replace("**", "") for line in head.splitlines() if line.startswith("- ")]


def _found(found: Mapping[str, Any]) -> Iterator[Block]:
    algebra, metamers = found["algebra"], found["metamers"]
    blind = "" if algebra["blind"] is None else f"; the data do not have {algebra['blind']} of them"
    yield Text(f"Continuous linear symmetries of the code: {algebra['dimension']}{blind}.")
    if metamers is not None:
        success = metamers.get("success")
        told = "" if success is None else f"; {share(success)} of all attacks end there on another entity"
        yield Text(f"Of the attacks {share(metamers['ended'])} end on the target's code{told}.")
    rows = [
        [one["distortion"], number(one["strength"], 2), span(one["low"], one["high"], 2), one["verdict"]]
        for one in found["profile"]
    ]
    yield Table(
        "Code distances under known distortions; 1 is the distance of strangers",
        ["distortion", "code", "95% interval", "verdict"],
        rows,
    )


def _pictures(context: Context) -> Iterator[Block]:
    names = {"generators.png": "Generators of the symmetries that were found", "metamers.png": "Metamers and targets"}
    for name, told in names.items():
        try:
            content = read_inside(context.run.directory.path / FOLDER, name, most=MOST_BYTES)
        except (UserError, OSError):
            continue
        if content.startswith(b"\x89PNG"):
            image = Markup('<img class="paper" alt="" src="data:image/png;base64,{}">')
            yield Chart(image.format(base64.b64encode(content).decode()), told, f"{told}.")
