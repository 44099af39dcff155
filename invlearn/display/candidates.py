"""The candidates of a choice, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["candidates_table"]


def candidates_table(candidates: Sequence[Mapping[str, Any]]) -> str:
    """The scores of each candidate, and which one was chosen.

    Args:
        candidates: As in run.json.
    """
    lines = [f"{'models':26}{'validation':>10}{'recall@1':>10}{'seconds':>10}"]
    for row in candidates:
        if row["score"] is None:
            lines.append(f"{row['name']:26}{row['status']}: {row['reason']}")
            continue
        recall = "" if row["recall_at_1"] is None else f"{row['recall_at_1']:.4g}"
        chosen = "  chosen" if row["chosen"] else ""
        lines.append(f"{row['name']:26}{row['score']:10.4f}{recall:>10}{row['seconds'] or 0:10.0f}{chosen}")
    return "\n".join(lines)
