"""The page on the paper's claims says what the committed runs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.page import recipe_table, scaling_table, steps_table
from examples.page import amounts_table, defaults_table, scores_table
from invlearn.cli import main
from invlearn.paper.figures import FIGURES
from invlearn.runs.table import with_interval

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "outputs" / "reference"
PAGE = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")


def test_the_ledger_comes_from_the_committed_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--tables", str(REFERENCE), "--format", "markdown"]) == 0
    ledger = capsys.readouterr().out
    assert ledger in PAGE
    assert "not measured" not in ledger


def test_the_longer_runs_come_from_their_committed_tables(capsys: pytest.CaptureFixture[str]) -> None:
    import pandas as pd

    assert main(["claims", "--tables", str(REFERENCE / "long"), "--format", "markdown"]) == 0
    claims = [line for line in capsys.readouterr().out.splitlines() if "not measured" not in line]
    assert len(claims) == 2 + 6
    assert "\n".join(claims) in PAGE
    activations = pd.read_csv(REFERENCE / "long" / "activations.csv").dropna()  # the extended layer has none
    for row in activations.to_dict("records"):
        errors = [with_interval(row[name], row[f"{name}_ci95"]) for name in ("mse_modulus", "mse_code")]
        settings = [str(row[name]) for name in ("dataset.dim", "model.activation", "model.depth")]
        assert f"| {' | '.join([*settings, *errors])} |" in PAGE


def test_the_tuning_table_comes_from_the_committed_table() -> None:
    import pandas as pd

    tuned = pd.read_csv(REFERENCE / "tune.csv")
    for (network, depth, clip), rows in tuned.groupby(["network", "depth", "clip"]):
        losses = " | ".join(f"{loss:.2g}" for loss in rows.sort_values("lr")["valid_loss"].fillna(float("inf")))
        assert f"| {network} | {depth} | {clip} | {losses} |" in PAGE


def test_the_numbers_on_speed_come_from_the_committed_tables() -> None:
    import pandas as pd

    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for name, table in (("steps", steps_table), ("recipe", recipe_table), ("scaling", scaling_table)):
        assert table(pd.read_csv(REFERENCE / "bench" / f"{name}.csv")) in page


@pytest.mark.parametrize("name", [*FIGURES, "fig1-activations"])
def test_every_figure_is_committed_and_shown(name: str) -> None:
    assert (REFERENCE / f"{name}.png").stat().st_size < 500_000
    assert f"../outputs/reference/{name}.png" in PAGE


def test_the_numbers_on_real_data_come_from_the_committed_tables() -> None:
    import pandas as pd

    page = (ROOT / "docs" / "real-data.md").read_text(encoding="utf-8")
    for file in (REFERENCE / "examples" / f"{name}.csv" for name in ("leaves", "digits-mirrored", "digits-shifted")):
        assert scores_table(pd.read_csv(file)) in page
        for picture in (f"{file.stem}.png", f"{file.stem}-views.png"):
            assert f"../outputs/reference/examples/{picture}" in page
            assert (file.parent / picture).stat().st_size < 500_000


def test_the_numbers_on_how_much_data_come_from_the_committed_tables() -> None:
    import pandas as pd

    page = (ROOT / "docs" / "how-much-data.md").read_text(encoding="utf-8")
    for name, table in (("amount", amounts_table), ("defaults", defaults_table)):
        assert table(pd.read_csv(REFERENCE / "examples" / f"{name}.csv")) in page
    assert "../outputs/reference/examples/amount.png" in page
    assert (REFERENCE / "examples" / "amount.png").stat().st_size < 500_000
