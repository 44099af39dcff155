"""The paper's grids and claims through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from invlearn.cli import main
from invlearn.config.folder import conf_dir
from invlearn.display.tables import with_interval

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "outputs" / "reference"
PAGE = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")


def test_every_grid_is_a_command_that_help_shows(capsys: pytest.CaptureFixture[str]) -> None:
    for file in (conf_dir() / "grid").glob("*.yaml"):
        assert f"# invlearn train -m +grid={file.stem} " in file.read_text()
    assert main(["train", "--help"]) == 0
    assert "grid=fig1|fig2|fig3|fig4|fig5|own|tune" in capsys.readouterr().out


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
