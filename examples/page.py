"""The tables of ``docs/real-data.md``, from the CSV files of a comparison."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from invlearn.results import half_interval

__all__ = ["scores_table"]


def scores_table(table: pd.DataFrame) -> str:
    """Means over seeds of each method's scores, a 95% interval for recall@1, and the setting that was chosen."""
    lines = [["method", "recall@1", "AUROC", "invariance ratio", "chose"], ["---"] * 5]
    for method, rows in table.groupby("method", sort=False):
        recall = rows["recall_at_1"]
        half = half_interval(recall.std(), len(recall))
        setting = rows.iloc[0]
        lines.append(
            [
                str(method).replace("|", r"\|"),
                f"{recall.mean():.3f} ± {half:.3f}",
                f"{rows['auroc'].mean():.4f}",
                f"{rows['invariance_ratio'].mean():.1e}",
                "" if pd.isna(setting["entities"]) else f"{setting['entities']:.0f} entities, {setting['rate']:g}x",
            ]
        )
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    for file in sys.argv[1:]:
        print(scores_table(pd.read_csv(Path(file))))
