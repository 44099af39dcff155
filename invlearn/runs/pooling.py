"""Pool the results of runs on several divisions of the same data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from invlearn.evaluation.calibration import Calibration
from invlearn.evaluation.compared import pooled
from invlearn.evaluation.evaluate import compared_pairs
from invlearn.files import Prepared
from invlearn.runs.record import compared, described
from invlearn.runs.trained import TrainedRun

__all__ = ["mean_metrics", "pooled_record"]


def pooled_record(runs: Sequence[tuple[TrainedRun, Prepared]]) -> dict[str, Any]:
    """The part of run.json about held-out data: metrics, thresholds, simple methods and the verdict.

    Metrics are means over the divisions; thresholds and the verdict use the pairs of all of them.

    Args:
        runs: A run on each division, and its data.
    """
    records = [run.directory.record() for run, _ in runs]
    calibrations = _calibrations(runs)
    replicas = [
        {
            "metrics": mean_metrics([record["replicas"][replica]["metrics"] for record in records]),
            "constants": mean_metrics([record["replicas"][replica]["constants"] for record in records]),
            "calibration": calibration.to_dict() if calibration else None,
            **mean_metrics([{"valid_score": record["replicas"][replica].get("valid_score")} for record in records]),
        }
        for replica, calibration in enumerate(calibrations)
    ]
    beside = [compared(run.experiment.on(data), run.encoder(), "cpu") for run, data in runs]
    return {
        "metrics": mean_metrics([record["metrics"] for record in records]),
        "constants": mean_metrics([record["constants"] for record in records]),
        "replicas": replicas,
        "folds": len(runs),
        **described([each for each in beside if each]),
    }


def mean_metrics(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means of metrics, weighted by the number of searched entities; None if a division lacks the metric."""
    weights = [row.get("recall_among") or 1 for row in found]

    def mean(values: Sequence[Any]) -> Any:
        if any(value is None for value in values):
            return None
        if any(isinstance(value, bool) for value in values):
            return any(values)
        if len(values) == 1:
            return values[0]
        return math.fsum(w * value for w, value in zip(weights, values, strict=True)) / sum(weights)

    means = {name: mean([row.get(name) for row in found]) for name in found[0]}
    if means.get("recall_among") and len(found) > 1:
        means["recall_among"] = round(sum(weights) / len(weights))
    return means


def _calibrations(runs: Sequence[tuple[TrainedRun, Prepared]]) -> list[Calibration | None]:
    """The calibration of each replica on the validation pairs of all divisions."""
    of_runs = [list(compared_pairs(run.experiment.on(data).draws("cpu"), run.stack)) for run, data in runs]
    return [Calibration.fit(pooled(parts)) for parts in zip(*of_runs, strict=True)]
