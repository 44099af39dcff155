"""Runs by the library: trained into a directory, extended, refused, loaded again."""

from __future__ import annotations

import copy
import io
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import invlearn
from invlearn.config import GROUPS, config_hash
from invlearn.errors import UserError
from invlearn.runs import session
from invlearn.runs.directory import RunDirectory
from invlearn.runs.record import RESULTS, closing_record
from invlearn.runs.session import run_experiment
from invlearn.runs.train import train
from tests.support.errors import naming
from tests.support.own_data import SHORT, entity_table, write
from tests.support.runs import forge
from tests.support.training import CPU, experiment_of, start_with_nan
from tests.support.wrong_labels import mislabelled


def test_longer_training_extends_a_finished_run(tiny: list[str], tmp_path: Path) -> None:
    train(tiny, tmp_path)
    first = RunDirectory(tmp_path).metrics()
    run = train([*tiny, "trainer.epochs=4"], tmp_path)
    table, record = run.directory.metrics(), run.directory.record()
    assert table["epoch"].tolist() == [1, 2, 3, 4]
    assert table[:2].equals(first)
    assert record["extended"] == [{"from": 2, "to": 4}]
    assert record["metrics"]["mse_reconstruction"] < first["valid_mse_reconstruction"].iloc[-1]


def test_another_config_is_refused_and_nothing_changes(tiny: list[str], tmp_path: Path) -> None:
    train(tiny, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=naming(file=tmp_path, differs={"optimizer.lr": (0.01, 1.0), "seed": (0, 1)})):
        train([*tiny, "seed=1", "optimizer.lr=1"], tmp_path)
    with pytest.raises(UserError, match=naming(differs={"trainer.epochs": (2, 1)})):
        train([*tiny, "trainer.epochs=1"], tmp_path)
    with pytest.raises(UserError, match=naming(differs={"replicas": (1, 2)})):
        train([*tiny, "replicas=2"], tmp_path)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_where_a_run_computes_does_not_change_which_run_it_is(tiny: list[str], tmp_path: Path) -> None:
    train(tiny, tmp_path)
    stamp = (tmp_path / "run.json").read_bytes()
    train([*tiny, "device=cpu", "threads=2"], tmp_path)
    assert (tmp_path / "run.json").read_bytes() == stamp


def test_a_key_that_did_not_exist_yet_counts_at_its_default(tiny: list[str], tmp_path: Path) -> None:
    train(tiny, tmp_path)
    whole = RunDirectory(tmp_path).config()
    before = copy.deepcopy(whole)
    replicas = RunDirectory(tmp_path).record()["replicas"]
    # Not at their defaults here, or not of our constructors.
    others = {"_target_", "size", "valid_size", "test_size", "epochs", "betas", "fused"}
    for group in GROUPS:
        for key in set(whole[group]) - others:
            forge(tmp_path, lambda config: config.update(whole) or config[group].pop(key))  # noqa: B023
            stamp = (tmp_path / "run.json").read_bytes()
            train(tiny, tmp_path)
            assert (tmp_path / "run.json").read_bytes() == stamp, (group, key)
            whole = copy.deepcopy(before)
    assert RunDirectory(tmp_path).record()["replicas"] == replicas
    forge(tmp_path, lambda config: config.update(whole) or config["trainer"].pop("patience"))
    with pytest.raises(UserError, match=naming(differs={"trainer.patience": (None, 3)})):
        train([*tiny, "trainer.patience=3"], tmp_path)


def test_an_extension_killed_between_two_files_still_trains(tiny: list[str], tmp_path: Path) -> None:
    train(tiny, tmp_path)
    directory = RunDirectory(tmp_path)
    record, config = directory.record(), directory.config()
    longer = config_hash({**config, "trainer": {**config["trainer"], "epochs": 4}})
    directory.write_record({**record, "status": "running", "config_hash": longer, "replaces": record["config_hash"]})
    train([*tiny, "trainer.epochs=4"], tmp_path)
    assert "replaces" not in directory.record()
    assert directory.metrics()["epoch"].tolist() == [1, 2, 3, 4]


