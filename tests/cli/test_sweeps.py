"""Sweeps through the command line: skipped, continued, tried again."""

from __future__ import annotations

import gc
import json
import sys
import threading
from pathlib import Path

import pytest

from invlearn.cli import main
from invlearn.data import EntitySamples
from invlearn.runs.directory import RunDirectory
from invlearn.sweeps.plan import compose_sweep
from tests.support.errors import assert_error_line, assert_line, counts
from tests.support.interrupting import interrupted_after
from tests.support.own_data import entity_table, write
from tests.support.sweeping import SMALL, records_of, runs_of


def train(*words: str) -> int:
    return main(["train", "-m", "sweep=s", *SMALL, "trainer.epochs=2", *words])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_adding_values_trains_only_the_new_ones(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("model.depth=1,2") == 0
    told = capsys.readouterr().out.splitlines()[0]
    assert_line(told, 2, "outputs/sweeps/s")
    assert counts(told) == {"new": 2}
    before = {name: (run / "run.json").stat().st_mtime_ns for name, run in runs_of(here).items()}
    assert train("model.depth=1,2,3") == 0
    told = capsys.readouterr().out.splitlines()[0]
    assert_line(told, 3, "outputs/sweeps/s")
    assert counts(told) == {"finished": 2, "new": 1}
    after = {name: (run / "run.json").stat().st_mtime_ns for name, run in runs_of(here).items()}
    assert len(after) == 3
    assert {name: after[name] for name in before} == before


def test_a_failing_run_costs_no_other_and_is_tried_again(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from invlearn.runs import session as run

    def broken(state, experiment, *rest):
        if experiment.config["model"]["depth"] == 2:
            raise RuntimeError("a bug\nin many lines")
        return intact(state, experiment, *rest)

    intact = run.train_epochs
    monkeypatch.setattr(run, "train_epochs", broken)
    assert train("model.depth=1,2,3") == 1
    shown = capsys.readouterr().out
    statuses = {("depth=2" in name, record["status"]) for name, record in records_of(here).items()}
    assert statuses == {(False, "completed"), (True, "failed")}
    (failed,) = [run for name, run in runs_of(here).items() if "depth=2" in name]
    assert_line(shown, "failed", failed.name, "RuntimeError: a bug", f"{failed.relative_to(here)}/train.log")
    assert "Traceback" in (failed / "train.log").read_text()
    assert json.loads((failed / "run.json").read_text())["error"] == "RuntimeError: a bug"
    monkeypatch.setattr(run, "train_epochs", intact)
    assert train("model.depth=1,2,3") == 0
    assert counts(capsys.readouterr().out.splitlines()[0]) == {"finished": 2, "failed": 1}
    assert {record["status"] for record in records_of(here).values()} == {"completed"}


def test_on_error_stop_starts_no_more(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("seed=0,1,2", "optimizer.lr=1e30", "trainer.clip=null")
    assert train(*words, "on_error=stop") == 1
    assert [record["status"] for record in records_of(here).values()] == ["failed", "planned", "planned"]
    assert_line(capsys.readouterr().out, 2, "on_error=stop")
    assert train(*words) == 1
    assert counts(capsys.readouterr().out.splitlines()[0]) == {"failed": 1, "new": 2}
    assert {record["status"] for record in records_of(here).values()} == {"failed"}


def test_a_wrong_value_or_another_config_stops_a_sweep_before_it_starts(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("model.depth=1,0") == 2
    assert not (here / "outputs").exists()
    assert train("seed=0", "hydra.sweep.subdir=same") == 0
    capsys.readouterr()
    assert train("seed=1", "hydra.sweep.subdir=same") == 2
    assert_error_line(capsys.readouterr().err, file="outputs/sweeps/s/same", differs={"seed": (0, 1)})


def test_an_extended_run_stays_as_it_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has more than the sweep asks for, and keeps no other run from being trained."""
    assert train("model.depth=1") == 0
    (run,) = runs_of(here).values()
    assert main(["resume", str(run), "--epochs", "3"]) == 0
    before = (run / "run.json").read_bytes()
    assert json.loads(before)["epochs"] == 3
    capsys.readouterr()
    assert train("model.depth=1,2") == 0
    assert_line(capsys.readouterr().err, run.name, 3, 2)
    assert len(runs_of(here)) == 2
    assert (run / "run.json").read_bytes() == before


def test_an_extension_that_stops_costs_the_waiting_runs_nothing(here: Path, monkeypatch) -> None:
    words = ["seed=0,1", "hydra.sweep.subdir=${seed}"]
    assert train(*words) == 0
    before = records_of(here)
    with interrupted_after(2, monkeypatch):  # as it continues, and after the next epoch
        assert train(*words, "trainer.epochs=3") == 130
    after = records_of(here)
    assert (after["0"]["status"], after["0"]["metrics"]) == ("interrupted", None)
    assert after["1"]["metrics"] == before["1"]["metrics"]
    assert train(*words) == 0
    assert records_of(here)["1"]["replicas"] == before["1"]["replicas"]


def test_the_folder_of_a_sweeps_run_can_be_typed_as_it_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("model.depth=1") == 0
    (run,) = runs_of(here).values()
    assert "=" in run.name
    capsys.readouterr()
    folder = f"hydra.run.dir={run.relative_to(here)}"
    assert main(["train", *SMALL, "trainer.epochs=2", "model.depth=1", "sweep=s", folder]) == 0
    assert_line(capsys.readouterr().out, "finished")


def test_two_runs_for_one_folder_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("seed=0,1", "hydra.sweep.subdir=same") == 2
    assert_error_line(capsys.readouterr().err, file="outputs/sweeps/s/same", differs={"seed": (0, 1)})
    assert train("seed=0,1", "hydra.sweep.subdir=${hydra.job.num}") == 2
    assert_error_line(capsys.readouterr().err, key=["hydra.sweep.subdir", "hydra.job.num"])
    assert not (here / "outputs").exists()


def test_two_files_are_two_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["dataset=entities", "hydra.sweep.dir=out", "dataset.path=in/s.csv,in_s.csv"]
    assert main(["train", "-m", *words]) == 2
    assert_error_line(capsys.readouterr().err, differs={"dataset.path": ("in/s.csv", "in_s.csv")})


def test_a_sweep_trains_without_the_data_of_its_checks(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = []

    def run_sweep(*_: object) -> int:
        gc.collect()
        alive.extend(each for each in gc.get_objects() if type(each) is EntitySamples)
        return 0

    for seed in range(2):
        write(entity_table(seed=seed), here / f"{seed}.csv")
    monkeypatch.setattr("invlearn.sweeps.run.run_sweep", run_sweep)
    words = ["dataset=entities", "dataset.entity=id", "model=polynomial", "dataset.path=0.csv,1.csv"]
    gc.collect()
    before = sum(type(each) is EntitySamples for each in gc.get_objects())
    assert main(["train", "-m", *words]) == 0
    assert len(alive) == before


def test_the_sweeps_folder_may_depend_on_a_swept_key(here: Path) -> None:
    assert train("model.depth=1,2", "hydra.sweep.dir=out/${model.depth}") == 0
    assert len(list(here.glob("out/1/*/run.json"))) == len(list(here.glob("out/2/*/run.json"))) == 1


def test_what_is_typed_beside_a_grid_reaches_the_models_that_read_it(here: Path) -> None:
    jobs = compose_sweep(["+grid=own", "dataset=twopart", "trainer.epochs=3", "seed=2"]).jobs
    assert [job.config.trainer.get("epochs") for job in jobs] == [None, 3, 3, 3, 3]
    assert {job.config.seed for job in jobs} == {2}


def test_whatever_a_grid_sets_holds_for_its_runs(here: Path) -> None:
    (here / "mine" / "grid").mkdir(parents=True)
    (here / "mine" / "grid" / "pair.yaml").write_text(
        "# @package _global_\nsweep: s\nreplicas: 2\ngrid:\n  smoke:\n    - model.depth=1,2\n"
    )
    assert main(["train", "-m", "--config-dir", "mine", "+grid=pair", "preset=smoke", *SMALL]) == 0
    assert [record["seeds"] for record in records_of(here).values()] == [[0, 1], [0, 1]]
    assert main(["train", "--config-dir", "mine", "+grid=pair", "preset=smoke"]) == 2


def test_a_run_that_another_process_finished_meanwhile_stays_finished(here: Path) -> None:
    from invlearn.config import as_plain
    from invlearn.runs.checking import check_run
    from invlearn.sweeps.plan import compose_sweep
    from invlearn.sweeps.run import _mark_planned

    assert train("seed=0") == 0
    (job,) = compose_sweep(["sweep=s", *SMALL, "trainer.epochs=2", "seed=0"]).jobs
    before = records_of(here)
    assert not _mark_planned(RunDirectory(job.folder), check_run(as_plain(job.config), RunDirectory(job.folder))[0])
    assert records_of(here) == before


def test_looking_at_a_lock_keeps_nobody_from_training(tmp_path: Path) -> None:
    directory, stop = RunDirectory(tmp_path), threading.Event()

    def look() -> None:
        while not stop.is_set():
            _ = directory.is_locked

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(100):
            with directory.locked():
                pass
    finally:
        stop.set()
        watcher.join()


def test_a_failure_before_training_is_written_down_too(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from invlearn.runs import checking, session

    intact, checked = session.resolve_device, []

    def broken(name: str):
        if len(checked) == 2:  # both runs were checked, now they are to be trained
            raise RuntimeError(f"no driver for {name}")
        checked.append(name)
        return intact(name)

    monkeypatch.setattr(checking, "resolve_device", broken)
    monkeypatch.setattr(session, "resolve_device", broken)
    assert train("seed=0,1") == 1
    assert {(record["status"], record["error"]) for record in records_of(here).values()} == {
        ("failed", "RuntimeError: no driver for auto")
    }
    assert capsys.readouterr().out.count("failed: ") == 4  # as it happens, and in the end


def test_names_are_readable_and_never_too_long(here: Path) -> None:
    assert train("model.depth=1", "hydra.sweep.dir=elsewhere") == 0
    (run,) = [path for path in (here / "elsewhere").iterdir() if path.is_dir()]
    assert "model.depth=1" in run.name.split(",")
    long = f"hydra.sweep.subdir={'x' * 300}"
    assert train("model.depth=1", long, "hydra.sweep.dir=long") == 0
    (run,) = [path for path in (here / "long").iterdir() if path.is_dir()]
    assert len(run.name) == 200


def test_a_launcher_that_is_not_installed_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hydra_plugins.hydra_submitit_launcher", None)
    monkeypatch.delitem(sys.modules, "hydra_plugins.hydra_submitit_launcher.submitit_launcher", raising=False)
    assert train("seed=0,1", "hydra/launcher=slurm") == 2
    assert_error_line(
        capsys.readouterr().err, key="hydra/launcher", value="slurm", suggests="pip install 'invlearn[slurm]'"
    )
    assert train("seed=0,1", "hydra/launcher=jobllib") == 2
    assert_error_line(capsys.readouterr().err, key="hydra/launcher", value="jobllib", suggests="joblib")
    assert train("seed=0,1", "hydra/sweeper=optuna") == 2
    assert_error_line(capsys.readouterr().err, key="hydra/sweeper")
    assert not (here / "outputs").exists()


def test_a_damaged_run_is_named_and_keeps_no_other_from_being_trained(here: Path, capsys) -> None:
    assert train("model.depth=1,2") == 0
    first, second = runs_of(here).values()
    (first / "run.json").write_text('{"status": ')
    capsys.readouterr()
    assert train("model.depth=1,2,3") == 1
    out, err = capsys.readouterr()
    assert_error_line(err, file="run.json", also=[first.name], suggests="invlearn resume")
    assert counts(out.splitlines()[0]) == {"finished": 1, "new": 1}
    assert main(["resume", str(first)]) == 0
    capsys.readouterr()
    assert train("model.depth=1,2,3") == 0
    assert counts(capsys.readouterr().out.splitlines()[0]) == {"finished": 3}
    link = second / "train.log"
    link.unlink()
    link.symlink_to(here / "elsewhere")
    assert train("model.depth=1,2,3") == 1
    assert_error_line(capsys.readouterr().err, file="train.log", also=["link"])
    assert train("model.depth=1,2,3", "--dry-run") == 1
    capsys.readouterr()
    assert train("model.depth=2") == 1  # which is all of that sweep
    out, err = capsys.readouterr()
    assert_error_line(err, file="train.log", also=["link"])
    assert not out
    assert not (here / "elsewhere").exists()
