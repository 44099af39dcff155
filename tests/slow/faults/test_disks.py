"""Small, full and read-only file systems, limits of the process, and streams that lead nowhere."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.slow.faults.commands import Commands, Fault, Result
from tests.slow.faults.conftest import FAMILY
from tests.slow.faults.same import assert_same_run
from tests.support.errors import assert_error_line

pytestmark = pytest.mark.slow

SIZE = 4
"""MiB of a small file system."""

COMMANDS = {
    "train": FAMILY,
    "resume": ["resume", "half"],
    "sweep": ["train", "-m", "sweep=s", "seed=0,1", *FAMILY[1:-1]],
    "embed": ["embed", "own", "new.csv", "-o", "z.csv"],
    "embed parquet": ["embed", "own", "new.csv", "-o", "z.parquet"],
    "match": ["match", "own", "new.csv", "more.csv", "-o", "m.csv"],
    "export": ["export", "own", "--format", "torch"],
    "results": ["results", "own", "--format", "csv", "-o", "r.csv"],
}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no byte free."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert not shutil.disk_usage(folder).free
    return filler


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def assert_told(result: Result, status: int = 2) -> None:
    assert "Traceback" not in result.out + result.err, result
    assert result.status == status, result
    assert_error_line(result.err.splitlines(keepends=True)[-1])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(name: str, commands: Commands, stored: Path, small: Path) -> None:
    shutil.copytree(stored, small, dirs_exist_ok=True)
    filler = fill(small)
    assert_told(commands(*COMMANDS[name], cwd=small))
    filler.unlink()
    result = commands(*COMMANDS[name], cwd=small)
    assert result.status == 0, result


@pytest.mark.parametrize("name", COMMANDS)
def test_a_read_only_disk(name: str, commands: Commands, stored: Path, small: Path) -> None:
    shutil.copytree(stored, small, dirs_exist_ok=True)
    remount(small, "ro")
    assert_told(commands(*COMMANDS[name], cwd=small))
    remount(small, "rw")
    result = commands(*COMMANDS[name], cwd=small)
    assert result.status == 0, result


def test_runs_are_read_where_nothing_can_be_written(commands: Commands, stored: Path, small: Path) -> None:
    shutil.copytree(stored, small, dirs_exist_ok=True)
    remount(small, "ro")
    for words in (["evaluate", "own"], ["results", "own"], ["results", "half"], ["evaluate", "half"]):
        result = commands(*words, cwd=small)
        assert result.status == 0, result


@pytest.mark.parametrize("after", [0.2, 0.5, 0.8])
def test_a_disk_that_turns_read_only_in_the_middle(
    after: float, commands: Commands, stored: Path, tmp_path: Path
) -> None:
    counted = commands(*FAMILY, cwd=tmp_path, fault=Fault())
    shutil.move(tmp_path / "run", tmp_path / "expected")
    fault = Fault("any", int(after * counted.counts["any"]), error=errno.EROFS, stays=True)
    assert_told(commands(*FAMILY, cwd=tmp_path, fault=fault))
    assert commands(*FAMILY, cwd=tmp_path).status == 0
    assert_same_run(tmp_path / "run", tmp_path / "expected")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "results"])  # whose table is smaller
def test_a_limit_on_the_size_of_files(name: str, commands: Commands, stored: Path, tmp_path: Path) -> None:
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    failed = commands(*COMMANDS[name], cwd=tmp_path, fault=Fault(limits={"RLIMIT_FSIZE": 600}))
    assert_told(failed)
    assert commands(*COMMANDS[name], cwd=tmp_path).status == 0


@pytest.mark.parametrize("files", range(3, 40, 4))
def test_a_limit_on_the_number_of_open_files(files: int, commands: Commands, stored: Path, tmp_path: Path) -> None:
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    for words in (FAMILY, COMMANDS["embed"], COMMANDS["results"]):
        result = commands(*words, cwd=tmp_path, fault=Fault(limits={"RLIMIT_NOFILE": files}))
        if result.status != 0:
            assert_told(result)
    assert commands(*FAMILY, cwd=tmp_path).status == 0


@pytest.mark.parametrize("gigabytes", [0.3, 0.6, 1, 1.5, 2, 3])
def test_a_limit_on_memory(gigabytes: float, tmp_path: Path) -> None:
    limit = f"ulimit -v {int(gigabytes * 2**20)}; "
    command = " ".join([limit, sys.executable, "-m", "invlearn", *FAMILY])
    result = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr or "Fatal Python error" in result.stderr, result
    if result.returncode == 2:
        assert result.stderr.splitlines()[-1].startswith("invlearn: "), result


def test_a_working_directory_that_is_gone(commands: Commands, tmp_path: Path) -> None:
    script = f"mkdir gone; cd gone; rmdir ../gone; {sys.executable} -m invlearn {' '.join(FAMILY)}"
    result = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2, result
    assert_error_line(result.stderr)


def test_a_folder_that_the_encoding_lacks(tmp_path: Path) -> None:
    folder = tmp_path / "größe"
    folder.mkdir()
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for words in (["hydra.run.dir=run"], ["hydra.run.dir=läuft"]):
        command = [sys.executable, "-m", "invlearn", *FAMILY[:-1], *words]
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
        assert b"Traceback" not in result.stderr, result
        assert result.returncode in (0, 2), result
        assert result.returncode == 0 or result.stderr.startswith(b"invlearn: "), result


def test_output_that_cannot_be_written_costs_no_training(commands: Commands, tmp_path: Path) -> None:
    assert commands(*FAMILY, cwd=tmp_path).status == 0
    shutil.move(tmp_path / "run", tmp_path / "expected")
    full = commands(*FAMILY, cwd=tmp_path, streams="full")
    assert full.status == 0, full
    assert_error_line(full.err, also=["standard output"])
    assert_same_run(tmp_path / "run", tmp_path / "expected")
    shutil.rmtree(tmp_path / "run")
    assert commands(*FAMILY, cwd=tmp_path, streams="closed").status == 0
    assert_same_run(tmp_path / "run", tmp_path / "expected")
    assert_told(commands("results", "run", cwd=tmp_path, streams="full"))
