"""Tables as text: aligned, Markdown, CSV or JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from invlearn.system.output import printable

__all__ = ["markdown", "render", "shortened_value", "with_interval"]

LONGEST = 40
"""Maximal number of characters of a key's value in a table."""

WIDTH = 100
"""Width of a line from which the names of columns take two lines."""


def render(table: pd.DataFrame, style: str) -> str:
    """A table of ``aggregate`` as text. Missing values are empty, and null in JSON.

    Args:
        table: The table.
        style: ``table`` (aligned), ``markdown``, ``csv`` or ``json`` (all digits).
    """
    if style == "csv":
        return table.to_csv(index=False).rstrip("\n")
    if style == "json":
        rows = [{name: _plain(value) for name, value in row.items()} for row in table.astype(object).to_dict("records")]
        return json.dumps(rows, indent=2, allow_nan=False, ensure_ascii=False)
    shown = _shown(table)
    if style == "markdown":
        return markdown([printable(name) for name in shown], zip(*shown.values(), strict=True)).rstrip("\n")
    right = {name for name in shown if f"{name}_ci95" in table or is_numeric_dtype(table[name])}
    return _aligned(shown, right) if shown else "no runs"


def _shown(table: pd.DataFrame) -> dict[str, list[str]]:
    """Columns of texts: means with their intervals, shortened values; without empty columns."""
    shown: dict[str, list[str]] = {}
    for name in map(str, table):
        if name == "runs" or name.endswith("_ci95"):
            continue
        if name == "run":
            shown[name] = _runs(table)
        elif (half := table.get(f"{name}_ci95")) is not None:
            shown[name] = [
                "" if np.isnan(mean) else with_interval(mean, h) for mean, h in zip(table[name], half, strict=True)
            ]
        else:
            texts = ["" if _plain(value) is None else _short(value) for value in table[name]]
            shown[name] = [_ends(text) for text in texts] if "." in name else texts
    nothing = {"failed": "0", "missing": "0"}
    return {
        name: [printable(text) for text in texts]
        for name, texts in shown.items()
        if set(texts) - {"", nothing.get(name, "")}
    }


def _runs(table: pd.DataFrame) -> list[str]:
    """Names of runs, or their number, without the overrides that all runs of a sweep share."""
    names = [_plain(name) for name in table["run"]]
    parts = [set(name.split(",")) for name in names if name]
    shared = {part for part in set[str]().union(*parts) if "=" in part and all(part in each for each in parts)}
    shortened = len(set(names)) > 1
    counts = table["runs"] if "runs" in table else [1] * len(names)
    return [
        _ends(_without(name, shared) if shortened else name) if name else f"{count} runs"
        for name, count in zip(names, counts, strict=True)
    ]


def _without(name: str, shared: Collection[str]) -> str:
    """Overrides with ``…`` in place of shared ones."""
    kept = ["…" if part in shared else part for part in name.split(",")]
    return ",".join(part for part, before in zip(kept, ["", *kept], strict=False) if part != "…" or before != "…")


def _aligned(columns: dict[str, list[str]], right: Collection[str]) -> str:
    """Aligned columns, numbers at the right; wide tables break the names of columns at ``.`` or ``_``."""
    heads = {name: ["", printable(name)] for name in columns}
    if sum(max(map(len, [name, *texts])) + 1 for name, texts in columns.items()) - 1 > WIDTH:
        heads = {name: _broken(printable(name), max(map(len, texts))) for name, texts in columns.items()}
    if not any(head[0] for head in heads.values()):
        heads = {name: head[1:] for name, head in heads.items()}
    padded = []
    for name, texts in columns.items():
        cells = [*heads[name], *texts]
        width = max(map(len, cells))
        padded.append([text.rjust(width) if name in right else text.ljust(width) for text in cells])
    return "\n".join(" ".join(cells).rstrip() for cells in zip(*padded, strict=True))


def _broken(name: str, width: int) -> list[str]:
    """The name of a column in two lines, as narrow as possible, if it is wider than the values."""
    breaks = [index + 1 for index, letter in enumerate(name) if letter in "._" and 0 < index < len(name) - 1]
    if len(name) <= width or not breaks:
        return ["", name]
    at = min(breaks, key=lambda index: max(index, len(name) - index))
    return [name[:at], name[at:]]


def _plain(value: Any) -> Any:
    """A value for JSON; None if it is missing or not finite."""
    return None if value is pd.NA or (isinstance(value, float) and not np.isfinite(value)) else value


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
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def _ends(value: str) -> str:
    """The ends of a long value of a key, such as a path or a list, which distinguish it from others."""
    return value if len(value) <= LONGEST else f"{value[: LONGEST // 3]}…{value[-LONGEST * 2 // 3 :]}"


def shortened_value(value: Any) -> str:
    """A value of a config, or its ends if it is long."""
    return _ends(_short(value))


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
