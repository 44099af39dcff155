"""Sweeps on a real Slurm, started on this machine's loopback by each test process that needs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sweeping import (
    SMALL,
    TWELVE,
    assert_every_run_was_completed_once,
    assert_no_epoch_was_trained_twice,
    kill_five_times,
    metrics_of,
    records_of,
    runs_of,
    sweep_command,
)
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("slurmctld", "slurmd", "munged"))),
        reason="needs root, slurm-wlm and munge",
    ),
]

CLUSTER = Path(__file__).parents[1] / "slurm_cluster.sh"


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    folder = tempfile.mkdtemp(prefix="slurm")  # not below pytest's own, which munge's user cannot enter
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = f"{folder}/slurm.conf"
    try:
        subprocess.run(["sh", str(CLUSTER), "start", folder], check=True, timeout=120)
        yield
    finally:
        subprocess.run(["sh", str(CLUSTER), "stop", folder], check=True, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


def jobs(state: str) -> list[str]:
    command = ["squeue", "--noheader", "--array", f"--states={state}", "--format=%i"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("how", ["its time limit or a preemption", "an operator"])
def test_a_job_that_is_requeued_ends_as_one_that_was_not(slurm: None, tmp_path: Path, how: str) -> None:
    undisturbed, disturbed = tmp_path / "a", tmp_path / "b"
    undisturbed.mkdir()
    disturbed.mkdir()
    words = ["seed=0", "trainer.epochs=600", *SMALL]
    subprocess.run(sweep_command(*words), cwd=undisturbed, check=True, capture_output=True)
    command = sweep_command(*words, "hydra/launcher=slurm")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=disturbed, stdout=log, stderr=subprocess.STDOUT)

    wait_until(lambda: any((run / "checkpoints" / "last.pt").exists() for run in runs_of(disturbed).values()), process)
    (job,) = jobs("RUNNING")
    if how == "an operator":
        subprocess.run(["scontrol", "requeue", job], check=True)
    else:
        subprocess.run(["scancel", "--signal=USR2", job], check=True)  # what submitit has Slurm send ahead

    def ended() -> bool:
        for waiting in jobs("PENDING"):  # Slurm would hold it back for two minutes
            subprocess.run(["scontrol", "update", f"JobId={waiting}", "StartTime=now"], check=False)
        return process.poll() is not None

    try:
        wait_until(ended, pause=1)
    finally:
        process.kill()
    assert process.returncode == 0, (tmp_path / "log").read_text()
    assert metrics_of(disturbed) == metrics_of(undisturbed)
    (run,) = runs_of(disturbed).values()
    assert re.search(r"\bcontinuing\b.*\bepoch \d+", (run / "train.log").read_text())
    assert_no_epoch_was_trained_twice(run)


def test_a_sweep_on_slurm_killed_five_times_ends_as_an_undisturbed_one(slurm: None, tmp_path: Path) -> None:
    undisturbed, disturbed = tmp_path / "a", tmp_path / "b"
    undisturbed.mkdir()
    disturbed.mkdir()
    subprocess.run(sweep_command(*TWELVE), cwd=undisturbed, check=True, capture_output=True)
    command = sweep_command(*TWELVE, "hydra/launcher=slurm")

    def kill_the_jobs() -> None:
        subprocess.run(["scancel", "--user=root", "--signal=KILL"], check=True)
        subprocess.run(["scancel", "--user=root"], check=True)
        wait_until(lambda: not jobs("RUNNING"))

    kill_five_times(command, disturbed, 1.5, also=kill_the_jobs)
    done = subprocess.run(command, cwd=disturbed, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_every_run_was_completed_once(disturbed, metrics_of(undisturbed))


def test_a_second_start_leaves_running_jobs_alone(slurm: None, tmp_path: Path) -> None:
    command = sweep_command("seed=0,1", "trainer.epochs=600", *SMALL, "hydra/launcher=slurm")
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: any((run / "checkpoints" / "last.pt").exists() for run in runs_of(tmp_path).values()), first)
    first.kill()  # the one that waits; its jobs go on
    first.wait()
    second = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert second.returncode == 0, second.stdout + second.stderr
    wait_until(lambda: {record["status"] for record in records_of(tmp_path).values()} == {"completed"})
    for run in runs_of(tmp_path).values():
        assert_no_epoch_was_trained_twice(run)
