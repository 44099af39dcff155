"""Measure a run on its own test data or on other data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from invlearn.errors import UserError
from invlearn.evaluation.reliability import Reliability
from invlearn.files import Dropping, SampleFile, StoredTable, held_out, open_table
from invlearn.inference.embed import Source
from invlearn.runs.trained import TrainedRun

__all__ = ["Evaluation", "evaluate", "measure"]


@dataclass(frozen=True)
class Evaluation:
    """Metrics of every replica.

    Args:
        metrics: A dict for each replica; None for metrics that do not apply.
        baselines: The same metrics of the best constant prediction.
        report: The report on the file, in lines.
        is_training_file: Whether the run was trained on that file.
        reliability: Calibration of each replica's probabilities; None for a replica without probabilities.
    """

    metrics: list[dict[str, Any]]
    baselines: list[dict[str, Any]]
    report: Sequence[str] = ()
    is_training_file: bool = False
    reliability: Sequence[Reliability | None] = ()

    def to_dicts(self) -> list[dict[str, Any]]:
        """A dict for each replica: metrics, and ``pairs.``, ``nearest.`` and ``matching.`` of its probabilities."""
        return [
            {**metrics, **(_flat(reliability) if reliability else {})}
            for metrics, reliability in zip(self.metrics, self.reliability, strict=True)
        ]

    def to_frame(self) -> pd.DataFrame:
        """A row for each replica; baselines as ``baseline.<metric>``."""
        baselines = pd.DataFrame(self.baselines).add_prefix("baseline.")
        return pd.concat([pd.DataFrame(self.to_dicts()), baselines], axis=1).rename_axis("replica")


def _flat(reliability: Reliability) -> dict[str, Any]:
    parts = asdict(reliability)
    numbers = {f"matching.{name}": parts.pop(name) for name in ("among", "prior")}
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()} | numbers


def evaluate(
    run: TrainedRun, table: Source | None = None, *, entity: str | None = None, drop: Sequence[str] = ()
) -> pd.DataFrame:
    """Metrics of every replica's best checkpoint, one row each; those of a constant are ``baseline.<metric>``.

    Args:
        run: A trained run.
        table: Samples or pairs, as in training; by default the run's own test data.
        entity: Column that names the entity; by default as in training.
        drop: Rows to leave out instead of refusing the table: ``missing``, ``duplicates``.

    Raises:
        UserError: The table cannot be used; the message names file, row and column.

    Example:
        ``evaluate(invlearn.load_run("outputs/mine"), "new.csv")["recall_at_1"]``
    """
    return measure(run, table, entity=entity, drop=drop).to_frame()


def measure(
    run: TrainedRun, table: Source | None = None, *, entity: str | None = None, drop: Sequence[str] = ()
) -> Evaluation:
    """The same, with the report on the table."""
    if table is None:
        if entity is not None:
            raise UserError("evaluate: --entity names a column of a file; give the file too")
        return Evaluation(*run.evaluate(), reliability=run.reliability())
    opened, spec = open_table(table), run.experiment.spec
    known = isinstance(opened, StoredTable) and isinstance(spec, SampleFile) and opened.fingerprint == spec.fingerprint
    if not run.experiment.loss.trains_encoder:
        raise UserError(f"evaluate: {run.directory} has no trained encoder to measure on {opened}")
    gaps = run.stack.gaps
    how = Dropping(drop, "--drop {}", fills=gaps is not None)
    data = held_out(spec, opened, entity=entity, drop=how, gaps=gaps)
    return Evaluation(*run.evaluate(data), data.report, known, run.reliability(data))