def test_an_extension_that_trains_no_epoch_costs_no_results(tiny: list[str], tmp_path: Path, monkeypatch) -> None:
    before = train(tiny, tmp_path).directory.record()
    files = {name: (tmp_path / name).read_bytes() for name in ("metrics.csv", "curves.png")}

    def full(*_: object) -> None:
        raise UserError("no space left on the disk")

    with monkeypatch.context() as patched:
        patched.setattr(session, "save_checkpoint", full)
        with pytest.raises(UserError, match="no space"):
            train([*tiny, "trainer.epochs=4"], tmp_path)
    failed = RunDirectory(tmp_path).record()
    assert failed["status"] == "failed"
    assert {key: failed[key] for key in RESULTS if key in failed} == {
        key: before[key] for key in RESULTS if key in before
    }
    again = train(tiny, tmp_path).directory.record()
    assert (again["status"], again["extended"]) == ("completed", [])
    assert again["replicas"] == before["replicas"]
    assert {name: (tmp_path / name).read_bytes() for name in files} == files
    assert train([*tiny, "trainer.epochs=3"], tmp_path).directory.record()["extended"] == [{"from": 2, "to": 3}]


def test_the_files_of_an_extended_run_are_those_of_its_encoder(tmp_path: Path, monkeypatch) -> None:
    file = write(mislabelled(entity_table(60, 4, 6))[0], tmp_path / "samples.csv")
    words = ["dataset=entities", f"dataset.path={file}", "dataset.entity=id", "model=extended", *SHORT[:3]]
    run, whole = tmp_path / "run", tmp_path / "whole"
    results = ("suspects.csv", "curves.png")
    train([*words, "trainer.epochs=1"], run)
    shutil.copytree(run, whole)
    old = [(run / name).read_bytes() for name in results]
    expected = train([*words, "trainer.epochs=3"], whole).directory.record()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(session, "closing_record", interrupted)
            with pytest.raises(KeyboardInterrupt):
                train([*words, "trainer.epochs=3"], run)
        assert not RunDirectory(run).record().keys() & {*RESULTS} - {"metrics"}
    assert train([*words, "trainer.epochs=3"], run).directory.record()["suspects"] == expected["suspects"]
    new = [(run / name).read_bytes() for name in results]
    assert new == [(whole / name).read_bytes() for name in results]
    assert all(one != other for one, other in zip(old, new, strict=True))


def test_missing_curves_are_drawn_again(tiny: list[str], tmp_path: Path) -> None:
    train(tiny, tmp_path)
    (tmp_path / "curves.png").unlink()
    train(tiny, tmp_path)
    assert (tmp_path / "curves.png").exists()


def test_a_replica_that_diverged_at_once_has_no_metrics(tiny: list[str], tmp_path: Path, monkeypatch) -> None:
    start_with_nan(monkeypatch, replica=1)
    record = train([*tiny, "replicas=3"], tmp_path).directory.record()
    assert [replica["diverged"] for replica in record["replicas"]] == [False, True, False]
    assert set(record["replicas"][1]["metrics"].values()) == {None}
    assert record["replicas"][0]["metrics"]["mse_invariance"] is not None
    assert record["best_replica"] != 1


def test_training_leaves_the_users_process_as_it_was(tiny: list[str], tmp_path: Path) -> None:
    before = torch.get_num_threads()
    train([*tiny, f"threads={before + 1}"], tmp_path)
    assert torch.get_num_threads() == before


def test_training_logs_to_its_own_file_alone(tiny: list[str], tmp_path: Path, monkeypatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler(shown)])
    train(tiny, tmp_path)
    assert "epoch" not in shown.getvalue()
    assert "epoch 2 of 2" in (tmp_path / "train.log").read_text()


def test_running_out_of_memory_names_what_to_lower(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=naming(also=["memory"], suggests=["replicas", "dataset.size"])):
        train(["dataset.size=1000000000000"], tmp_path)


def test_all_replicas_diverging_is_said_in_one_line(tiny: list[str], tmp_path: Path) -> None:
    hot = [*tiny, "optimizer=sgd", "optimizer.lr=1e30", "trainer.clip=null", "model=standard", "trainer.warmup_steps=0"]
    with pytest.raises(UserError, match=naming(also=["epoch 1"], suggests="optimizer.lr")):
        train(hot, tmp_path)
    assert RunDirectory(tmp_path).record()["status"] == "failed"


