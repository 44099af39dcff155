"""The tables of ``docs/real-data.md`` and ``docs/how-much-data.md``, from the CSV files of the comparisons."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from invlearn.display.tables import markdown
from invlearn.runs.aggregate import half_interval

__all__ = ["amounts_table", "defaults_table", "pigs_table", "scores_table"]


def scores_table(table: pd.DataFrame) -> str:
    """Means over seeds of each method's scores, a 95% interval of recall@1, and the chosen setting."""
    lines = []
    for method, rows in table.groupby("method", sort=False):
        recall = rows["recall_at_1"]
        half = half_interval(recall.std(), len(recall))
        setting = rows.iloc[0]
        lines.append(
            [
                _escaped(method),
                f"{recall.mean():.3f} ± {half:.3f}",
                f"{rows['auroc'].mean():.4f}",
                f"{rows['invariance_ratio'].mean():.1e}",
                ""
                if pd.isna(setting.get("decay"))
                else f"{setting['entities']:.0f} entities, {setting['rate']:g}x, decay {setting['decay']:g}",
            ]
        )
    return markdown(["method", "recall@1", "AUROC", "invariance ratio", "chose"], lines)


def amounts_table(table: pd.DataFrame) -> str:
    """Recall@1, one column per method, one row per varied amount."""
    return _recalls_table(table, down="problem", across="method")


def defaults_table(table: pd.DataFrame) -> str:
    """Recall@1, one row per changed setting."""
    return _recalls_table(table, down="method", across="problem")


def pigs_table(table: pd.DataFrame) -> str:
    """Recall@1 of each method for each training set, mean over seeds and range."""
    lines = []
    for method, rows in table.groupby("method", sort=False):
        shares = rows.groupby("pigs", sort=False)["recall_at_1"]
        ranges = zip(shares.mean(), shares.min(), shares.max(), strict=True)
        lines.append([method, *(f"{mean:.3f} ({least:.3f} to {most:.3f})" for mean, least, most in ranges)])
    return markdown(["method", "all pigs learned from", "pigs left out"], lines)


def _recalls_table(table: pd.DataFrame, *, down: str, across: str) -> str:
    """Mean recall@1 over seeds, with the lowest in brackets."""
    columns = list(dict.fromkeys(table[across]))
    lines = []
    for name, rows in table.groupby(down, sort=False):
        recalls = rows.groupby(across)["recall_at_1"]
        mean, least = recalls.mean(), recalls.min()
        lines.append([_escaped(name), *(f"{mean[column]:.3f} ({least[column]:.3f})" for column in columns)])
    return markdown(["", *map(_escaped, columns)], lines)


def _escaped(cell: object) -> str:
    return str(cell).replace("|", r"\|")


if __name__ == "__main__":
    for file in map(Path, sys.argv[1:]):
        of = {"amount": amounts_table, "defaults": defaults_table, "pigs": pigs_table}
        print(of.get(file.stem, scores_table)(pd.read_csv(file)))
