"""``invlearn evaluate``: a run measured on other files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from invlearn.cli import main
from tests.support.errors import assert_error_line, assert_line
from tests.support.own_data import SHORT, entity_table, pair_table, write


def test_a_run_is_measured_on_another_file(folder: Path, capsys) -> None:
    assert main(["evaluate", str(folder / "run"), "--entity", "id", str(folder / "both.parquet"), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert len(measured) == 2
    assert measured[0]["recall_among"] == 150
    assert main(["evaluate", str(folder / "run"), str(folder / "samples.csv")]) == 0
    out, err = capsys.readouterr()
    assert_line(err, "samples.csv", "trained")
    assert_line(out, "recall_at_1", 200)
    assert measured[0]["recall_at_1"] > 0.8
    assert measured[0]["pairs.calibration_error"] < 0.1
    assert measured[0]["nearest.log_loss"] < measured[0]["nearest.constant_log_loss"]
    assert_line(out, "pairs", "half")
    assert_line(out, "match --fpr 0.01", 100)
    assert main(["evaluate", str(folder / "run")]) == 0


def test_a_family_is_measured_on_a_file_that_says_what_an_entity_is(folder: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    assert main(["train", "dataset.dim=4", *SHORT, f"hydra.run.dir={run}"]) == 0
    assert main(["evaluate", str(run), str(folder / "both.parquet")]) == 2
    assert_error_line(capsys.readouterr().err, key="--entity", also=["column"])
    assert main(["evaluate", str(run), str(folder / "both.parquet"), "--entity", "id"]) == 0


def test_pairs_train_and_are_measured(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = pair_table(600)
    write(table.assign(d=np.where(table["d"] > 0, "Different", "same ")), tmp_path / "pairs.parquet")
    assert (
        main(
            ["train", "dataset=pairs", "model=extended", "dataset.path=pairs.parquet", *SHORT[:1], "hydra.run.dir=run"]
        )
        == 0
    )
    out = capsys.readouterr().out
    report = re.findall(r"(train|valid|test): (\d+) same and (\d+) different pairs", out)
    assert sum(int(same) for _, same, _ in report) == 300
    assert sum(int(different) for _, _, different in report) == 300
    assert main(["evaluate", "run", "pairs.parquet"]) == 0
    # Samples are encoded by the columns of x.
    pd.read_parquet("pairs.parquet").filter(regex="^x_[0-9]").to_csv("new.csv", index=False)
    assert main(["embed", "run", "new.csv", "-o", "z.csv"]) == 0
    assert pd.read_csv("z.csv").shape == (600, 4)


def test_equal_rows_of_different_entities_are_told_apart(folder: Path, tmp_path: Path, capsys) -> None:
    table = pd.read_parquet(folder / "both.parquet")
    features = [f"f{index}" for index in range(4)]
    for row, equal in ((5, 4), (9, 2)):
        table.loc[row, features] = table.loc[equal, features]
    file = write(table, tmp_path / "both.csv")
    words = ["evaluate", str(folder / "run"), str(file), "--drop", "duplicates", "--drop", "singletons"]
    assert main(words) == 0
    assert_line(capsys.readouterr().out, "left out", "2 rows", "equal", 1, "another entity")


def test_what_is_left_out_of_a_measurement_is_said(folder: Path, tmp_path: Path, capsys) -> None:
    table = pd.read_parquet(folder / "both.parquet")
    table.loc[3, "id"] = "lonely"
    file = write(table, tmp_path / "both.csv")
    assert main(["evaluate", str(folder / "run"), str(file), "--drop", "singletons"]) == 0
    out = capsys.readouterr().out
    assert_line(out, "left out", "2 entities")
    assert_line(out, "298 samples", "149 entities", 2)


@pytest.mark.parametrize("loss", ["supervised_dft", "contrastive"])
def test_any_encoder_is_measured_on_entities_of_a_file(
    loss: str, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = tmp_path / "run", write(entity_table(), tmp_path / "a.csv")
    assert main(["train", *tiny, f"loss={loss}", "dataset.dim=4", f"hydra.run.dir={run}"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), str(file), "--entity", "id", "--json"]) == 0
    (metrics,) = json.loads(capsys.readouterr().out)
    assert 0 < metrics["auroc"] <= 1
    assert ("loss" in metrics) == (loss == "contrastive")  # nobody knows the spectra of a file
    assert metrics["mse_modulus"] is None


def test_a_decoder_alone_cannot_be_measured_on_a_file(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = tmp_path / "run", write(entity_table(), tmp_path / "a.csv")
    words = ["loss=supervised_dft", "loss.objective=decoder", "dataset.dim=4", f"hydra.run.dir={run}"]
    assert main(["train", *tiny, *words]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), str(file), "--entity", "id"]) == 2
    assert_error_line(capsys.readouterr().err, file=[run, file])
    assert main(["embed", str(run), str(file), "-o", str(tmp_path / "z.csv"), "--features", "f0,f1,f2,f3"]) == 2
    assert_error_line(capsys.readouterr().err, also=["decoder"])
    assert not (tmp_path / "z.csv").exists()
