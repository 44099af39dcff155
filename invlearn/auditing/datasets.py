"""Open the data of an audit: those of a run, overrides as on the command line, a file, a data frame or a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from invlearn.auditing.data import AuditData
from invlearn.auditing.sources import Source
from invlearn.config import as_plain
from invlearn.config.build import build
from invlearn.config.compose import compose
from invlearn.data import Dataset
from invlearn.errors import UserError
from invlearn.files import SampleFile, open_table, prepare, prepare_table

__all__ = ["Data", "data_of"]

Data = str | Path | Sequence[str] | pd.DataFrame | Dataset | None
"""Overrides as on the command line, a file or a data frame of samples, a dataset; None for a run's own."""


def data_of(data: Data, source: Source, *, entity: str | None = None) -> AuditData:
    """The data of an audit.

    Args:
        data: Overrides, a file, a data frame, a dataset, or None for those of the encoder's run.
        source: The encoder.
        entity: Column that names the entity of samples in a file or a data frame.

    Raises:
        UserError: There are none, or they cannot be used.
    """
    if data is None:
        if source.run is None:
            raise UserError("audit: say what data the encoder is for, as in dataset=shift dataset.dim=10, or a file")
        return _of_spec(source.run.experiment.spec, source.run.experiment.seeds[source.run.best_replica])
    if isinstance(data, Path | pd.DataFrame):
        return _of_table(data, entity, source)
    if isinstance(data, str):
        data = [data]
    if isinstance(data, Sequence) and all(isinstance(one, str) for one in data):
        return _of_words(data, entity, source)
    if not hasattr(data, "pairs"):
        raise UserError(
            f"audit: data must be overrides, a file, a data frame or a dataset of invlearn, got {type(data).__name__}"
        )
    assert not isinstance(data, Sequence)
    return AuditData(data, type(data).__name__, getattr(data, "seed", None) or 0, _numbered(data.dim))


def _of_words(words: Sequence[str], entity: str | None, source: Source) -> AuditData:
    """Data by overrides, or by the name of a file."""
    files = [one for one in words if "=" not in one]
    if len(words) == 1 and (files or Path(words[0]).exists()):
        return _of_table(words[0], entity, source)
    if files:
        raise UserError(f"audit: {files[0]} is not an override; write key=value, or name a single file")
    if entity is not None:
        raise UserError("audit: --entity goes with a file; among overrides write dataset.entity=COLUMN")
    config = as_plain(compose(words))
    spec, _ = build("dataset", config["dataset"])
    return _of_spec(spec, config["seed"])


def _of_table(given: str | Path | pd.DataFrame, entity: str | None, source: Source) -> AuditData:
    """All samples of a table, with the columns of the encoder's run, if it has one."""
    table = open_table(given)
    if entity is None:
        raise UserError(f"audit: say with --entity which column of {table} names the entity")
    names = None if source.run is None else source.run.stack.feature_names
    node = {"path": str(table), "entity": entity, "features": names or "auto"}
    spec, _ = build("dataset", {"_target_": "invlearn.files.EntityFile", **node})
    prepared = prepare_table(_unscaled(spec), table)
    assert isinstance(prepared.spec, SampleFile)
    return AuditData(prepared.dataset, str(table), prepared.spec.seed, prepared.spec.feature_names)


def _of_spec(spec: SampleFile | Dataset, seed: int) -> AuditData:
    if not isinstance(spec, SampleFile):
        return AuditData(spec, f"{type(spec).__name__}, d = {spec.dim}", seed, _numbered(spec.dim))
    prepared = prepare(_unscaled(spec))
    assert isinstance(prepared.spec, SampleFile)
    return AuditData(prepared.dataset, str(spec.path), prepared.spec.seed, prepared.spec.feature_names)


def _unscaled(spec: SampleFile) -> SampleFile:
    """The same in units of the file: the encoder scales samples."""
    return replace(spec, scaling="none", offset=0.0, factor=1.0)


def _numbered(dim: int) -> list[str]:
    return [str(index) for index in range(dim)]
