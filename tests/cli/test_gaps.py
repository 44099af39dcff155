"""Files with missing values, from training to use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from invlearn.cli import main
from invlearn.runs.checkpoint import load_checkpoint
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST
from tests.support.errors import assert_error_line, assert_line
from tests.support.interrupting import interrupted_after
from tests.support.own_data import entity_table, write
from tests.support.processes import in_processes

SHORT = ["model=extended", "trainer.epochs=3", "dataset.size=512", "model.columns=24"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(with_gaps(entity_table(60, 4, 6)), tmp_path_factory.mktemp("gaps") / "samples.csv")


def with_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """Without every eleventh value."""
    features = table.filter(regex="^f")
    gappy = features.mask(np.arange(features.size).reshape(features.shape) % 11 == 4)
    return pd.concat([table.drop(columns=features.columns), gappy], axis=1)


def train(samples: Path, run: Path, *words: str) -> int:
    return main(
        ["train", "dataset=entities", f"dataset.path={samples}", "dataset.entity=id", *words, f"hydra.run.dir={run}"]
    )


def test_a_resumed_run_fills_gaps_to_the_same_bits(samples: Path, tmp_path: Path, monkeypatch) -> None:
    assert train(samples, tmp_path / "whole", *SHORT) == 0
    with interrupted_after(2, monkeypatch):
        assert train(samples, tmp_path / "parts", *SHORT) == 130
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert main(["resume", str(tmp_path / "parts")]) == 0
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "parts/metrics.csv").read_bytes() == (tmp_path / "whole/metrics.csv").read_bytes()
    gaps = [load_checkpoint(RunDirectory(tmp_path / name), BEST, "cpu")["gaps"] for name in ("parts", "whole")]
    for name, part in gaps[0].items():
        assert torch.equal(part, gaps[1][name]), name


def test_every_command_fills_gaps_and_says_so(samples: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    assert train(samples, run, "model=polynomial", "model.degree=2") == 0
    assert_line(capsys.readouterr().out, "missing", 131, "1,440", "9.1%", 6)
    new = write(with_gaps(entity_table(40, 2, 6, seed=1)), tmp_path / "new.csv")
    for words, rows in (
        (["embed", str(run), str(new), "-o", str(tmp_path / "z.csv")], 80),
        (["match", str(run), str(new), "-o", str(tmp_path / "m.csv")], 80),
        (["embed", str(run), str(new), "-o", str(tmp_path / "kept.csv"), "--drop-missing"], 36),
    ):
        assert main(words) == 0
        err = capsys.readouterr().err
        if "--drop-missing" in words:
            assert err == ""
        else:
            assert_error_line(err, file="new.csv", value=[44, 480])
        assert len(pd.read_csv(words[words.index("-o") + 1])) == rows
    assert main(["evaluate", str(run), str(new)]) == 0
    assert_line(capsys.readouterr().out, "missing", 44, 480)
    assert main(["evaluate", str(run), str(new), "--drop", "missing"]) == 0
    assert_line(capsys.readouterr().out, "left out", 44)


def test_what_may_be_said_of_missing_values(samples: Path, tmp_path: Path, capsys) -> None:
    run = str(tmp_path / "run")
    assert train(samples, Path(run), "dataset.missing=guess") == 2
    assert_error_line(capsys.readouterr().err, key="dataset.missing", value="guess", suggests=["impute", "refuse"])
    assert train(samples, Path(run), "dataset.missing=refuse") == 2
    assert_error_line(capsys.readouterr().err, file="samples.csv", row=1, column="f4", suggests="dataset.drop")
    assert train(samples, Path(run), "--dry-run", "dataset.drop=[missing]") == 0
    assert_line(capsys.readouterr().out, "left out", 131, "missing")


def test_two_processes_fill_gaps_as_one_does(samples: Path, tmp_path: Path) -> None:
    words = ["dataset=entities", f"dataset.path={samples}", "dataset.entity=id", "model=polynomial", "dtype=float64"]
    assert main(["train", *words, f"hydra.run.dir={tmp_path / 'one'}"]) == 0
    done = in_processes(2, "-m", "invlearn", "train", *words, f"hydra.run.dir={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    one, two = (pd.read_csv(tmp_path / name / "metrics.csv") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two, rtol=1e-6)
