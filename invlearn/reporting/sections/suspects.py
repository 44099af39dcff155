"""Samples that do not fit their entity."""

from __future__ import annotations

import io

import pandas as pd

from invlearn.errors import UserError
from invlearn.reporting.blocks import Section, Table, Text
from invlearn.reporting.context import Context
from invlearn.reporting.texts import number
from invlearn.runs.layout import SUSPECTS
from invlearn.system.storage import read_inside

__all__ = ["suspects"]

SHOWN = 20
"""Maximal number of rows of the table."""

COLUMNS = {
    "row": "row",
    "entity": "entity",
    "distance": "distance to it",
    "nearest": "nearest other",
    "nearest_distance": "distance to that",
    "split": "split",
}
"""Columns of suspects.csv, and their names on the page."""

MOST_BYTES = 2**26
"""Largest size of suspects.csv."""


def suspects(context: Context) -> Section | None:
    """The first rows of suspects.csv."""
    count, of = context.record.get("suspects"), context.record.get("samples")
    if not count or context.data is not None:
        return None
    columns, trained = dict(COLUMNS), ""
    if not context.run.experiment.holds_out:
        del columns["split"]
        trained = (
            " These come from the final run, which was trained on all of them; pictures show models that were not."
        )
    try:
        content = read_inside(context.run.directory.path, SUSPECTS, most=MOST_BYTES)
        text = {"entity": str, "nearest": str}  # NA is a name too
        table = pd.read_csv(io.BytesIO(content), nrows=SHOWN, dtype=text, keep_default_na=False)
        table = table.assign(row=table["row"].map("{:,}".format))
        rows = table[list(columns)].map(lambda value: number(value) if isinstance(value, float) else str(value))
    except (UserError, ValueError, KeyError, OSError):
        return Section("Suspects", [Text(f"{SUSPECTS} cannot be read", is_note=True)])
    share = f" of {of:,}" if of else ""
    return Section(
        "Suspects",
        [
            Text(
                f"{count:,}{share} samples do not fit their entity: they are far from its other samples, and nearer to "
                "another entity. Wrong labels and rare distortions look like this." + trained
            ),
            Table(
                f"The most suspicious {len(rows)}, from {SUSPECTS}", list(columns.values()), rows.to_numpy().tolist()
            ),
        ],
    )
