"""The page on the paper's claims says what the committed runs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.page import (
    closed_form_table,
    growth_table,
    paths_table,
    recipe_table,
    scaling_table,
    stages_table,
    steps_table,
    whole_table,
)
from examples.page import amounts_table, defaults_table, pigs_table, scores_table
from examples.run import PROBLEMS
from invlearn.paper.figures import FIGURES

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "outputs" / "reference"
PAGE = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")


def test_the_tuning_table_comes_from_the_committed_table() -> None:
    import pandas as pd

    tuned = pd.read_csv(REFERENCE / "tune.csv")
    for (network, depth, clip), rows in tuned.groupby(["network", "depth", "clip"]):
        losses = " | ".join(f"{loss:.2g}" for loss in rows.sort_values("lr")["valid_loss"].fillna(float("inf")))
        assert f"| {network} | {depth} | {clip} | {losses} |" in PAGE


def test_the_numbers_on_speed_come_from_the_committed_tables() -> None:
    import pandas as pd

    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    tables = {"steps": steps_table, "recipe": recipe_table, "scaling": scaling_table, "paths": paths_table}
    tables |= {
        "whole": whole_table,
        "closed_form": closed_form_table,
        "closed_form_stages": stages_table,
        "closed_form_growth": growth_table,
    }
    for name, table in tables.items():
        assert table(pd.read_csv(REFERENCE / "bench" / f"{name}.csv")) in page
    for picture in ("steps", "scaling", "closed_form", "closed_form_growth"):
        assert f"../outputs/reference/bench/{picture}.png" in page
        assert (REFERENCE / "bench" / f"{picture}.png").stat().st_size < 500_000


@pytest.mark.parametrize("name", [*FIGURES, "fig1-activations"])
def test_every_figure_is_committed_and_shown(name: str) -> None:
    assert (REFERENCE / f"{name}.png").stat().st_size < 500_000
    assert f"../outputs/reference/{name}.png" in PAGE


def test_the_numbers_on_real_data_come_from_the_committed_tables() -> None:
    import pandas as pd

    page = (ROOT / "docs" / "real-data.md").read_text(encoding="utf-8")
    for file in (REFERENCE / "examples" / f"{name}.csv" for name in PROBLEMS):
        assert scores_table(pd.read_csv(file)) in page
        for picture in (f"{file.stem}.png", f"{file.stem}-views.png"):
            assert f"../outputs/reference/examples/{picture}" in page
            assert (file.parent / picture).stat().st_size < 500_000
    assert pigs_table(pd.read_csv(REFERENCE / "examples" / "pigs.csv")) in page


def test_the_numbers_on_how_much_data_come_from_the_committed_tables() -> None:
    import pandas as pd

    page = (ROOT / "docs" / "how-much-data.md").read_text(encoding="utf-8")
    for name, table in (("amount", amounts_table), ("defaults", defaults_table)):
        assert table(pd.read_csv(REFERENCE / "examples" / f"{name}.csv")) in page
    assert "../outputs/reference/examples/amount.png" in page
    assert (REFERENCE / "examples" / "amount.png").stat().st_size < 500_000
