"""The table of many runs as text."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from invlearn.display.tables import render
from invlearn.runs.aggregate import telling_apart
from invlearn.runs.same_data import as_text
from invlearn.system.output import printable

__all__ = ["results_text"]


def results_text(table: pd.DataFrame, style: str, keep: Collection[str] = ()) -> str:
    """A table of ``aggregate`` as text: for people one table per data, under its name; for programs one for all.

    Args:
        table: The table.
        style: ``table``, ``markdown``, ``csv`` or ``json``.
        keep: Keys that are shown even if they do not differ.
    """
    if style in ("csv", "json") or "data" not in table:
        return render(table, style)
    heading = "### {}\n\n" if style == "markdown" else "{}\n"
    return "\n\n".join(
        heading.format(printable(data)) + render(_of_one(table[table["data"] == data], keep), style)
        for data in table["data"].unique()
    )


def _of_one(rows: pd.DataFrame, keep: Collection[str]) -> pd.DataFrame:
    """The rows of one data, without keys that do not differ."""
    names = [str(name) for name in rows]
    keys = [name for name in names[: names.index("seeds")] if name not in ("data", "run", "runs")]
    needed = {*telling_apart(as_text(rows[keys]), keys), *keep}
    return rows.drop(columns=["data", *(key for key in keys if key not in needed)])
