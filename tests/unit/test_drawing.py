"""curves.png, drawn beside the measurements by another process, or afterwards by the process itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from invlearn.runs.directory import RunDirectory
from invlearn.runs.drawing import drawing
from invlearn.runs.train import train
from tests.conftest import TINY


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    directory = RunDirectory(tmp_path_factory.mktemp("drawing") / "run")
    train(TINY, directory.path)
    return directory


@pytest.fixture(autouse=True)
def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not imported it, and has not drawn."""
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    monkeypatch.setattr("invlearn.runs.drawing._Now.has_drawn", False)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started."""
    found: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def recorded(*args: object, **settings: object) -> subprocess.Popen[bytes]:
        found.append(start(*args, **settings))  # type: ignore[call-overload]
        return found[-1]

    monkeypatch.setattr("invlearn.runs.drawing.subprocess.Popen", recorded)
    return found


def test_another_process_draws_the_same_image(run: RunDirectory, started: list[subprocess.Popen[bytes]]) -> None:
    with drawing(run):
        pass
    apart = run.curves.read_bytes()
    assert [process.returncode for process in started] == [0]
    assert "matplotlib.figure" not in sys.modules
    run.curves.unlink()
    with drawing(run, apart=False):
        assert not run.curves.exists()
    assert len(started) == 1
    assert run.curves.read_bytes() == apart


def test_a_process_that_draws_again_draws_itself(run: RunDirectory, started: list[subprocess.Popen[bytes]]) -> None:
    for _ in range(2):
        with drawing(run):
            pass
    assert len(started) == 1


@pytest.mark.parametrize("program", ["false", "no/such/program", None])
def test_without_that_process_the_run_draws_itself(
    run: RunDirectory, program: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.curves.unlink(missing_ok=True)
    monkeypatch.setattr(sys, "executable", program)
    with drawing(run):
        pass
    assert run.curves.read_bytes().startswith(b"\x89PNG")


def test_an_error_ends_that_process(run: RunDirectory, started: list[subprocess.Popen[bytes]]) -> None:
    run.curves.unlink(missing_ok=True)
    with pytest.raises(KeyboardInterrupt), drawing(run):
        raise KeyboardInterrupt
    assert started[0].returncode is not None
    assert not run.curves.exists()


def test_a_module_of_the_working_directory_is_not_imported(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    (tmp_path / "matplotlib.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    with drawing(run):
        pass
    assert started[0].returncode == 0
