"""What the injected faults share: a server of commands, and runs to spoil."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.slow.faults.commands import Commands, Fault, build_injector
from tests.support.own_data import entity_table, write

SIZES = [f"dataset.{name}=256" for name in ("size", "valid_size", "test_size")]
FAMILY = ["train", "dataset=twopart", "dataset.dim=4", *SIZES, "trainer.epochs=3", "replicas=2", "hydra.run.dir=run"]
"""Trains a run in half a second."""


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    server = Commands(build_injector(tmp_path_factory.mktemp("injector")))
    yield server
    server.close()


@pytest.fixture(scope="session")
def some(request: pytest.FixtureRequest) -> Callable[[int], range]:
    """Of so many cases those that are to be tried, as ``--faults`` says."""
    share = float(str(request.config.getoption("--faults")))
    if not 0 < share <= 1:
        raise pytest.UsageError(f"--faults must be above 0 and at most 1, got {share}")
    return lambda count: range(math.ceil(count * share))


@pytest.fixture(scope="session")
def stored(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs: ``family`` and ``own`` are finished, ``half`` was interrupted in its last epoch."""
    folder = tmp_path_factory.mktemp("stored")
    write(entity_table(), folder / "samples.csv")
    write(entity_table(seed=1), folder / "new.csv")
    write(entity_table(seed=1, noise=0.02), folder / "more.csv")
    own = ["train", "dataset=entities", "model=extended", f"dataset.path={folder / 'samples.csv'}", "dataset.entity=id"]
    own += ["dataset.size=256", "trainer.epochs=3", "hydra.run.dir=own"]
    for words in ([*FAMILY[:-1], "hydra.run.dir=family"], own):
        result = commands(*words, cwd=folder)
        assert result.status == 0, result
    _interrupt(commands, folder)
    return folder


def _interrupt(commands: Commands, folder: Path) -> None:
    """Make a run that is interrupted in its last epoch."""
    words = [*FAMILY[:-1], "hydra.run.dir=half"]
    counted = commands(*words, cwd=folder, fault=Fault()).counts["rename"]
    shutil.rmtree(folder / "half")
    # Each epoch renames two or three files, and run.json, config.yaml and curves.png are renamed too.
    result = commands(*words, cwd=folder, fault=Fault("rename", counted - 4, signal=15))
    assert result.status == 128 + 15, result


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    """A run that is finished, files beside it, and ``outside/victim``, which nobody may touch."""
    shutil.copytree(stored / "own", tmp_path / "run")
    for name in ("samples.csv", "new.csv", "more.csv"):
        shutil.copy(stored / name, tmp_path / name)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "victim").write_text("mine\n")
    return tmp_path