def test_a_run_directory_is_complete(tiny: list[str], tmp_path: Path) -> None:
    run = invlearn.train([*tiny, "dataset=permcycle", "replicas=2"], tmp_path / "run")
    names = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    expected = {".lock", "run.json", "config.yaml", "metrics.csv", "curves.png", "train.log"}
    assert names == expected | {"checkpoints/last.pt", "checkpoints/best.pt"}
    record = run.directory.record()
    assert record["status"] == "completed"
    assert record["seeds"] == [0, 1]
    assert record["metrics"] == run.metrics == record["replicas"][record["best_replica"]]["metrics"]
    losses = [replica["best_valid_loss"] for replica in record["replicas"]]
    assert losses[record["best_replica"]] == min(losses)
    assert record["parameters"] == sum(p.numel() for p in run.experiment.encoder("meta").parameters()) / 2
    table = run.directory.metrics()
    assert table.groupby("replica")["epoch"].apply(list).tolist() == [[1, 2], [1, 2]]
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_load_run_encodes_decodes_and_measures(tiny: list[str], tmp_path: Path) -> None:
    run = invlearn.train([*tiny, "dataset=permcycle", "replicas=2"], tmp_path)
    again = invlearn.load_run(tmp_path)
    assert torch.equal(again.family.order, run.family.order)  # type: ignore[attr-defined]
    x = again.experiment.draws(CPU).examples(again.experiment.loss.sampler, "test").x[0]
    x.numpy().flags.writeable = False
    z_inv, z_var = again.encode(x)
    assert z_inv.shape == (128, 10)
    assert z_var.shape == (128, 20)
    as_arrays = again.encode(x.double().numpy())
    assert (as_arrays[0] == z_inv.numpy()).all()
    assert again.decode(z_inv, z_var).shape == x.shape
    assert (again.decode(*as_arrays) == again.decode(z_inv, z_var).numpy()).all()
    assert "2 replicas" in repr(again)
    metrics, _ = again.evaluate()
    assert metrics[again.best_replica] == again.metrics
    assert metrics[1 - again.best_replica] != again.metrics
    best, other = again.best_replica, 1 - again.best_replica
    assert torch.equal(again.encode(x, replica=best)[0], z_inv)
    assert not torch.equal(again.encode(x, replica=other)[0], z_inv)
    for wrong in (x[0], x[:, :5]):
        with pytest.raises(ValueError, match=naming(also=["(n, 10)"])):
            again.encode(wrong)
    with pytest.raises(ValueError, match=naming(key="x", value="<U1")):
        again.encode(np.full((3, 10), "a"))
    with pytest.raises(ValueError, match=naming(key="x", also=["NaN"])):
        again.encode(np.full((3, 10), np.nan))
    with pytest.raises(ValueError, match=naming(key="replica", value=[0, 1, 2])):
        again.encode(x, replica=2)


def test_damaged_and_missing_runs_are_named(tiny: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=naming(file=tmp_path / "nowhere")):
        invlearn.load_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match=naming(file=tmp_path)):
        invlearn.load_run(tmp_path)
    invlearn.train(tiny, tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoints" / "best.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(UserError, match=naming(file="checkpoints/best.pt")):
        invlearn.load_run(tmp_path / "run")
    checkpoint.unlink()
    with pytest.raises(UserError, match=naming(file=[tmp_path / "run", "checkpoints/best.pt"])):
        invlearn.load_run(tmp_path / "run")


def test_tf32_and_threads_hold_for_the_run_alone(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[object, int]] = []

    def measured(*args: Any, **settings: Any) -> dict[str, Any]:
        seen.append((torch.backends.cuda.matmul.allow_tf32, torch.get_num_threads()))
        return closing_record(*args, **settings)

    monkeypatch.setattr("invlearn.runs.session.closing_record", measured)
    before = (torch.backends.cuda.matmul.allow_tf32, torch.get_num_threads())
    run_experiment(experiment_of(*tiny, "tf32=true", "threads=2"), RunDirectory(tmp_path / "run"))
    assert seen == [(True, 2)]
    assert (torch.backends.cuda.matmul.allow_tf32, torch.get_num_threads()) == before
