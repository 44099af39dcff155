"""Values of another column of the file for the shown samples."""

from __future__ import annotations

import numpy as np
import pandas as pd

from invlearn.errors import UserError
from invlearn.files import SampleFile, open_table
from invlearn.reporting.context import Context
from invlearn.reporting.samples import Samples

__all__ = ["column_of"]


def column_of(samples: Samples, context: Context, name: str) -> pd.Series:
    """The values of a column for each sample, ``(n,)``, as text.

    Raises:
        UserError: There is no file of samples, or no such column in it.
    """
    spec = context.run.experiment.spec
    source = context.source if context.source is not None else spec.path if isinstance(spec, SampleFile) else None
    if source is None or samples.rows is None:
        raise UserError(f"report: --color {name} needs a file of samples with that column")
    table = open_table(source)
    table.require([name], "--color")
    values = pd.Series(index=np.sort(samples.rows), dtype=object)
    for chunk in table.chunks([name], text=[name]):
        wanted = samples.rows - chunk.first_row
        wanted = wanted[(wanted >= 0) & (wanted < len(chunk.frame))]
        values.loc[wanted + chunk.first_row] = chunk.frame[name].iloc[wanted].to_numpy()
    return values.loc[samples.rows].reset_index(drop=True)
