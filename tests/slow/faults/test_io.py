"""Calls of the operating system that fail, and processes killed at one: the same command ends with the same bits."""

from __future__ import annotations

import errno
import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.slow.faults.commands import KINDS, Commands, Fault, Result
from tests.slow.faults.conftest import FAMILY
from tests.slow.faults.same import assert_same_run, results_of
from tests.support.snapshot import snapshot

pytestmark = pytest.mark.slow

SWEEP = ["train", "-m", "sweep=s", "seed=0,1", "hydra.sweep.subdir=seed${seed}", *FAMILY[1:-2]]
CHOOSE = ["train", "dataset=entities", "dataset.path=samples.csv", "dataset.entity=id", "dataset.size=256"]
CHOOSE += ["trainer.epochs=2", "model.folds=1", "hydra.run.dir=run"]
EXTENDED = [*FAMILY[:-1], "trainer.epochs=5", "hydra.run.dir=family"]
OLD = "what was there"


@dataclass(frozen=True)
class Job:
    """A command to disturb.

    Args:
        words: The command.
        cases: How many faults it gets.
        outputs: What it makes: run directories, and files.
        needs: What of the stored folder it is given.
        spoil: Done to the folder before.
    """

    words: list[str]
    cases: int
    outputs: list[str]
    needs: tuple[str, ...] = ()
    spoil: Callable[[Path], object] = lambda folder: None


def _lose(folder: Path) -> None:
    (folder / "family" / "checkpoints" / "best.pt").unlink()
    (folder / "family" / "metrics.csv").unlink()


OWN = ("own", "new.csv", "more.csv")
JOBS = {
    "train": Job(FAMILY, 60, ["run"]),
    "resume": Job(["resume", "half"], 20, ["half"], ("half",)),
    "mend": Job(["resume", "family"], 20, ["family"], ("family",), _lose),
    "extend": Job(EXTENDED, 30, ["family"], ("family",)),
    "sweep": Job(SWEEP, 30, ["outputs/sweeps/s/seed0", "outputs/sweeps/s/seed1"]),
    "choose": Job(CHOOSE, 40, ["run"], ("samples.csv",)),
    "embed csv": Job(["embed", "own", "new.csv", "-o", "z.csv"], 15, ["z.csv"], OWN),
    "embed parquet": Job(["embed", "own", "new.csv", "-o", "z.parquet"], 15, ["z.parquet"], OWN),
    "match": Job(["match", "own", "new.csv", "more.csv", "-o", "m.csv"], 15, ["m.csv"], OWN),
    "export": Job(["export", "own", "--format", "torch", "-o", "e.pt2"], 10, ["e.pt2"], OWN),
    "results": Job(["results", "family", "own", "--format", "csv", "-o", "r.csv"], 15, ["r.csv"], ("family", "own")),
}


def prepare(job: Job, stored: Path, folder: Path) -> Path:
    folder.mkdir()
    for name in job.needs:
        if (stored / name).is_dir():
            shutil.copytree(stored / name, folder / name)
        else:
            shutil.copy(stored / name, folder / name)
    job.spoil(folder)
    for name in job.outputs:
        if "." in name:
            (folder / name).write_text(OLD)
    return folder


def draw(chance: random.Random, counts: dict[str, int]) -> Fault:
    """A fault at one of the calls that the command makes."""
    kind = chance.choice([kind for kind in KINDS if counts[kind]])
    number = chance.randint(1, counts[kind])
    if chance.random() < 0.35:
        return Fault(kind, number, signal=signal.SIGKILL)
    errors = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS]
    errors += [errno.EMFILE, errno.EACCES] if kind == "open" else []
    return Fault(kind, number, error=chance.choice(errors), stays=chance.random() < 0.4)


def assert_told(result: Result, fault: Fault) -> None:
    """Assert that a command that failed says so in a line, and that none shows how it is made inside."""
    assert "Traceback" not in result.out + result.err, f"{fault} {result}"
    if fault.signal == signal.SIGKILL and result.status == -signal.SIGKILL:
        return
    assert result.status in (0, 1, 2), f"{fault} {result}"
    if result.status == 2:
        assert result.err.splitlines()[-1].startswith("invlearn: "), f"{fault} {result}"
    elif result.status == 1:
        assert "failed: " in result.out, f"{fault} {result}"


def assert_same(folder: Path, expected: Path, outputs: list[str]) -> None:
    for name in outputs:
        ours, theirs = folder / name, expected / name
        if ours.is_dir():
            assert_same_run(ours, theirs)
        elif ours.suffix == ".pt2":
            x = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32))
            codes = [torch.export.load(file).module()(x)[0] for file in (ours, theirs)]
            assert torch.equal(*codes)
        elif ours.suffix == ".parquet":
            assert pd.read_parquet(ours).equals(pd.read_parquet(theirs))
        else:
            assert ours.read_bytes() == theirs.read_bytes()


def assert_whole(folder: Path, expected: Path, job: Job) -> None:
    """Assert that each file is the old one or the new one."""
    for name in job.outputs:
        ours = folder / name
        if ours.is_file() and ours.read_bytes() != OLD.encode():
            assert_same(folder, expected, [name])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", JOBS)
def test_after_a_fault_the_same_command_ends_with_the_same_bits(
    name: str, commands: Commands, stored: Path, some: Callable[[int], range], tmp_path: Path
) -> None:
    job = JOBS[name]
    expected = prepare(job, stored, tmp_path / "expected")
    undisturbed = commands(*job.words, cwd=expected, fault=Fault())
    assert undisturbed.status == 0, undisturbed
    if name == "mend":
        assert results_of(expected / "family") == results_of(stored / "family")
    for case in some(job.cases):
        folder = prepare(job, stored, tmp_path / str(case))
        fault = draw(random.Random(f"{name} {case}"), undisturbed.counts)
        inputs = {path: content for path, content in snapshot(folder).items() if path.name in ("new.csv", "more.csv")}
        result = commands(*job.words, cwd=folder, fault=fault)
        assert_told(result, fault)
        if result.status == 0:
            assert_same(folder, expected, job.outputs)
        assert_whole(folder, expected, job)
        again = commands(*job.words, cwd=folder)
        assert again.status == 0, f"{fault} {result} {again}"
        assert_same(folder, expected, job.outputs)
        assert {path: path.read_bytes() for path in inputs} == inputs
        shutil.rmtree(folder)
