"""The results of a run, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invlearn.display.candidates import candidates_table
from invlearn.display.metrics import metrics_table
from invlearn.display.verdict import references_table
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import SUSPECTS

__all__ = ["summary"]


def summary(directory: RunDirectory) -> str:
    """The results of a finished run, and where its files are."""
    record = directory.record()
    replicas = record["replicas"]
    metrics, constants = ([replica.get(name, {}) for replica in replicas] for name in ("metrics", "constants"))
    lines = [
        f"{directory.title()}: {len(replicas)} replica{'s' * (len(replicas) > 1)} of {record.get('parameters', 0):,} "
        f"parameters, {record.get('wall_seconds') or 0:.0f} s on {record.get('device')}",
        metrics_table(metrics, constants, record.get("best_replica", 0)),
    ]
    if record.get("references"):
        lines.append(references_table(record["references"], record.get("verdict")))
    if record.get("candidates"):
        lines.append(candidates_table(record["candidates"]))
    if diverged := [str(r["seed"]) for r in replicas if r["diverged"]]:
        lines.append(f"diverged: seed {', '.join(diverged)}")
    best = replicas[record.get("best_replica", 0)]
    if count := _chosen(best.get("statistics", {}), directory.config()):
        lines.append(f"features: {count}, those with the largest variance between entities relative to within")
    if count := record.get("suspects"):
        of = f" of {record['samples']:,}" if record.get("samples") else ""
        lines.append(f"suspects: {count:,}{of} samples do not fit their entity, in {SUSPECTS}")
    lines.append(f"in {directory}: curves.png, metrics.csv, run.json, checkpoints/")
    trained = directory.best_checkpoint.stat().st_mtime
    if older := [path.name for path in sorted(directory.path.glob("encoder.*")) if path.stat().st_mtime < trained]:
        lines.append(f"note: older than this run: {', '.join(older)}; invlearn export rewrites it")
    return "\n".join(lines)


def _chosen(statistics: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """How many features a closed form has chosen, and of how many; None if it uses all."""
    names = config["dataset"].get("features") or config["dataset"].get("x")
    count = statistics.get("features")
    has_some = count and isinstance(names, list) and count < len(names)
    return f"{count:,.0f} of {len(names):,} chosen" if has_some else None
