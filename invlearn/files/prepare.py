"""From the settings of a dataset to data; only this module opens a user's file for training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from invlearn.data import Dataset, HasLabels, LabelledPairs
from invlearn.encoder import Scaler
from invlearn.errors import UserError
from invlearn.files.entity_file import EntityFile, entities_held_out, prepare_entities
from invlearn.files.many import is_many
from invlearn.files.opening import open_table
from invlearn.files.pair_file import PairFile, pairs_held_out, prepare_pairs
from invlearn.files.rows import Dropping
from invlearn.files.sample_file import Prepared, SampleFile
from invlearn.files.scale import Scale
from invlearn.files.table import StoredTable, Table
from invlearn.nn import Gaps

__all__ = ["feature_names_of", "held_out", "kind_of", "prepare", "prepare_table", "scaler_of"]


def prepare(spec: SampleFile | Dataset, *, gaps: Gaps | None = None) -> Prepared:
    """Open a user's file once, check it, split, scale and fill its samples; a transformation family stays unchanged.

    Args:
        spec: Its settings.
        gaps: The module that fills gaps, if it is already fitted; otherwise it is fitted to the training samples.

    Raises:
        UserError: The file cannot be used, or has changed since the run was started; it names row and column.
    """
    if not isinstance(spec, SampleFile):
        return Prepared(spec, spec)
    path = Path(spec.path).absolute()
    if spec.fingerprint != "auto" and not (path.exists() or is_many(path)):
        raise UserError(f"{path}: there is no such file; if it has moved, use train dataset.path=...")
    table = open_table(path)
    assert isinstance(table, StoredTable)
    if spec.fingerprint not in ("auto", table.fingerprint):
        raise UserError(f"{path} has changed since the run was started")
    return prepare_table(replace(spec, path=str(path), fingerprint=table.fingerprint), table, gaps=gaps)


def prepare_table(spec: SampleFile, table: Table, *, gaps: Gaps | None = None) -> Prepared:
    """The same for a table that is open.

    Raises:
        UserError: The table cannot be used; it names row and column.
    """
    try:
        if isinstance(spec, EntityFile):
            return prepare_entities(spec, table, gaps)
        assert isinstance(spec, PairFile)
        return prepare_pairs(spec, table, gaps)
    except UserError:
        raise
    except ValueError as error:  # the message starts with the setting
        raise UserError(f"dataset.{error}") from error


def held_out(
    spec: SampleFile | Dataset, table: Table, *, entity: str | None, drop: Dropping, gaps: Gaps | None = None
) -> Prepared:
    """Samples or pairs of another table, all in the test split.

    Args:
        spec: The dataset of the run.
        table: The table.
        entity: Column that names the entity; None is as in training.
        drop: Kinds of rows to leave out.
        gaps: The module that fills its gaps, if rows with gaps are kept.

    Raises:
        UserError: The file cannot be used; it names row and column.
    """
    if isinstance(spec, PairFile) and entity is None:
        return pairs_held_out(spec, table, drop, gaps)
    if isinstance(spec, SampleFile):
        if entity in spec.feature_names:
            raise UserError(f"evaluate: --entity {entity} names a feature of this run")
        if isinstance(spec, EntityFile):
            return entities_held_out(replace(spec, entity=entity or spec.entity), table, drop, gaps)
    if entity is None:
        raise UserError("evaluate: --entity must give the column of the file that names the entity")
    table.require([entity], "--entity")
    if isinstance(spec, SampleFile):
        features, scale = spec.feature_names, spec.scale
    else:
        features, scale = [name for name in table.numeric if name != entity], Scale(0.0, 1.0)
        if len(features) != spec.dim:
            raise UserError(f"{table}: {len(features)} features, but the run has {spec.dim}")
    like = EntityFile(path=str(table), entity=entity, features=features, offset=scale.offset, factor=scale.factor)
    return entities_held_out(like, table, drop, gaps)


def kind_of(spec: SampleFile | Dataset) -> Literal["family", "entities", "pairs"]:
    """The kind of the data: a transformation family, samples of entities, or pairs."""
    if isinstance(spec, SampleFile):
        return spec.kind
    if isinstance(spec, LabelledPairs):
        return "pairs"
    return "entities" if isinstance(spec, HasLabels) else "family"


def scaler_of(spec: SampleFile | Dataset) -> Scaler | None:
    """The scaler of samples before the network; those of families are not scaled."""
    return Scaler(spec.scale.offset, spec.scale.factor) if isinstance(spec, SampleFile) else None


def feature_names_of(spec: SampleFile | Dataset) -> list[str] | None:
    """The columns of a sample, if it comes from a file."""
    return spec.feature_names if isinstance(spec, SampleFile) else None
