"""Runs from a stranger: nothing outside the run is written, and each is answered at once."""

from __future__ import annotations

import math
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from invlearn.config.stored import record_text
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST, LAST
from tests.slow.faults.commands import Commands
from tests.slow.faults.harmless import EVIL, assert_all_answer, assert_harmless
from tests.support.runs import forge, set_status

pytestmark = pytest.mark.slow


# Links out of the run, and what is no file at all


def link(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def named_pipe(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def folder_instead(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


FILES = ("config.yaml", "run.json", "metrics.csv", "curves.png", "train.log", ".lock", BEST, LAST)


@pytest.mark.parametrize("how", [link, named_pipe, folder_instead])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("status", ["completed", "interrupted"])
def test_files_that_are_none(
    name: str, how: Callable[[Path, Path], None], status: str, commands: Commands, folder: Path
) -> None:
    set_status(folder / "run", status)
    how(folder / "run" / name, folder / "outside" / "victim")
    assert_all_answer(commands, folder)


@pytest.mark.parametrize("name", ["checkpoints", ".hydra"])
def test_folders_that_lead_elsewhere(name: str, commands: Commands, folder: Path) -> None:
    elsewhere = folder / "outside" / "elsewhere"
    shutil.copytree(folder / "run" / "checkpoints", elsewhere)
    set_status(folder / "run", "interrupted")
    link(folder / "run" / name, elsewhere)
    assert [result.status for result in assert_all_answer(commands, folder)][1] == 2


@pytest.mark.parametrize("name", ["train.log", ".lock", "metrics.csv", "run.json"])
def test_second_names_of_somebodys_file(name: str, commands: Commands, folder: Path) -> None:
    set_status(folder / "run", "interrupted")
    content = (folder / "run" / name).read_bytes()
    (folder / "outside" / "victim").write_bytes(content)
    (folder / "run" / name).unlink()
    (folder / "run" / name).hardlink_to(folder / "outside" / "victim")
    assert [result.status for result in assert_all_answer(commands, folder)] == [0, 0, 0, 0]


# Control characters and secrets


def rewrite(run: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    contents = torch.load(run / name, weights_only=True)
    changed = change(contents)
    torch.save(contents if changed is None else changed, run / name)


def evil_history(run: Path) -> None:
    rewrite(run, LAST, lambda contents: contents["history"].update({f"valid_{EVIL}": contents["history"]["lr"]}))


def evil_error(run: Path) -> None:
    RunDirectory(run).write_record({**RunDirectory(run).record(), "status": "failed", "error": EVIL})


def evil_status(run: Path) -> None:
    RunDirectory(run).write_record({**RunDirectory(run).record(), "status": EVIL})


def evil_metric(run: Path) -> None:
    record = RunDirectory(run).record()
    record["replicas"][0]["metrics"][EVIL] = 1.0
    record["metrics"][EVIL] = 1.0
    RunDirectory(run).write_record(record)


def evil_device(run: Path) -> None:
    RunDirectory(run).write_record({**RunDirectory(run).record(), "device": EVIL})


def evil_key(run: Path) -> None:
    forge(run, lambda config: config["dataset"].update({EVIL: 1}))


def evil_value(run: Path) -> None:
    forge(run, lambda config: config["dataset"].update(entity=EVIL))


def evil_target(run: Path) -> None:
    forge(run, lambda config: config["model"].update(_target_=f"invlearn.nn.{EVIL}"))


def evil_path(run: Path) -> None:
    forge(run, lambda config: config["dataset"].update(path=EVIL))


def environment(run: Path) -> None:
    forge(run, lambda config: config["dataset"].update(path="${oc.env:HOME}", entity="${oc.env:PATH}"))


WORDS = [evil_history, evil_error, evil_status, evil_metric, evil_device, evil_key, evil_value, evil_target, evil_path]


@pytest.mark.parametrize("status", ["completed", "interrupted"])
@pytest.mark.parametrize("change", [*WORDS, environment])
def test_words_that_are_to_be_obeyed(
    change: Callable[[Path], None], status: str, commands: Commands, folder: Path
) -> None:
    set_status(folder / "run", status)
    change(folder / "run")
    results = assert_all_answer(commands, folder)
    shown = "".join(result.out + result.err for result in results)
    for name in ("HOME", "PATH"):
        assert os.environ[name] not in shown
        written = [path.read_text(errors="replace") for path in (folder / "run").glob("*.*") if path.is_file()]
        assert change is not environment or not any(os.environ[name] in text for text in written)


# What would take all memory or all time


def anchors(run: Path) -> None:
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30))]
    (run / "config.yaml").write_text("\n".join(lines))


def merges(run: Path) -> None:
    lines = ["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 30))]
    (run / "config.yaml").write_text("\n".join(lines))


def brackets(run: Path) -> None:
    (run / "config.yaml").write_text("[" * 500_000)


def braces(run: Path) -> None:
    (run / "config.yaml").write_text("{a: " * 200_000)


def dashes(run: Path) -> None:
    (run / "config.yaml").write_text("- " * 400_000)


def long_config(run: Path) -> None:
    (run / "config.yaml").write_text("".join(f"k{i}: {i}\n" for i in range(600_000)))


def huge_config(run: Path) -> None:
    with (run / "config.yaml").open("wb") as file:
        file.truncate(2**36)


def huge_record(run: Path) -> None:
    with (run / "run.json").open("wb") as file:
        file.truncate(2**36)


def deep_record(run: Path) -> None:
    (run / "run.json").write_text('{"a":' * 200_000)


def long_record(run: Path) -> None:
    (run / "run.json").write_text(record_text({"status": "completed", "seeds": list(range(1_000_000))}))


def setting(key: str, value: object) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        group, _, name = key.rpartition(".")
        forge(run, lambda config: (config[group] if group else config).update({name: value}))

    change.__name__ = f"{key}={value}"[:40]
    return change


BOMBS = [anchors, merges, brackets, braces, dashes, long_config, huge_config, huge_record, deep_record, long_record]
SETTINGS = [
    ("replicas", 10**9),
    ("replicas", 16_000),
    ("dataset.test_size", 10**12),
    ("dataset.valid_size", 10**12),
    ("dataset.size", 10**12),
    ("dataset.samples_per_entity", 10**9),
    ("dataset.features", [f"f{i}" for i in range(10_000)]),
    ("model.depth", 10**9),
    ("model.columns", 10**9),
    ("loss.invariant", 10**9),
    ("trainer.batch_size", 10**12),
    ("seed", -(10**30)),
    ("threads", 10**9),
    ("dtype", "float16"),
    ("device", "cuda:999"),
    ("engine", "graph"),
]


@pytest.mark.parametrize("status", ["completed", "interrupted"])
@pytest.mark.parametrize("change", [*BOMBS, *(setting(*each) for each in SETTINGS)], ids=lambda change: change.__name__)
def test_what_would_not_end(change: Callable[[Path], None], status: str, commands: Commands, folder: Path) -> None:
    set_status(folder / "run", status)
    change(folder / "run")
    assert_all_answer(commands, folder)


def test_one_bad_run_keeps_no_others_from_the_table(commands: Commands, stored: Path, folder: Path) -> None:
    shutil.copytree(stored / "family", folder / "good")
    for change in (anchors, brackets, huge_record, evil_metric, evil_status):
        shutil.rmtree(folder / "run")
        shutil.copytree(stored / "own", folder / "run")
        change(folder / "run")
        result = commands("results", ".", "--by", "run", "--format", "csv", cwd=folder)
        assert_harmless(result, folder, {})
        assert result.status == 0
        assert "good" in result.out


# Checkpoints that are whole, but not ours


def nested(contents: dict[str, Any]) -> dict[str, Any]:
    value: Any = 1.0
    for _ in range(100):
        value = [value, value]
    return {**contents, "history": {"lr": value}}


def expanded(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(contents: dict[str, Any]) -> dict[str, Any]:
        first = {key: value.flatten()[:1].clone().expand(value.shape) for key, value in contents["model"].items()}
        return {**contents, name: {"statistics": {"alpha": torch.ones(1).expand(2, 10**9)}, "model": first}[name]}

    return change


def with_all(name: str, change: Callable[[Tensor], object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda contents: {**contents, name: {key: change(value) for key, value in contents[name].items()}}


CHECKPOINTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nothing": lambda contents: {},
    "a list": lambda contents: [1],
    "a number": lambda contents: 1,
    "number keys": lambda contents: {1: 2},
    "only a model": lambda contents: {"model": contents["model"]},
    "no model": lambda contents: {key: value for key, value in contents.items() if key != "model"},
    "no loss": lambda contents: {key: value for key, value in contents.items() if key != "best_loss"},
    "texts": lambda contents: dict.fromkeys(contents, "text"),
    "Nones": dict.fromkeys,
    "numbers": lambda contents: dict.fromkeys(contents, 1),
    "NaN": with_all("model", lambda value: value * math.nan),
    "infinity": with_all("model", lambda value: value + math.inf),
    "integers": with_all("model", lambda value: value.long()),
    "complex": with_all("model", lambda value: value.to(torch.complex64)),
    "sparse": with_all("model", lambda value: value.to_sparse()),
    "one replica more": with_all("model", lambda value: torch.cat([value, value])),
    "transposed": with_all("model", lambda value: value.transpose(-1, -2)),
    "lists": with_all("model", lambda value: value.tolist()),
    "no statistics": lambda contents: {**contents, "statistics": {}},
    "statistics of texts": lambda contents: {**contents, "statistics": {"alpha": "text"}},
    "deep": nested,
    "expanded statistics": expanded("statistics"),
    "expanded model": expanded("model"),
    "complex loss": lambda contents: {**contents, "best_loss": contents["best_loss"].to(torch.complex64)},
    "infinite": lambda contents: {**contents, "statistics": {"alpha": torch.tensor([torch.inf])}},
    "later": lambda contents: {**contents, "epoch": 10**9, "best_epoch": contents["best_epoch"] + 10**9},
    "earlier": lambda contents: {**contents, "epoch": -5},
    "odd history": lambda contents: {**contents, "history": {"lr": [[None]]}},
    "odd optimizer": lambda contents: {**contents, "optimizer": {"state": {7: {"step": "text"}}, "param_groups": [{}]}},
    "negative time": lambda contents: {**contents, "seconds": -math.inf},
    "another config": lambda contents: {**contents, "config": "{"},
}


@pytest.mark.parametrize("name", [BEST, LAST])
@pytest.mark.parametrize("change", CHECKPOINTS)
def test_checkpoints_of_something_else(change: str, name: str, commands: Commands, folder: Path) -> None:
    set_status(folder / "run", "interrupted")
    rewrite(folder / "run", name, CHECKPOINTS[change])
    results = assert_all_answer(commands, folder)
    if name == BEST and change not in ("no statistics", "another config", "later", "earlier"):
        harmless = ("odd history", "odd optimizer", "negative time", "deep")  # which best.pt does not hold
        assert results[0].status == (0 if change in harmless else 2)
        assert results[3].status == 0  # it was written anew


def test_an_archive_that_unpacks(commands: Commands, folder: Path) -> None:
    for name in (BEST, LAST):
        with zipfile.ZipFile(folder / "run" / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02}.")
            archive.writestr("archive/data/0", bytes(2**28))
    assert_all_answer(commands, folder)


# Classes that are ours, but none of which an object can be made


TARGETS = [
    ("dataset", "invlearn.data.TransformationFamily"),
    ("dataset", "invlearn.files.SampleFile"),
    ("dataset", "invlearn.files.PairFile"),
    ("model", "invlearn.nn.AutoEncoder"),
    ("model", "invlearn.nn.StackedLinear"),
    ("loss", "invlearn.losses.Loss"),
    ("loss", "invlearn.losses.SupervisedDFTLoss"),
    ("optimizer", "torch.optim.Optimizer"),
    ("optimizer", "torch.optim.LBFGS"),
    ("trainer", "invlearn.config.Settings"),
]


@pytest.mark.parametrize(("group", "target"), TARGETS)
def test_classes_that_make_nothing(group: str, target: str, commands: Commands, folder: Path) -> None:
    set_status(folder / "run", "interrupted")
    forge(folder / "run", lambda config: config[group].update(_target_=target))
    assert_all_answer(commands, folder)
