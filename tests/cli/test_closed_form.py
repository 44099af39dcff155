"""``invlearn train model=polynomial``: the same run directory, and all that can be done with it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import invlearn
from invlearn.cli import main
from invlearn.runs.layout import BEST, LAST
from invlearn.runs.mending import mend
from tests.support.errors import assert_error_line, has_line
from tests.support.own_data import entity_table, pair_table, write
from tests.support.processes import in_processes
from tests.support.runs import set_status

TRAIN = ["-m", "invlearn", "train"]
SIZES = ["dataset.size=3000", "dataset.valid_size=1000", "dataset.test_size=1000"]


def train(run: Path, *words: str) -> int:
    return main(["train", "model=polynomial", *words, f"hydra.run.dir={run}"])


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("closed form") / "run"
    assert train(run, *SIZES, "replicas=2") == 0
    return run


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    table = entity_table(entities=120, copies=4, noise=0.005)
    write(table, folder / "samples.csv")
    new = entity_table(entities=50, copies=2, noise=0.005, seed=1).sort_values("id", kind="stable")
    write(new.iloc[0::2], folder / "a.csv")
    write(new.iloc[1::2], folder / "b.csv")
    words = ["dataset=entities", f"dataset.path={folder / 'samples.csv'}", "dataset.entity=id"]
    assert train(folder / "run", *words) == 0
    return folder


def test_a_run_is_complete_and_measured_alike(family: Path, capsys) -> None:
    names = {path.relative_to(family).as_posix() for path in family.rglob("*") if path.is_file()}
    assert names >= {"config.yaml", "run.json", "metrics.csv", "curves.png", "train.log", BEST, LAST}
    record = json.loads((family / "run.json").read_text())
    assert record["status"] == "completed"
    assert record["metrics"]["mse_invariance"] < 1e-12
    assert record["parameters"] > 100
    table = pd.read_csv(family / "metrics.csv")
    assert {"replica", "degree", "components", "valid_loss"} <= set(table)
    capsys.readouterr()
    assert main(["evaluate", str(family)]) == 0
    assert has_line(capsys.readouterr().out, "recall_at_1", 1)
    run = invlearn.load_run(family)
    metrics, _ = run.evaluate()
    known = {name: value for name, value in record["replicas"][0]["metrics"].items() if value is not None}
    assert {name: metrics[0][name] for name in known} == pytest.approx(known, rel=1e-3, abs=1e-12)
    assert run.encode(np.zeros((3, 10)), replica=1)[1].shape == (3, 0)


def test_the_same_command_does_nothing_and_another_is_refused(family: Path, capsys) -> None:
    before = {path: path.read_bytes() for path in family.rglob("*.pt")}
    assert train(family, *SIZES, "replicas=2") == 0
    assert "finished" in capsys.readouterr().out
    assert train(family, *SIZES, "replicas=2", "model.degree=2") == 2
    assert_error_line(capsys.readouterr().err, key="model.degree", value=["auto", 2])
    assert {path: path.read_bytes() for path in before} == before


def test_a_closed_form_has_no_epochs_to_extend(family: Path, capsys) -> None:
    assert main(["resume", str(family), "--epochs", "3"]) == 2
    assert_error_line(capsys.readouterr().err, key="--epochs", file=family)


def test_an_interrupted_run_is_measured_and_not_solved_again(family: Path, tmp_path: Path, monkeypatch) -> None:
    run = shutil.copytree(family, tmp_path / "run")
    set_status(run, "interrupted")
    (run / BEST).unlink()
    monkeypatch.setattr("invlearn.runs.session.solve_or_join", None)  # which would fail
    assert main(["resume", str(run)]) == 0
    records = [json.loads((folder / "run.json").read_text()) for folder in (run, family)]
    assert records[0]["replicas"] == records[1]["replicas"]
    assert (run / "metrics.csv").read_bytes() == (family / "metrics.csv").read_bytes()


@pytest.mark.parametrize("name", [BEST, "metrics.csv", "run.json", "config.yaml"])
def test_a_lost_file_is_written_anew(name: str, family: Path, tmp_path: Path) -> None:
    run = shutil.copytree(family, tmp_path / "run")
    (run / name).unlink()
    assert main(["resume", str(run)]) == 0
    assert (run / name).exists()
    assert main(["evaluate", str(run)]) == 0


def test_a_finished_run_is_whole(family: Path) -> None:
    from invlearn.runs.directory import RunDirectory

    assert mend(RunDirectory(family)) == []


def test_replicas_give_what_runs_of_their_own_give(family: Path, tmp_path: Path) -> None:
    assert train(tmp_path / "alone", *SIZES, "seed=1") == 0
    x = np.random.default_rng(0).uniform(-1, 1, (20, 10))
    together = invlearn.load_run(family).encode(x, replica=1)[0]
    np.testing.assert_allclose(invlearn.load_run(tmp_path / "alone").encode(x)[0], together, rtol=1e-4, atol=1e-5)


def test_own_samples_are_matched(own: Path, capsys) -> None:
    run, a, b = (str(own / name) for name in ("run", "a.csv", "b.csv"))
    assert main(["match", run, a, b, "-o", str(own / "matches.csv")]) == 0
    matches = pd.read_csv(own / "matches.csv")
    assert len(matches) == 50
    found = matches.filter(like="id").iloc[:, 0] == matches.filter(like="id").iloc[:, 1]
    assert found.mean() > 0.9
    assert main(["embed", run, a, "-o", str(own / "codes.csv")]) == 0
    assert len(pd.read_csv(own / "codes.csv")) == 50
    assert main(["evaluate", run, str(own / "samples.csv")]) == 0


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_an_export_gives_the_same_codes(form: str, own: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert main(["export", str(own / "run"), "--format", form, "-o", str(tmp_path / "encoder")]) == 0


@pytest.mark.parametrize("word", ["model=convolution model.kernels=30", "model=fourier model.features=60"])
def test_other_features_are_used_alike(word: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert train(tmp_path / "run", *word.split(), *SIZES, "dataset.dim=12", "replicas=2") == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["metrics"]["auroc"] > 0.8
    for form in ("onnx", "torch"):
        assert main(["export", str(tmp_path / "run"), "--format", form, "-o", str(tmp_path / "encoder")]) == 0
    assert main(["evaluate", str(tmp_path / "run")]) == 0


def test_pairs_are_learned_from(tmp_path: Path) -> None:
    write(pair_table(pairs=600), tmp_path / "pairs.csv")
    assert train(tmp_path / "run", "dataset=pairs", f"dataset.path={tmp_path / 'pairs.csv'}") == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["metrics"]["auroc"] > 0.95


def test_a_dry_run_tells_the_features(tmp_path: Path, capsys) -> None:
    assert train(tmp_path / "run", "--dry-run", "model.degree=2") == 0
    shown = capsys.readouterr().out
    assert has_line(shown, "features", 65)
    assert has_line(shown, "time", "s on cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("optimizer.lr=0.1", "optimizer.lr"),
        ("trainer.epochs=3", "trainer.epochs"),
        ("loss.weight=2", "loss.weight"),
        ("loss=contrastive", "loss"),
        ("optimizer=sgd", "optimizer"),
        ("model.degree=4", "model.degree"),
        ("model.rank=0", "model.rank"),
        ("model=convolution model.channels=3", "model"),
    ],
)
def test_settings_that_mean_nothing_are_refused(word: str, key: str, tmp_path: Path, capsys) -> None:
    assert train(tmp_path / "run", *word.split()) == 2
    assert_error_line(capsys.readouterr().err, key=key)
    assert not (tmp_path / "run").exists()


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    # More rows than one piece of moments holds, and noise: the directions of clean data are as rounding has it.
    path = write(entity_table(entities=6_000, copies=4, dim=12, noise=0.1), tmp_path / "samples.parquet")
    words = ["dataset=entities", f"dataset.path={path}", "dataset.entity=id"]
    words += ["model.degree=3", "dtype=float64", "threads=1"]
    assert train(tmp_path / "one", *words) == 0
    done = in_processes(2, *TRAIN, "model=polynomial", *words, f"hydra.run.dir={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("training in") == 1  # the first alone speaks and writes
    one, two = (pd.read_csv(tmp_path / name / "metrics.csv") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two, rtol=1e-6)
    runs = [invlearn.load_run(tmp_path / name) for name in ("one", "two")]
    x = np.random.default_rng(0).normal(size=(20, 12))
    distances = [np.linalg.norm(z[:, None] - z, axis=-1) for z, _ in (run.encode(x) for run in runs)]
    np.testing.assert_allclose(*distances, rtol=1e-4)


def test_a_run_on_a_file_has_a_verdict(own: Path, family: Path) -> None:
    verdict = invlearn.load_run(own / "run").verdict
    assert verdict is not None
    assert verdict.among == 12
    assert verdict.kind == "few"
    record = json.loads((own / "run" / "run.json").read_text())
    assert [row["name"] for row in record["references"]] == ["raw", "standardised", "components", "fisher"]
    assert invlearn.load_run(family).verdict is None


def test_two_processes_learn_from_a_file(own: Path, tmp_path: Path) -> None:
    file = ["dataset=entities", f"dataset.path={own / 'samples.csv'}", "dataset.entity=id"]
    done = in_processes(2, *TRAIN, "model=polynomial", *file, f"hydra.run.dir={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("verdict") == 1
    one, two = (pd.read_csv(run / "metrics.csv") for run in (own / "run", tmp_path / "two"))
    pd.testing.assert_frame_equal(one, two, rtol=1e-6)


def test_a_process_that_cannot_go_on_says_why(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys\n"
        "from invlearn.cli import main\n"
        "from invlearn.errors import UserError\n"
        "from invlearn.training.experiment import Experiment\n"
        "def refuse(*_, **__): raise UserError('dataset.size: too many for this machine')\n"
        "if os.environ['RANK'] == '1': Experiment.from_config = refuse\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = [str(script), "train", "model=polynomial", *SIZES, f"hydra.run.dir={tmp_path / 'run'}"]
    done = in_processes(2, *words)
    assert done.returncode != 0
    assert re.search(r"invlearn: .*process 1.*dataset\.size", done.stderr)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_processes_share_no_training(tmp_path: Path, monkeypatch, capsys) -> None:
    done = in_processes(2, *TRAIN, "model=extended", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode != 0
    assert len([line for line in done.stderr.splitlines() if line.startswith("invlearn: ")]) == 1
    assert "invlearn/" not in done.stderr  # no traceback of ours
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for words, key in ((["train", "-m", "model=polynomial", "seed=1,2"], "-m"), (["resume", str(tmp_path)], "resume")):
        assert main(words) == 2
        assert_error_line(capsys.readouterr().err, key=key)
