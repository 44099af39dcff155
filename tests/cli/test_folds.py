"""Few entities: a choice by cross-validation, and training on all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytest
import torch

import invlearn
from invlearn.cli import main
from invlearn.runs import comparison, final, session
from invlearn.runs.directory import RunDirectory
from tests.support.choosing import record_of, splits_of, train
from tests.support.errors import assert_error_line, assert_line, has_line
from tests.support.own_data import entity_table, pair_table, write
from tests.support.wrong_labels import mislabelled


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(entity_table(60), tmp_path_factory.mktemp("choice") / "samples.csv")


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few entities: models are compared on folds, and the best is trained on all."""
    folder = tmp_path_factory.mktemp("folded")
    assert train(write(entity_table(24), folder / "samples.csv"), folder / "run", "model.folds=auto") == 0
    return folder / "run"


def test_few_entities_are_divided_into_folds_and_all_are_trained_on(folded: Path, tmp_path: Path, capsys) -> None:
    record, run = record_of(folded), invlearn.load_run(folded)
    best = next(row["name"] for row in record["candidates"] if row["chosen"])
    folds = [RunDirectory(folded / "candidates" / f"{best}_fold{number}") for number in range(1, 7)]
    assert run.config["dataset"]["fold"] == "all/6"
    assert record["folds"] == 6
    parts = [splits_of(fold.path) for fold in folds]
    assert sorted(entity for part in parts for entity in part["test"].tolist()) == list(range(24))
    for part in parts:
        assert sorted(torch.cat([*part.values()]).tolist()) == list(range(24))
    assert record["metrics"]["recall_at_1"] == pytest.approx(
        sum(fold.record()["metrics"]["recall_at_1"] for fold in folds) / 6
    )
    assert record["verdict"]["entities"] == 24
    assert record["verdict"]["among"] == 4
    assert sum(
        of_fold.calibration().different_entities or 0 for of_fold in map(invlearn.load_run, map(str, folds))
    ) == (run.calibration().different_entities)
    assert main(["evaluate", str(folded)]) == 2
    assert_error_line(capsys.readouterr().err, file=folded.name)
    others = write(entity_table(30, seed=1), tmp_path / "others.csv")
    assert main(["evaluate", str(folded), str(others)]) == 0
    assert main(["match", str(folded), str(others), "-o", str(tmp_path / "pairs.csv")]) == 0


