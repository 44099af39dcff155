"""What comes from a stranger runs no code: run directories, checkpoints, files."""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import invlearn
from invlearn.cli import main
from invlearn.errors import UserError
from tests.support.errors import assert_error_line, naming
from tests.support.own_data import entity_table, write
from tests.support.runs import forge, set_status


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    sizes = [f"dataset.{name}=256" for name in ("size", "valid_size", "test_size")]
    invlearn.train([*sizes, "trainer.epochs=1"], folder)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def assert_refused(capsys: pytest.CaptureFixture[str], *words: object, **named: Any) -> None:
    assert main(list(map(str, words))) == 2
    assert_error_line(capsys.readouterr().err, **named)


def pickled_with_torch(evil: Evil) -> bytes:
    buffer = io.BytesIO()
    torch.save({"model": evil}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["torch", "pickle", "text"])
def test_a_checkpoint_cannot_run_code(kind: str, run: Path, trace: Path, capsys) -> None:
    evil = Evil(trace)
    content = {"torch": pickled_with_torch(evil), "pickle": pickle.dumps(evil), "text": b"import os"}[kind]
    for name in ("best.pt", "last.pt"):
        (run / "checkpoints" / name).write_bytes(content)
    assert_refused(capsys, "evaluate", run, file=["checkpoints/best.pt"], also=["checkpoint"])
    set_status(run, "interrupted")
    assert_refused(capsys, "resume", run, file=["checkpoints/last.pt"], also=["checkpoint"])
    assert not trace.exists()
    assert torch.load(io.BytesIO(pickled_with_torch(evil)), weights_only=False)  # it would have
    assert trace.exists()


def edit(run: Path, **changes: Any) -> None:
    def change(config: dict[str, Any]) -> None:
        for key, value in changes.items():
            group, _, name = key.partition("__")
            if name:
                config[group][name] = value
            else:
                config[key] = value

    forge(run, change)


COMMANDS = [("evaluate",), ("resume",), ("export",), ("embed", "samples.csv", "-o", "z.csv")]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    "named",
    [
        ("dataset", "pathlib.Path.touch"),
        ("dataset", "os.system"),
        ("model", "stranger.Model"),
        ("model", "invlearn.runs.directory.write_atomically"),
        ("loss", "invlearn.nn.linear.check_depth"),
        ("optimizer", "torch.load"),
        ("optimizer", "torch.optim.lr_scheduler.Path"),
        ("trainer", "builtins.exec"),
        ("dataset", "invlearn.files.table_writer"),
    ],
)
def test_a_config_names_no_code(words: tuple[str, ...], named: tuple[str, str], run: Path, capsys, monkeypatch) -> None:
    group, target = named
    (run.parent / "stranger.py").write_text("from pathlib import Path\nPath('trace').touch()\nModel = object")
    monkeypatch.syspath_prepend(run.parent)
    monkeypatch.chdir(run.parent)
    write(entity_table(), run.parent / "samples.csv")
    edit(run, **{f"{group}___target_": target})
    before = sorted(run.parent.rglob("*"))
    assert_refused(capsys, words[0], run, *words[1:], key=f"{group}._target_", value=target)
    assert sorted(run.parent.rglob("*")) == before


def test_a_target_at_the_top_is_not_followed(run: Path, trace: Path) -> None:
    edit(run, _target_="pathlib.Path.touch", self=str(trace))
    with pytest.raises(UserError, match=naming(key="self")):
        invlearn.load_run(run)
    assert not trace.exists()


def test_yaml_makes_no_objects(run: Path, trace: Path, capsys) -> None:
    (run / "config.yaml").write_text(f"dataset: !!python/object/apply:os.system ['touch {trace}']\n")
    assert_refused(capsys, "evaluate", run, file="config.yaml")
    assert not trace.exists()


def test_code_of_ones_own_is_trusted_by_name(run: Path, monkeypatch, capsys) -> None:
    (run.parent / "mine.py").write_text("from invlearn.nn import ExtendedAutoEncoder as Model")
    monkeypatch.syspath_prepend(run.parent)
    edit(run, model___target_="mine.Model")
    assert_refused(capsys, "evaluate", run, key="model._target_", suggests="--trust mine.Model")
    assert main(["evaluate", str(run), "--trust", "mine"]) == 0
    assert invlearn.load_run(run, trust=["mine.Model"]).config["model"]["_target_"] == "mine.Model"


@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_an_array_cannot_run_code(ending: str, trace: Path, tmp_path: Path, capsys) -> None:
    evil = np.array([Evil(trace)], dtype=object)
    file = tmp_path / f"samples.{ending}"
    if ending == "npz":
        np.savez(file, x=evil, entity=np.zeros(1))
    else:
        np.save(file, evil)
    assert_refused(
        capsys, "train", "dataset=entities", f"dataset.path={file}", file=file.name, also=["Python", "objects"]
    )
    assert not trace.exists()


def test_an_archive_of_something_else_is_refused(trace: Path, tmp_path: Path, capsys) -> None:
    file = tmp_path / "samples.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", pickle.dumps(Evil(trace)))
    assert_refused(capsys, "train", "dataset=entities", f"dataset.path={file}", file="samples.npz")
    assert not trace.exists()


def test_trust_in_a_package_is_in_its_classes_alone(run: Path, monkeypatch, capsys, tmp_path: Path) -> None:
    (run.parent / "mynets.py").write_text("from shutil import rmtree")
    monkeypatch.syspath_prepend(run.parent)
    victim = tmp_path / "victim"
    victim.mkdir()
    edit(run, dataset={"_target_": "mynets.rmtree", "path": str(victim)})
    assert_refused(capsys, "evaluate", run, "--trust", "mynets", key="dataset._target_", value="mynets.rmtree")
    assert victim.is_dir()
