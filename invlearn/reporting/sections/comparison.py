"""A comparison of several runs: metrics, settings that differ, and curves."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from invlearn.config import flatten
from invlearn.data.seeding import seeded_generator
from invlearn.display.tables import shortened_value
from invlearn.evaluation.metrics import METRICS
from invlearn.reporting.blocks import Block, Chart, Section, Table, Text
from invlearn.reporting.charts import SERIES
from invlearn.reporting.context import Contexts, are_asked_the_same
from invlearn.reporting.sections.recall import recall_chart
from invlearn.reporting.sections.trade_off import det, equal_error, roc
from invlearn.reporting.texts import number, share

__all__ = ["metrics_beside", "recall_beside", "settings_beside", "trade_off_beside"]

DRAWS = 2_000
"""Number of bootstrap samples."""

NOT_SHOWN = ("dataset.path", "dataset.offset", "dataset.factor", "dataset.fingerprint", "device", "threads", "sweep")
"""Keys that say where runs are stored and computed, or that follow from others."""


def metrics_beside(runs: Contexts) -> Section:
    """Metrics of all runs, and the confidence that one finds more entities than the others."""
    found = {name: context.metrics[0] for name, context in runs.items()}
    measured = {metric for row in found.values() for metric, value in row.items() if value is not None}
    shown = [metric for name, metric in METRICS.items() if metric.shown and name in measured]
    rows = [
        [metric.name, *(number(row.get(metric.name), metric.digits) for row in found.values()), metric.better]
        for metric in shown
    ]
    records = [context.record for context in runs.values()]
    rows.append(["parameters", *(number(float(record.get("parameters") or 0)) for record in records), ""])
    rows.append(["seconds", *(number(record.get("wall_seconds"), 3) for record in records), ""])
    table = Table("Metrics on held-out data", ["metric", *runs, "better"], rows)
    return Section("How good they are", [*_differences(runs), table])


def _differences(runs: Contexts) -> list[Block]:
    """recall@1 of each run minus that of the best, if all searched the same entities."""
    if not are_asked_the_same(runs):
        told = "These runs were measured on different samples: give a file of unseen samples to measure all of them on."
        return [Text(told, is_note=True)]
    evidence = {name: context.evidence for name, context in runs.items()}
    hits = {name: torch.cat(each.nearer).eq(0).double() for name, each in evidence.items() if each is not None}
    best = max(hits, key=lambda name: float(hits[name].mean()))
    count = len(hits[best])
    picked = torch.randint(count, (DRAWS, count), generator=seeded_generator(0, "report", "bootstrap"))
    rows = []
    for name, own in hits.items():
        gains = own - hits[best]
        low, high = gains[picked].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        interval = "" if name == best else f"{low:+.3f} to {high:+.3f}"
        rows.append([name, share(float(own.mean())), "" if name == best else f"{float(gains.mean()):+.3f}", interval])
    heads = ["run", "found", f"difference from {best}", "95% interval"]
    caption = f"Entities found again, of {count:,}, compared with the best run"
    return [Table(caption, heads, rows, list(hits).index(best))]


def settings_beside(runs: Contexts) -> Section | None:
    """Keys of the configs that differ."""
    flat = {name: flatten(context.run.config) for name, context in runs.items()}
    keys = dict.fromkeys(key for config in flat.values() for key in config if key not in NOT_SHOWN)
    texts = {key: [_value(key, config) for config in flat.values()] for key in keys}
    differing = {key: values for key, values in texts.items() if len(set(values)) > 1}
    if not differing:
        return None
    rows = [[key.removesuffix("._target_"), *values] for key, values in differing.items()]
    return Section("How they differ", [Table("Keys of the configs that differ", ["key", *runs], rows)])


def _value(key: str, config: Mapping[str, object]) -> str:
    if key not in config:
        return ""
    value = "null" if config[key] is None else shortened_value(config[key])
    return value.rpartition(".")[2] if key.endswith("._target_") else value


def trade_off_beside(runs: Contexts) -> Section | None:
    """ROC and DET curves of all runs."""
    colors = dict(zip(runs, SERIES, strict=False))
    curves = {
        name: (context.evidence.distances, colors.get(name, SERIES[-1]))
        for name, context in runs.items()
        if context.evidence is not None and len(context.evidence.distances.same)
    }
    if not curves:
        return None
    errors = "; ".join(f"{name} {share(equal_error(found))}" for name, (found, _) in curves.items())
    return Section(
        "False matches against misses",
        [
            Chart(roc(curves), "ROC curves of all runs.", "ROC: pairs of one entity found, against false matches."),
            Chart(
                det(curves),
                f"DET curves of all runs. Both errors are equal at: {errors}.",
                f"DET: missed against false, both axes stretched at small shares. Both errors are equal at: {errors}.",
            ),
        ],
    )


def recall_beside(runs: Contexts) -> Section | None:
    """Entities found against the size of the gallery."""
    colors = dict(zip(runs, SERIES, strict=False))
    curves = {
        name: (context.evidence.nearer, colors.get(name, SERIES[-1]))
        for name, context in runs.items()
        if context.evidence is not None and min(map(len, context.evidence.nearer)) > 2
    }
    if not curves:
        return None
    caption = "Share of entities whose nearest code in a gallery is their own, against its size."
    return Section("Finding an entity among many", [Chart(recall_chart(curves), caption, caption)])
