"""How good the code is on unseen data: metrics, baselines, simple methods, and the models that were tried."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from invlearn.display.verdict import NAMES
from invlearn.evaluation.metrics import METRICS
from invlearn.reporting.blocks import Block, Section, Table, Text
from invlearn.reporting.context import Context
from invlearn.reporting.intervals import intervals
from invlearn.reporting.texts import number, span

__all__ = ["metrics"]

MEANINGS = {
    "mse_reconstruction": "mean squared error of the decoded samples",
    "mse_invariance": "loss of equation (2) at δ = α = 1, all pairs",
    "mse_invariance_same": "the same, pairs of one entity",
    "mse_invariance_different": "the same, pairs of different entities",
    "loss_invariance": "loss of equation (2) at the δ and α of training",
    "invariance_ratio": "mean squared code distance within entities over that between them",
    "auroc": "probability that a pair of one entity is closer than a pair of different entities",
    "recall_at_1": "share of entities whose nearest code is their own",
    "distance_spearman": "rank correlation of code distances with true ones",
}
"""Explanations of metrics; the names of others are enough."""


def metrics(context: Context) -> Section | None:
    """Numbers on unseen data."""
    blocks = [*_measured(context), *_references(context), *_candidates(context)]
    return Section("How good it is", blocks) if blocks else None


def _measured(context: Context) -> Iterator[Block]:
    found, constants = context.metrics
    shown = [name for name, value in found.items() if value is not None and name in METRICS and METRICS[name].shown]
    if not shown:
        return
    limits = intervals(context.evidence) if context.evidence else {}
    replicas = context.record.get("replicas", []) if context.data is None else []
    several = len(replicas) > 1
    rows = []
    for name in shown:
        metric = METRICS[name]
        among = f" among {found['recall_among']:,}" if name == "recall_at_1" and found.get("recall_among") else ""
        rows.append(
            [
                f"{name}{among}",
                number(found[name], metric.digits),
                _interval(limits.get(name), metric.digits),
                *([_over_seeds(name, replicas)] if several else []),
                number(constants.get(name), 2),
                metric.better,
                MEANINGS.get(name, ""),
            ]
        )
    over = [f"median over {len(replicas)} seeds (range)"] if several else []
    yield Table(
        f"Metrics on {context.looked_at} (not used in training)",
        ["metric", "value", "95% interval", *over, "constant", "better", "meaning"],
        rows,
    )
    folds = context.record.get("folds", 1)
    if context.data is None and folds > 1:
        yield Text(f"Means over {folds} folds: each entity was tested once, by a model that had not seen it.")
    if found.get("collapsed"):
        yield Text("The code has collapsed: different entities share one code.", is_note=True)
    if limits:
        yield Text("Intervals are over entities or pairs; they do not cover other seeds.")


def _interval(limits: tuple[float, float] | None, digits: int) -> str:
    """An interval; empty if there is none, or if its ends look equal."""
    return "" if limits is None or len({number(end, digits) for end in limits}) == 1 else span(*limits, digits)


def _over_seeds(name: str, replicas: Sequence[Mapping[str, Any]]) -> str:
    """Median and range of a metric."""
    known = [value for replica in replicas if (value := replica["metrics"].get(name)) is not None]
    digits = METRICS[name].digits
    return f"{number(statistics.median(known), digits)} ({span(min(known), max(known), digits)})" if known else ""


def _references(context: Context) -> Iterator[Block]:
    rows = context.record.get("references") or []
    if not rows or context.data is not None:
        return
    keys = ("recall_at_1", "auroc", "invariance_ratio")
    own = context.metrics[0]
    table = [["this run", *(number(own.get(key)) for key in keys)]]
    table += [[NAMES.get(row["name"], row["name"]), *(number(row[key]) for key in keys)] for row in rows]
    yield Table("Simple methods on the same entities", ["method", "recall_at_1", "auroc", "invariance_ratio"], table, 0)


def _candidates(context: Context) -> Iterator[Block]:
    rows = context.record.get("candidates") or []
    if not rows:
        return
    table = [
        [
            row["name"],
            number(row["score"]) or f"{row['status']}: {row['reason']}",
            number(row["recall_at_1"]),
            number(row["seconds"], 2),
            "chosen" if row["chosen"] else "",
        ]
        for row in rows
    ]
    marked = next((index for index, row in enumerate(rows) if row["chosen"]), None)
    heads = ["model", "validation score (bits; lower is better)", "recall_at_1", "seconds", ""]
    yield Table("Models tried", heads, table, marked)
