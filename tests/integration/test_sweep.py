"""Sweeps through the command line: skipped, continued, tried again, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from invlearn.cli import main
from invlearn.runs.directory import RunDirectory
from tests.integration.sweeping import (
    SMALL,
    TWELVE,
    assert_every_run_was_completed_once,
    assert_no_epoch_was_trained_twice,
    kill_five_times,
    metrics_of,
    records_of,
    runs_of,
    stamp,
    sweep_command,
)


def train(*words: str) -> int:
    return main(["train", "-m", "sweep=s", *SMALL, "trainer.epochs=2", *words])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_adding_values_trains_only_the_new_ones(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("model.depth=1,2") == 0
    assert "2 runs in outputs/sweeps/s: 2 new" in capsys.readouterr().out
    before = {name: (run / "run.json").stat().st_mtime_ns for name, run in runs_of(here).items()}
    assert train("model.depth=1,2,3") == 0
    assert "3 runs in outputs/sweeps/s: 2 finished, 1 new" in capsys.readouterr().out
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
    assert f"failed: {failed.name}: RuntimeError: a bug; see {failed.relative_to(here)}/train.log" in shown
    assert "Traceback" in (failed / "train.log").read_text()
    assert json.loads((failed / "run.json").read_text())["error"] == "RuntimeError: a bug"
    monkeypatch.setattr(run, "train_epochs", intact)
    assert train("model.depth=1,2,3") == 0
    assert "2 finished, 1 failed, to try again" in capsys.readouterr().out
    assert {record["status"] for record in records_of(here).values()} == {"completed"}


def test_on_error_stop_starts_no_more(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("seed=0,1,2", "optimizer.lr=1e30", "trainer.clip=null")
    assert train(*words, "on_error=stop") == 1
    assert [record["status"] for record in records_of(here).values()] == ["failed", "planned", "planned"]
    assert "2 not trained; the same command without on_error=stop trains them" in capsys.readouterr().out
    assert train(*words) == 1
    assert "1 failed, to try again, 2 new" in capsys.readouterr().out
    assert {record["status"] for record in records_of(here).values()} == {"failed"}


def test_a_wrong_value_or_another_config_stops_a_sweep_before_it_starts(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("model.depth=1,0") == 2
    assert not (here / "outputs").exists()
    assert train("seed=0", "hydra.sweep.subdir=same") == 0
    capsys.readouterr()
    assert train("seed=1", "hydra.sweep.subdir=same") == 2
    assert "outputs/sweeps/s/same holds a run of another config: seed (0 there, 1 here)" in capsys.readouterr().err


def test_two_runs_for_one_folder_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("seed=0,1", "hydra.sweep.subdir=same") == 2
    assert capsys.readouterr().err == "invlearn: outputs/sweeps/s/same would hold two runs that differ in seed (0, 1)\n"
    assert train("seed=0,1", "hydra.sweep.subdir=${hydra.job.num}") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (here / "outputs").exists()


def test_the_sweeps_folder_may_depend_on_a_swept_key(here: Path) -> None:
    assert train("model.depth=1,2", "hydra.sweep.dir=out/${model.depth}") == 0
    assert len(list(here.glob("out/1/*/run.json"))) == len(list(here.glob("out/2/*/run.json"))) == 1


def test_whatever_a_grid_sets_holds_for_its_runs(here: Path) -> None:
    (here / "mine" / "grid").mkdir(parents=True)
    (here / "mine" / "grid" / "pair.yaml").write_text(
        "# @package _global_\nsweep: s\nreplicas: 2\ngrid:\n  smoke:\n    - model.depth=1,2\n"
    )
    assert main(["train", "-m", "--config-dir", "mine", "+grid=pair", "preset=smoke", *SMALL]) == 0
    assert [record["seeds"] for record in records_of(here).values()] == [[0, 1], [0, 1]]
    assert main(["train", "--config-dir", "mine", "+grid=pair", "preset=smoke"]) == 2


def test_a_run_that_another_process_finished_meanwhile_stays_finished(here: Path) -> None:
    from invlearn.cli.train import check
    from invlearn.config.compose import compose_sweep
    from invlearn.sweeps.run import _mark_planned

    assert train("seed=0") == 0
    (job,) = compose_sweep(["sweep=s", *SMALL, "trainer.epochs=2", "seed=0"]).jobs
    before = records_of(here)
    assert not _mark_planned(RunDirectory(job.folder), check(job.config, job.folder)[0])
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
    from invlearn.runs import session as run

    def broken(name: str) -> None:
        raise RuntimeError(f"no driver for {name}")

    monkeypatch.setattr(run, "resolve_device", broken)
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


def test_two_processes_never_train_the_same_run_twice(tmp_path: Path) -> None:
    command = sweep_command(*SMALL, "trainer.epochs=10", "seed=0,1,2,3")
    both = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    shown = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], shown
    for run in runs_of(tmp_path).values():
        assert_no_epoch_was_trained_twice(run)
    assert {record["status"] for record in records_of(tmp_path).values()} == {"completed"}


def test_a_run_in_training_is_left_to_its_process(invlearn, tmp_path: Path) -> None:
    words = ["train", *SMALL, "trainer.epochs=2000", "hydra.run.dir=here"]
    process = subprocess.Popen([sys.executable, "-m", "invlearn", *words], cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        while not (tmp_path / "here" / "checkpoints" / "last.pt").exists():
            assert process.poll() is None
            time.sleep(0.05)
        second = invlearn(*words)
        assert second.returncode == 2
        assert second.stderr == "invlearn: here is being trained by another process\n"
    finally:
        process.kill()
        process.wait()


def test_an_interrupted_sweep_says_how_to_go_on(tmp_path: Path) -> None:
    command = sweep_command(*SMALL, "trainer.epochs=2000", "seed=0,1")
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while stamp(tmp_path) == 0:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 143
    assert shown == "invlearn: interrupted; the same command goes on\n"
    assert [record["status"] for record in records_of(tmp_path).values()] == ["interrupted", "planned"]


def test_a_launcher_that_is_not_installed_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hydra_plugins.hydra_submitit_launcher", None)
    monkeypatch.delitem(sys.modules, "hydra_plugins.hydra_submitit_launcher.submitit_launcher", raising=False)
    assert train("seed=0,1", "hydra/launcher=slurm") == 2
    assert capsys.readouterr().err == "invlearn: hydra/launcher=slurm is not installed: pip install 'invlearn[slurm]'\n"
    assert train("seed=0,1", "hydra/launcher=jobllib") == 2
    shown = capsys.readouterr().err
    assert shown == "invlearn: hydra/launcher=jobllib: there is no such launcher; did you mean 'joblib'?\n"
    assert train("seed=0,1", "hydra/sweeper=optuna") == 2
    assert "other sweepers are not supported" in capsys.readouterr().err
    assert not (here / "outputs").exists()


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_killed_five_times_ends_as_an_undisturbed_one(launcher: str, tmp_path: Path) -> None:
    undisturbed, disturbed = tmp_path / "a", tmp_path / "b"
    undisturbed.mkdir()
    disturbed.mkdir()
    subprocess.run(sweep_command(*TWELVE), cwd=undisturbed, check=True, capture_output=True)
    command = sweep_command(*TWELVE, f"hydra/launcher={launcher}")
    kill_five_times(command, disturbed, 1.5, also=lambda: None)
    done = subprocess.run(command, cwd=disturbed, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_every_run_was_completed_once(disturbed, metrics_of(undisturbed))


def test_a_worker_that_is_killed_fails_alone(tmp_path: Path) -> None:
    """A process that the system kills, for its memory perhaps, takes joblib down, but not the other runs."""
    (tmp_path / "killer.py").write_text(
        "import os, signal\n"
        "from invlearn.data import Shift\n\n\n"
        "class Killer(Shift):\n"
        "    def pairs(self, split, seed):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "mine" / "dataset").mkdir(parents=True)
    (tmp_path / "mine" / "dataset" / "killer.yaml").write_text("_target_: killer.Killer\n")
    words = ["--config-dir", "mine", "dataset=killer,shift", "seed=0,1,2", "trainer.epochs=5"]
    words += [word.replace("dataset.", "++dataset.") for word in SMALL]
    command = sweep_command(*words, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    statuses = {(("killer" in name), record["status"]) for name, record in records_of(tmp_path).items()}
    assert statuses == {(True, "failed"), (False, "completed")}
    assert done.stdout.count("its process was killed") == 3
