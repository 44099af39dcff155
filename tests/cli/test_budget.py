"""``trainer.minutes``: a time limit for a run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import invlearn
from invlearn.cli import main
from invlearn.training.budget import Pace
from tests.support.choosing import SHORT, record_of, train
from tests.support.errors import assert_error_line, assert_line, counts
from tests.support.own_data import entity_table, write


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(entity_table(60), tmp_path_factory.mktemp("choice") / "samples.csv")


def test_a_budget_is_kept_and_the_same_command_finds_its_run(
    samples: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    run = tmp_path / "run"
    pace = Pace(start=1.0, epoch=1.5, validation=0.5)
    monkeypatch.setattr("invlearn.training.budget.rehearsed", lambda *_: (None, pace))
    words = ["model=extended", "trainer.minutes=0.1", "trainer.epochs=50"]
    assert train(samples, run, *words) == 0
    epochs = invlearn.load_run(run).config["trainer"]["epochs"]
    assert epochs == 2  # of six seconds, one is for the start and one and a half for the end
    assert len(pd.read_csv(run / "metrics.csv")) == epochs
    pace = Pace(start=0.1, epoch=0.2)  # an idle machine, this time
    for words_of in (lambda: train(samples, run, *words), lambda: main(["resume", str(run)])):
        capsys.readouterr()
        assert words_of() == 0
        assert_line(capsys.readouterr().out, run.name, "finished")
    assert train(samples, tmp_path / "none", "model=extended", "trainer.minutes=0") == 2
    assert_error_line(capsys.readouterr().err, key="trainer.minutes", value=0)


def test_a_run_with_a_budget_can_be_extended(samples: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    run, epochs = tmp_path / "run", "trainer.epochs=50"
    monkeypatch.setattr("invlearn.training.budget.rehearsed", lambda *_: (None, Pace(start=1.0, epoch=2.0)))
    assert train(samples, run, "model=extended", "trainer.minutes=0.1", epochs) == 0
    capsys.readouterr()
    assert train(samples, run, "model=extended", "trainer.minutes=0.2", epochs) == 2
    assert_error_line(capsys.readouterr().err, differs={"trainer.minutes": (0.1, 0.2)})
    assert main(["resume", str(run), "--epochs", "3"]) == 0
    assert train(samples, run, "model=extended", "trainer.epochs=4") == 0
    assert len(pd.read_csv(run / "metrics.csv")) == 4
    assert record_of(run)["extended"] == [{"from": 2, "to": 3}, {"from": 3, "to": 4}]
    capsys.readouterr()
    assert train(samples, run, "model=extended", "trainer.minutes=0.1", epochs) == 2  # would not know when to end
    assert_error_line(capsys.readouterr().err, file=run, key="trainer.minutes")
    assert len(pd.read_csv(run / "metrics.csv")) == 4


def test_a_budget_holds_for_each_run_of_a_sweep(samples: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("invlearn.training.budget.rehearsed", lambda *_: (None, Pace(start=1.0, epoch=2.0)))
    words = ["train", "-m", "dataset=entities", f"dataset.path={samples}", "dataset.entity=id", *SHORT[:-1]]
    words += ["model=extended", "trainer.minutes=0.1", "trainer.epochs=9", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    assert main([*words, "seed=0,1"]) == 0
    assert [len(pd.read_csv(table)) for table in tmp_path.rglob("metrics.csv")] == [2, 2]
    capsys.readouterr()
    assert main([*words, "seed=0,1"]) == 0
    assert counts(capsys.readouterr().out.splitlines()[0]) == {"finished": 2}
