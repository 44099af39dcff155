"""Sweeps by several processes, interrupted or killed: no run is lost, and none trained twice."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.errors import assert_error_line
from tests.support.sweeping import (
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
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

PYTHONPATH = [folder for folder in [os.environ.get("PYTHONPATH")] if folder]


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
        wait_until((tmp_path / "here" / "checkpoints" / "last.pt").exists, process)
        second = invlearn(*words)
        assert second.returncode == 2
        assert_error_line(second.stderr, file="here", also=["process"])
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_an_interrupted_sweep_says_how_to_go_on(launcher: str, tmp_path: Path) -> None:
    words = [] if launcher == "basic" else ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]
    command = sweep_command(*SMALL, "trainer.epochs=2000", "seed=0,1", *words)
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: stamp(tmp_path) != 0, process)
    process.send_signal(signal.SIGTERM)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 143
    assert_error_line(shown, also=["interrupted", "command"])
    assert [record["status"] for record in records_of(tmp_path).values()] == ["interrupted", "planned"]


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
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *PYTHONPATH])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    statuses = {(("killer" in name), record["status"]) for name, record in records_of(tmp_path).items()}
    assert statuses == {(True, "failed"), (False, "completed")}
    assert len(re.findall(r"killer\b.*\bprocess\b.*\bkilled\b", done.stdout)) == 3
