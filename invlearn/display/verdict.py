"""A run compared with simple methods, and the verdict, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["references_table", "sentence"]

NAMES = {
    "raw": "raw samples",
    "standardised": "standardised features",
    "components": "whitened components",
    "fisher": "Fisher's discriminant",
    "quadratic": "quadratic features",
}

HOW = {"fisher": "model=polynomial model.degree=1", "quadratic": "model=polynomial"}
"""Overrides that train a simple method, if it is a model."""


def references_table(references: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any] | None) -> str:
    """Scores of simple methods on the same test entities, and whether the run is better.

    Args:
        references: As in run.json.
        verdict: Likewise; None if there is only one test entity.
    """
    lines = [f"{'simple methods':26}{'recall@1':>10}{'auroc':>10}{'ratio':>10}"]
    for row in references:
        numbers = f"{row['recall_at_1']:10.4g}{row['auroc']:10.4g}{row['invariance_ratio']:10.2g}"
        lines.append(f"{NAMES.get(row['name'], row['name']):26}{numbers}")
    return "\n".join([*lines, *([*_limits(verdict), sentence(verdict)] if verdict else [])])


def _limits(verdict: Mapping[str, Any]) -> list[str]:
    """The recall with its interval; a record of an older version has none."""
    low, high = verdict.get("recall_low"), verdict.get("recall_high")
    if low is None or high is None:
        return []
    return [f"recall@1 {verdict['recall']:.3f} (95% interval {low:.3f} to {high:.3f}) {_of(verdict)}"]


def sentence(verdict: Mapping[str, Any]) -> str:
    """The verdict in words."""
    against = NAMES.get(verdict["against"], verdict["against"])
    how = f" ({HOW[verdict['against']]})" if verdict["against"] in HOW else ""
    recall, among, gain = verdict["recall"], verdict["among"], verdict["difference"]
    interval = f"{gain:+.3f} recall@1 (95% interval {verdict['low']:+.3f} to {verdict['high']:+.3f})"
    of, entities = _of(verdict), verdict.get("entities") or among
    match verdict["kind"]:
        case "few":
            return f"verdict: none, {entities} unseen entities are too few"
        case "chance":
            luck = "" if verdict.get("p_value") is None else f" (p = {verdict['p_value']:.2g})"
            return (
                f"verdict: nothing was learned; recall@1 {recall:.3f} {of} is not clearly above chance, "
                f"{1 / among:.3f}{luck}"
            )
        case "worse":
            return f"verdict: worse than {against}{how}: {interval} {of}"
        case "better":
            return f"verdict: better than {against}, the best simple method: {interval} {of}"
        case _:
            return f"verdict: no better than {against}{how}: {interval} {of}"


def _of(verdict: Mapping[str, Any]) -> str:
    among = verdict["among"]
    entities = verdict.get("entities") or among
    at_a_time = f" at a time, {entities:,} in all" if entities > among else ""
    return f"among {among:,} unseen entities{at_a_time}"
