"""The tables of ``docs/performance.md``, from the CSV files of a run of all benchmarks."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from benchmarks.plots import WAYS
from invlearn.display.tables import markdown

__all__ = [
    "closed_form_table",
    "growth_table",
    "paths_table",
    "recipe_table",
    "scaling_table",
    "stages_table",
    "steps_table",
    "whole_table",
]

PEERS = {"jax_scan": "JAX", "pytorch_loop": "PyTorch loop", "lightning_trainer": "Lightning"}


def steps_table(steps: pd.DataFrame) -> str:
    """Milliseconds per step of invlearn, of its peers as multiples, and the roof's share of it."""
    heads = ["case", "R", "threads", "invlearn, ms", *PEERS.values(), "roof", "GFLOP/s", "MB a step"]
    rows = [
        [
            f"{row['model']}, {str(row['loss']).partition('_')[0]}, d = {row['dim']}, depth {row['depth']}",
            row["replicas"],
            row["threads"],
            f"{row['invlearn_stack']:.2f} ± {50 * row['spread_invlearn_stack']:.0f}%",
            *("" if pd.isna(row[f"ratio_{peer}"]) else f"{row[f'ratio_{peer}']:.1f}x" for peer in PEERS),
            f"{row['roof_share']:.0%}",
            f"{1e3 * row['gflop'] / row['invlearn_stack']:.0f}",
            f"{row['megabytes']:.1f}",
        ]
        for row in steps.to_dict("records")
    ]
    return markdown(heads, rows)


def recipe_table(recipe: pd.DataFrame) -> str:
    """Seconds of both sides and their ratio."""
    rows = [
        [
            row["comparison"],
            f"{row['invlearn']:.3g} s",
            *(["", ""] if pd.isna(row["ratio"]) else [f"{row['lightning']:.3g} s", f"{row['ratio']:.1f}x"]),
        ]
        for row in recipe.to_dict("records")
    ]
    return markdown(["from start to end", "invlearn", "Lightning", "ratio"], rows)


def whole_table(whole: pd.DataFrame) -> str:
    """Seconds of whole trainings, and the ratio of JAX to invlearn."""
    rows = [
        [
            row["case"],
            f"{row['invlearn']:.3g} s",
            f"{row['jax']:.3g} s",
            f"{row['ratio']:.2f}x",
            f"{row['jax_compiled']:.3g} s",
            f"{row['ratio_compiled']:.2f}x",
        ]
        for row in whole.to_dict("records")
    ]
    return markdown(["20 epochs", "invlearn", "JAX", "ratio", "JAX, compiled before", "ratio"], rows)


def scaling_table(scaling: pd.DataFrame) -> str:
    """Milliseconds per step for each value of each setting; memory for the number of pairs."""
    rows = []
    for axis, points in scaling.groupby("axis", sort=False):
        rows.append([f"`{axis}`", *(f"{value:,}" for value in points["value"])])
        rows.append(["ms a step", *(f"{ms:.3g}" for ms in points["ms"])])
        if axis == "dataset.size":
            rows.append(["MiB of the process", *(f"{mib:,.0f}" for mib in points["mib"])])
    width = max(map(len, rows))
    return markdown([""] * width, [row + [""] * (width - len(row)) for row in rows])


def paths_table(paths: pd.DataFrame) -> str:
    """Milliseconds per step of each loss, by hand-derived gradients if there are any, and by autograd."""
    rows = [
        [
            f"`{row['loss']}`",
            f"`{row['model']}`",
            row["replicas"],
            row["batch"],
            "" if pd.isna(row["hand_derived"]) else f"{row['hand_derived']:.2f}",
            f"{row['autograd']:.2f}",
            "" if pd.isna(row["hand_derived"]) else f"{row['autograd'] / row['hand_derived']:.1f}x",
        ]
        for row in paths.to_dict("records")
    ]
    heads = ["loss", "network", "R", "a step", "hand-derived, ms", "autograd, ms", "ratio"]
    return markdown(heads, rows)


def closed_form_table(closed_form: pd.DataFrame) -> str:
    """Seconds, memory and quality of each method for the same invariants."""
    rows = [
        [
            WAYS[row["way"]][0],
            f"{row['seconds']:.1f} ± {50 * row['spread_seconds']:.0f}%",
            f"{row['ratio_seconds']:.1f}x",
            f"{row['mib']:,.0f}",
            f"{row['ratio_mib']:.1f}x",
            f"{row['mib_process']:,.0f}",
            f"{row['invariance_ratio']:.2g}",
            f"{row['recall_at_1']:.3f}",
        ]
        for row in closed_form.to_dict("records")
    ]
    heads = ["", "seconds", "ratio", "MiB", "ratio", "MiB of the process", "`invariance_ratio`", "`recall_at_1`"]
    return markdown(heads, rows)


def stages_table(stages: pd.DataFrame) -> str:
    """Seconds of each stage of both closed forms; GFLOP/s and share of the roof for the fixed one."""
    fixed, default = (stages[stages["way"] == f"invlearn_{name}"] for name in ("fixed", "default"))
    rows = [
        [
            row["stage"],
            f"{row['seconds']:.2f}",
            *(
                ["", "", ""]
                if pd.isna(row["roof_share"])
                else [f"{row['gflop']:.0f}", f"{row['gflop'] / row['seconds']:.0f}", f"{row['roof_share']:.0%}"]
            ),
            f"{other:.2f}",
        ]
        for row, other in zip(fixed.to_dict("records"), default["seconds"], strict=True)
    ]
    return markdown(["stage", "fixed, s", "GFLOP", "GFLOP/s", "of the roof", "default, s"], rows)


def growth_table(growth: pd.DataFrame) -> str:
    """The closed form's seconds and memory at each size of each axis."""
    rows = [
        [
            row["axis"],
            row["rank"],
            f"{row['rows']:,}",
            f"{row['monomials']:,}",
            f"{row['moments']:.2g}",
            f"{row['eigenproblem']:.2g}",
            f"{row['seconds']:.2g}",
            f"{row['mib']:,.0f}",
        ]
        for row in growth[growth["way"] == "invlearn_fixed"].to_dict("records")
    ]
    heads = ["axis", "rank", "rows", "monomials", "moments, s", "eigenproblem, s", "in all, s", "MiB"]
    return markdown(heads, rows)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name, table in (
        ("steps", steps_table),
        ("recipe", recipe_table),
        ("whole", whole_table),
        ("scaling", scaling_table),
        ("paths", paths_table),
        ("closed_form", closed_form_table),
        ("closed_form_stages", stages_table),
        ("closed_form_growth", growth_table),
    ):
        if (folder / f"{name}.csv").exists():
            print(table(pd.read_csv(folder / f"{name}.csv")))
