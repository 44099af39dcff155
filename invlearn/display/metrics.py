"""The short table at the end of a run: its metrics."""

from __future__ import annotations

import statistics
from typing import Any

from invlearn.evaluation.metrics import METRICS

__all__ = ["metrics_table"]


def metrics_table(metrics: list[dict[str, Any]], baselines: list[dict[str, Any]], best: int) -> str:
    """Metrics of the best replica by validation loss, the median over replicas, and those of a constant."""
    many = len(metrics) > 1
    header = f"{'test':26}{'best' if many else 'run':>10}{'median' if many else '':>10}{'constant':>10}"
    rows = [header]
    for name, value in metrics[best].items():
        metric = METRICS.get(name)
        if value is None or metric is None or not metric.shown:
            continue
        known = [replica[name] for replica in metrics if replica[name] is not None]
        median = f"{statistics.median(known):10.{metric.digits}g}" if many else " " * 10
        constant = baselines[best].get(name)
        if name == "recall_at_1" and (entities := metrics[best].get("recall_among")):
            name = f"{name} among {entities:,}"  # noqa: PLW2901
        rows.append(
            f"{name:26}{value:10.{metric.digits}g}{median}" + (f"{constant:10.2g}" if constant is not None else "")
        )
    if collapsed := sum(bool(replica.get("collapsed")) for replica in metrics):
        rows.append(f"the code has collapsed in {collapsed} of {len(metrics)}: different entities share one code")
    return "\n".join(rows)
