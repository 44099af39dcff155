"""Tables as text: aligned, Markdown or CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["markdown", "render", "with_interval"]

LONGEST = 40
"""Characters of a key's value that a table shows."""


def render(table: pd.DataFrame, style: str) -> str:
    """A table of ``aggregate`` as text.

    Args:
        table: The table.
        style: ``table`` (aligned), ``markdown`` or ``csv`` (all digits).
    """
    if style == "csv":
        return table.to_csv(index=False).rstrip("\n")
    shown = pd.DataFrame(index=table.index)
    for name in map(str, table):
        if name.endswith("_ci95"):
            continue
        if (half := table.get(f"{name}_ci95")) is not None:
            shown[name] = list(map(with_interval, table[name], half))
        else:
            text = table[name].map(_short)
            shown[name] = text.map(_ends) if "." in name else text
    for name in ("failed", "missing"):
        if name in shown and not np.any(table[name]):
            del shown[name]
    if style == "markdown":
        return markdown(list(map(str, shown)), shown.to_numpy().tolist()).rstrip("\n")
    return shown.to_string(index=False) if not shown.empty else "no runs"


def markdown(heads: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown, with a line feed at its end.

    Example:
        >>> print(markdown(["d", "MSE"], [[10, "1e-8"]]), end="")
        | d | MSE |
        | --- | --- |
        | 10 | 1e-8 |
    """
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in lines)


def _short(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() else f"{value:.4g}"


def _ends(value: str) -> str:
    """The ends of a long value of a key, a path or a list: they tell it from others."""
    return value if len(value) <= LONGEST else f"{value[: LONGEST // 3]}…{value[-LONGEST * 2 // 3 :]}"


def with_interval(mean: float, half: float) -> str:
    """A mean, rounded to the first digit of its interval.

    Example:
        >>> with_interval(0.99123, 0.0003)
        '0.9912 ± 0.0003'
        >>> with_interval(0.5, float("nan"))
        '0.5'
    """
    if np.isnan(mean):
        return "-"
    if not np.isfinite(half) or half == 0 or mean == 0:
        return f"{mean:.3g}" + (" ± 0" if half == 0 else "")
    digits = int(np.floor(np.log10(abs(mean))) - np.floor(np.log10(half))) + 1
    return f"{mean:.{max(digits, 1)}g} ± {half:.1g}"
