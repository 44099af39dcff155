"""Rows of a table that do not fit their entity."""

from __future__ import annotations

import pandas as pd

from invlearn.errors import UserError
from invlearn.files import Dropping, EntityFile, Prepared, StoredTable, held_out, open_table, prepare
from invlearn.inference.embed import Source
from invlearn.runs.suspects import suspects_table
from invlearn.runs.trained import TrainedRun

__all__ = ["suspects"]


def suspects(
    run: TrainedRun, table: Source | None = None, *, every: bool = False, replica: int | None = None
) -> pd.DataFrame:
    """The rows that do not fit their entity, the most suspicious first, as in suspects.csv of a run.

    The distance of a sample to its entity is its mean code distance to the nearest half of the entity's other samples.
    A row is listed if that is more than twice the median of all rows, and if another entity is nearer.

    Args:
        run: A trained run.
        table: A file or a data frame with the column of entities and the features of training; by default the run's own
            file.
        every: Whether to return all rows, except entities with one row; a column ``suspect`` marks those that do not
            fit.
        replica: Replica that encodes; by default the one with the lowest validation loss.

    Returns:
        Columns ``row`` (from 1), ``entity``, ``distance``, ``nearest``, ``nearest_distance`` and ``split``; rows of
        another table are all ``test``.

    Raises:
        UserError: The run has no column of entities, or the table cannot be used; the message names row and column.

    Example:
        ``suspects(invlearn.load_run("outputs/mine"), "new.csv", every=True)``
    """
    spec = run.experiment.spec
    if not isinstance(spec, EntityFile):
        raise UserError(f"suspects: {run.directory} was not trained on a file of entities")
    if not run.experiment.loss.trains_encoder:
        raise UserError(f"suspects: {run.directory} has no trained encoder")
    return suspects_table(run.encoder(replica), _data(run, spec, table), every=every)


def _data(run: TrainedRun, spec: EntityFile, table: Source | None) -> Prepared:
    gaps = run.stack.gaps
    if table is None:
        return run.experiment.data
    opened = open_table(table)
    if isinstance(opened, StoredTable) and opened.fingerprint == spec.fingerprint:
        return prepare(spec, gaps=gaps)
    return held_out(spec, opened, entity=None, drop=Dropping(spec.drop, fills=gaps is not None), gaps=gaps)
