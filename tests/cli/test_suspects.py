"""Samples that do not fit their entity, on the command line: suspects.csv, and training without them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from invlearn.cli import main
from invlearn.runs import session
from tests.support.errors import assert_error_line, assert_line, has_line
from tests.support.own_data import entity_table, write
from tests.support.wrong_labels import mislabelled

FORM = ["model=polynomial", "model.degree=2"]
NETWORK = ["model=extended", "trainer.epochs=2", "dataset.size=512", "model.columns=24"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(mislabelled()[0], tmp_path_factory.mktemp("wrong") / "samples.csv")


def train(samples: Path, run: Path, *words: str) -> int:
    return main(
        ["train", "dataset=entities", f"dataset.path={samples}", "dataset.entity=id", *words, f"hydra.run.dir={run}"]
    )


def record(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


def listed(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "suspects.csv", dtype={"entity": str})


@pytest.mark.parametrize("words", [FORM, [*NETWORK, "replicas=2"]])
def test_a_run_lists_its_suspects_and_keeps_them(samples: Path, tmp_path: Path, capsys, words: list[str]) -> None:
    run = tmp_path / "run"
    assert train(samples, run, *words) == 0
    said, found = capsys.readouterr().out, record(run)
    assert found["suspects"] == len(listed(run))
    assert found["samples"] == 300
    assert has_line(said, found["suspects"], 300, "suspects.csv") == (found["suspects"] > 0)
    if words == FORM:
        assert set(listed(run)["row"]) == mislabelled()[1]
    content = (run / "suspects.csv").read_bytes() + b"\n"
    (run / "suspects.csv").write_bytes(content)  # measuring again does not write it anew
    (run / "run.json").unlink()
    assert main(["resume", str(run)]) == 0
    assert (run / "suspects.csv").read_bytes() == content
    assert record(run)["suspects"] == found["suspects"]


def test_where_labels_are_right_nothing_is_said(tmp_path: Path, capsys) -> None:
    samples = write(entity_table(60, 5, 6), tmp_path / "samples.csv")
    assert train(samples, tmp_path / "run", *FORM) == 0
    assert not has_line(capsys.readouterr().out, "suspects.csv")
    assert record(tmp_path / "run")["suspects"] == 0
    assert not len(listed(tmp_path / "run"))


def test_no_command_writes_over_suspects_nor_through_a_link(samples: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    assert train(samples, run, *FORM) == 0
    capsys.readouterr()
    assert main(["embed", str(run), str(samples), "-o", str(run / "suspects.csv")]) == 2
    assert_error_line(capsys.readouterr().err, also=["suspects.csv"])
    (run / "suspects.csv").unlink()
    (run / "suspects.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert main(["evaluate", str(run)]) == 2
    assert_error_line(capsys.readouterr().err, also=["suspects.csv"])
    assert not (tmp_path / "elsewhere.csv").exists()


@pytest.mark.parametrize("words", [FORM, NETWORK])
def test_a_run_without_the_suspects_of_another(samples: Path, tmp_path: Path, capsys, words: list[str]) -> None:
    assert train(samples, tmp_path / "first", *FORM) == 0
    out = shutil.copy(tmp_path / "first/suspects.csv", tmp_path / "out.csv")
    count = int((listed(tmp_path / "first")["split"] == "train").sum())
    capsys.readouterr()
    run = tmp_path / "second"
    assert train(samples, run, *words, f"dataset.leave_out={out}") == 0
    assert_line(capsys.readouterr().out, count, "dataset.leave_out")
    table = listed(run)
    assert set(table.loc[table["split"] == "left_out", "row"]) <= set(listed(tmp_path / "first")["row"])
    stored = yaml.safe_load((run / "config.yaml").read_text())["dataset"]
    assert stored["left_out"]
    # It has moved.
    moved = shutil.move(out, tmp_path / "moved.csv")
    assert train(samples, run, *words, f"dataset.leave_out={moved}") == 0
    # It lists other rows.
    (tmp_path / "other.csv").write_text("row\n7\n")
    capsys.readouterr()
    assert train(samples, run, *words, f"dataset.leave_out={tmp_path / 'other.csv'}") == 2
    assert_error_line(capsys.readouterr().err, also=["dataset.left_out"])
    assert train(samples, run, *words) == 2
    # A trained run does without it.
    Path(moved).unlink()
    assert main(["evaluate", str(run)]) == 0
    assert main(["evaluate", str(run), str(samples)]) == 0
    capsys.readouterr()
    (run / "run.json").unlink()
    assert main(["resume", str(run)]) == 2
    assert_error_line(capsys.readouterr().err, key="dataset.leave_out", file="out.csv")


@pytest.mark.parametrize("wrong", [True, False])
def test_networks_are_trained_without_the_suspects_of_a_closed_form(tmp_path: Path, capsys, wrong: bool) -> None:
    clean = entity_table(120, 4, 8, noise=0.05)
    samples = write(mislabelled(clean, every=8)[0] if wrong else clean, tmp_path / "samples.csv")
    words = ["model=auto", "model.folds=1", "dataset.size=512", "trainer.epochs=2", "model.minutes=1"]
    assert train(samples, tmp_path / "run", *words) == 0
    network = tmp_path / "run/candidates/extended"
    stored = yaml.safe_load((network / "config.yaml").read_text())["dataset"]
    assert bool(stored["leave_out"]) == wrong
    assert has_line(capsys.readouterr().out, "extended", "suspects.csv") == wrong
    if wrong:
        assert "polynomial" in stored["leave_out"]
        assert (tmp_path / "run/suspects.csv").is_file()
    # What was interrupted goes on with the same.
    assert main(["resume", str(tmp_path / "run")]) == 0


def test_a_choice_that_is_interrupted_goes_on_with_the_same_suspects(tmp_path: Path, monkeypatch) -> None:
    samples = write(mislabelled(entity_table(120, 4, 8, noise=0.05), every=8)[0], tmp_path / "samples.csv")
    words = ["model=auto", "model.folds=1", "model.train_on_all=false", "dataset.size=512", "trainer.epochs=3"]
    words.append("model.minutes=1")
    store_table, calls = session._store_table, []

    def interrupted(*arguments) -> None:
        store_table(*arguments)
        calls.append(arguments)
        if len(calls) == 3:  # the closed form, and two epochs of the network
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(session, "_store_table", interrupted)
        assert train(samples, tmp_path / "run", *words) == 130
    before = (tmp_path / "run/candidates/extended/config.yaml").read_text()
    assert yaml.safe_load(before)["dataset"]["leave_out"]
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run/candidates/extended/config.yaml").read_text() == before