def test_a_model_far_behind_is_given_up_after_three_folds(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("invlearn.runs.comparison.EQUAL", -1.0)  # else no network is begun
    samples = write(entity_table(24, noise=0.001), tmp_path / "samples.csv")
    for _ in range(2):  # the second time from the stored runs
        assert train(samples, tmp_path / "run", "model.folds=auto", "trainer.epochs=1") == 0
        closed, network = record_of(tmp_path / "run")["candidates"]
        assert closed["chosen"]
        assert network["status"] == "stopped"
        assert network["seconds"] > 0
        assert "3 of 6 folds, where polynomial has" in network["reason"]
        assert_line(capsys.readouterr().out, "extended: stopped", "3 of 6 folds")
        names = {path.name for path in (tmp_path / "run/candidates").iterdir()}
        assert {name for name in names if name.startswith("extended")} == {f"extended_fold{n}" for n in (1, 2, 3)}
        (tmp_path / "run/run.json").unlink()


@pytest.mark.parametrize("folds", [1, 3])
def test_a_final_closed_form_keeps_the_normalisation_of_the_divisions(
    samples: Path, folds: int, tmp_path: Path
) -> None:
    words = ["~model.models.extended", "+model.models.polynomial.refit=0"]
    words += [f"model.folds={folds}", "model.train_on_all=true"]
    assert train(samples, tmp_path / "run", *words) == 0
    kinds = {(0, 0, 0): "none", (0, 1, 0): "sphere", (1, 1, 0): "standardise", (0, 0, 1): "robust"}
    tried: dict[str, set[tuple[float, ...]]] = {}
    chosen = []
    for path in (tmp_path / "run/candidates").iterdir():
        rows = pd.read_csv(path / "metrics.csv").set_index("epoch")[["centred", "sphered", "bounded"]]
        tried[path.name] = {*rows.itertuples(index=False, name=None)}
        if not path.name.endswith("_all"):
            chosen.append(tuple(rows.loc[record_of(path)["replicas"][0]["best_epoch"]]))
    kind = max({*chosen}, key=chosen.count)
    assert invlearn.load_run(tmp_path / "run").config["model"]["normalize"] == kinds[kind]
    assert tried.pop("polynomial_all") == {kind}
    assert [{*kinds} for _ in range(folds)] == [*tried.values()]


def test_with_wrong_labels_a_final_closed_form_compares_all_normalisations(tmp_path: Path, capsys) -> None:
    table, _ = mislabelled(entity_table(150, 5, 6))
    words = ["~model.models.extended", "model.folds=1", "model.train_on_all=true"]
    assert train(write(table, tmp_path / "samples.csv"), tmp_path / "run", *words) == 0
    assert comparison.suspects_of(RunDirectory(tmp_path / "run/candidates/polynomial"))
    assert invlearn.load_run(tmp_path / "run").config["model"]["normalize"] == "auto"


@pytest.mark.parametrize("stored", ["auto", "robust"])
def test_a_final_closed_form_that_is_there_goes_on_as_it_was_begun(
    stored: Literal["auto", "robust"], samples: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    """Such as one of an earlier version, which compared all normalisations again."""
    words = ["~model.models.extended", "model.folds=3"]
    with monkeypatch.context() as patched:
        patched.setattr(final, "_settled", lambda comparison, name, experiment: experiment.normalizing(stored))
        assert train(samples, tmp_path / "run", *words) == 0
    (tmp_path / "run/run.json").unlink()
    (tmp_path / "run/candidates/polynomial_fold2/checkpoints/last.pt").unlink()
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert invlearn.load_run(tmp_path / "run").config["model"]["normalize"] == stored


def test_the_division_into_folds_is_told(samples: Path, tmp_path: Path, capsys) -> None:
    words = ["~model.models.extended", "model.train_on_all=false"]
    assert train(samples, tmp_path / "run", *words, "model.folds=3", "--dry-run") == 0
    told = capsys.readouterr().out
    assert_line(told, "entities", 60, 3, "folds")
    assert "few valid" not in told


def test_folds_that_were_interrupted_go_on(folded: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    samples, run, store_table = folded.parent / "samples.csv", tmp_path / "run", session._store_table
    calls = []

    def interrupted(*arguments: Any) -> None:
        store_table(*arguments)
        calls.append(arguments)
        if len(calls) == 9:  # in the second fold of the network
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(session, "_store_table", interrupted)
        assert train(samples, run, "model.folds=auto") == 130
    assert main(["resume", str(run)]) == 0
    for file in sorted(folded.rglob("metrics.csv")):
        assert file.read_bytes() == (run / file.relative_to(folded)).read_bytes()
    ours, theirs = record_of(run), record_of(folded)
    for key in ("metrics", "verdict", "references", "folds"):
        assert ours[key] == theirs[key]
    assert [each["calibration"] for each in ours["replicas"]] == [each["calibration"] for each in theirs["replicas"]]


def test_folds_that_the_data_do_not_allow_are_found_before_anything_is_written(
    samples: Path, tmp_path: Path, capsys
) -> None:
    for words in (["model.folds=31"], ["model.folds=31", "model.train_on_all=false"]):
        assert train(samples, tmp_path / "run", *words) == 2
        assert_error_line(capsys.readouterr().err, key="model.folds", value=[30, 31])
        assert not (tmp_path / "run").exists()
    table = pair_table(120)
    same = table["d"] == 0
    table = table[~same | (same.cumsum() <= 4)]  # too few for each of ten folds
    words = ["train", "dataset=pairs", f"dataset.path={write(table, tmp_path / 'pairs.csv')}", "model.folds=10"]
    assert main([*words, f"hydra.run.dir={tmp_path / 'run'}"]) == 2
    assert not (tmp_path / "run" / "request.yaml").exists()


def test_a_division_of_ones_own_is_kept(samples: Path, tmp_path: Path, capsys) -> None:
    for words in (["dataset.fold=1/3", "model.folds=3"], ["dataset.fold=all", "model.folds=3"]):
        assert train(samples, tmp_path / "run", *words) == 2
        assert_error_line(capsys.readouterr().err, key="dataset.fold")
    for fold in ("4/3", "1/2", "all/1", "some", "0/3"):
        assert train(samples, tmp_path / "run", "model=polynomial", f"dataset.fold={fold}") == 2
        assert_error_line(capsys.readouterr().err, key="dataset.fold", value=fold)
    assert not (tmp_path / "run").exists()
    assert train(samples, tmp_path / "run", "model=polynomial", "dataset.fold=2/3") == 0
    assert {split: len(part) for split, part in splits_of(tmp_path / "run").items()} == {
        "train": 20,
        "valid": 20,
        "test": 20,
    }


@pytest.mark.parametrize("model", ["polynomial", "extended"])
def test_a_run_on_all_entities_has_no_metrics_of_its_own(model: str, samples: Path, tmp_path: Path, capsys) -> None:
    words = ["model.start=closed_form"] if model == "extended" else []
    run = tmp_path / "run"
    assert train(samples, run, f"model={model}", "dataset.fold=all/3", *words) == 0
    record = record_of(run)
    assert not record["metrics"]
    assert record["replicas"][0]["calibration"] is None
    assert all(len(part) == 60 for part in splits_of(run).values())
    assert record["replicas"][0]["best_epoch"] == (3 if model == "extended" else record["replicas"][0]["best_epoch"])
    assert main(["match", str(run), str(samples), "-o", str(tmp_path / "pairs.csv")]) == 2
    assert_error_line(capsys.readouterr().err, file=run.name)
    assert main(["evaluate", str(run), str(samples)]) == 0
    assert_line(capsys.readouterr().err, "other entities", samples.name)
    before = (run / "run.json").read_bytes()
    assert main(["resume", str(run)]) == 0
    assert (run / "run.json").read_bytes() == before
    assert main(["embed", str(run), str(samples), "-o", str(tmp_path / "z.csv"), "--variant"]) == 0
    assert has_line(capsys.readouterr().err, "--variant", run.name) == (model == "polynomial")
