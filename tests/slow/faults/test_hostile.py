"""Runs and files from a stranger: nothing outside the run is written, no input is lost, each is answered at once."""

from __future__ import annotations

import math
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from invlearn.config.stored import record_text
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST, LAST
from tests.slow.faults.commands import Commands, Result
from tests.support.runs import forge, set_status
from tests.support.snapshot import snapshot

pytestmark = pytest.mark.slow

SECONDS = 2.0
"""Of computing, in which a command must answer."""

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

READERS = (["evaluate", "run"], ["resume", "run"], ["results", "run"], ["embed", "run", "new.csv", "-o", "z.csv"])


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    """A run that is finished, files beside it, and ``outside/victim``, which nobody may touch."""
    shutil.copytree(stored / "own", tmp_path / "run")
    for name in ("samples.csv", "new.csv", "more.csv"):
        shutil.copy(stored / name, tmp_path / name)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "victim").write_text("mine\n")
    return tmp_path


def assert_harmless(result: Result, folder: Path, before: dict[Path, bytes | None]) -> None:
    """Assert that a command ended at once and in order, and left alone what is not the run's."""
    assert "Traceback" not in result.out + result.err, result
    assert result.status in (0, 2), result
    assert result.seconds < SECONDS, result
    if result.status == 2:
        assert result.err.splitlines()[-1].startswith("invlearn: "), result
    assert not CONTROL.search(result.out + result.err), result
    log = folder / "run" / "train.log"
    if log.is_file() and not log.is_symlink():
        assert not CONTROL.search(log.read_text(errors="replace")), log.read_text()
    assert {path: path.read_bytes() if content is not None else None for path, content in before.items()} == before


def others(folder: Path) -> dict[Path, bytes | None]:
    """All but the run."""
    paths = [path for place in folder.iterdir() if place.name != "run" for path in (place, *place.rglob("*"))]
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


def ask_all(commands: Commands, folder: Path) -> list[Result]:
    """Every command that reads a run, on one that is not to be trusted."""
    before = others(folder)
    results = [commands(*words, cwd=folder) for words in READERS]
    for result in results:
        assert_harmless(result, folder, before)
    return results


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
    ask_all(commands, folder)


@pytest.mark.parametrize("name", ["checkpoints", ".hydra"])
def test_folders_that_lead_elsewhere(name: str, commands: Commands, folder: Path) -> None:
    elsewhere = folder / "outside" / "elsewhere"
    shutil.copytree(folder / "run" / "checkpoints", elsewhere)
    set_status(folder / "run", "interrupted")
    link(folder / "run" / name, elsewhere)
    assert [result.status for result in ask_all(commands, folder)][1] == 2


@pytest.mark.parametrize("name", ["train.log", ".lock", "metrics.csv", "run.json"])
def test_second_names_of_somebodys_file(name: str, commands: Commands, folder: Path) -> None:
    set_status(folder / "run", "interrupted")
    content = (folder / "run" / name).read_bytes()
    (folder / "outside" / "victim").write_bytes(content)
    (folder / "run" / name).unlink()
    (folder / "run" / name).hardlink_to(folder / "outside" / "victim")
    assert [result.status for result in ask_all(commands, folder)] == [0, 0, 0, 0]


# Control characters and secrets


EVIL = "x\n\x1b[2J\x1b]0;owned\x07\ntouch owned\r\u202e"


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
    results = ask_all(commands, folder)
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
    ask_all(commands, folder)


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


def expanded(contents: dict[str, Any]) -> dict[str, Any]:
    huge = torch.zeros(1).expand(10**6, 10**6)
    return {**contents, "statistics": {"alpha": huge}, "model": {k: v[:0] for k, v in contents["model"].items()}}


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
    "expanded": expanded,
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
    results = ask_all(commands, folder)
    if name == BEST and change not in ("no statistics", "another config", "later", "earlier"):
        harmless = ("odd history", "odd optimizer", "negative time", "deep")  # which best.pt does not hold
        assert results[0].status == (0 if change in harmless else 2)
        assert results[3].status == 0  # it was written anew


def test_an_archive_that_unpacks(commands: Commands, folder: Path) -> None:
    for name in (BEST, LAST):
        with zipfile.ZipFile(folder / "run" / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02}.")
            archive.writestr("archive/data/0", bytes(2**28))
    ask_all(commands, folder)


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
    ask_all(commands, folder)


# Outputs that would destroy something


def spellings(folder: Path) -> list[str]:
    (folder / "sub").mkdir()
    (folder / "linked.csv").symlink_to("new.csv")
    (folder / "again.csv").hardlink_to(folder / "new.csv")
    (folder / "here").symlink_to(".")
    return [
        "new.csv",
        "./new.csv",
        "sub/../new.csv",
        "linked.csv",
        "again.csv",
        "here/new.csv",
        str(folder / "new.csv"),
    ]


@pytest.mark.parametrize("command", ["embed", "match", "match second", "pairs", "the run's own"])
def test_an_output_over_an_input(command: str, commands: Commands, folder: Path) -> None:
    for output in spellings(folder):
        words = {
            "embed": ["embed", "run", "new.csv"],
            "match": ["match", "run", "new.csv", "more.csv"],
            "match second": ["match", "run", "more.csv", "new.csv"],
            "pairs": ["match", "run", "new.csv", "--pairs", "f0,f1,f2,f3", "f3,f2,f1,f0"],
            "the run's own": ["embed", "run", "more.csv"],
        }[command]
        if command == "the run's own":
            (folder / "new.csv").unlink()
            (folder / "new.csv").hardlink_to(folder / "samples.csv")
            forge(folder / "run", lambda config: config["dataset"].update(path=str(folder / "samples.csv")))
            if output == "again.csv":
                continue
        before = snapshot(folder)
        result = commands(*words, "-o", output, cwd=folder)
        assert result.status == 2, f"{output} {result}"
        assert_harmless(result, folder, before)


def test_an_output_over_a_run(commands: Commands, folder: Path) -> None:
    (folder / "same").symlink_to("run")
    (folder / "run" / "mine.csv").write_text("a\n")
    (folder / "run" / "mine.onnx").write_text("a\n")
    names = ["config.yaml", "run.json", "metrics.csv", "train.log", "checkpoints/best.pt", "checkpoints/new.csv", "."]
    for name in (*names, ".hydra/new.csv", "mine.csv", "mine.onnx"):
        for run in ("run", "same", "sub/../run"):
            (folder / "sub").mkdir(exist_ok=True)
            before = snapshot(folder)
            for words in (["results", "run", "--format", "csv"], ["export", "run"], ["embed", "run", "new.csv"]):
                result = commands(*words, "-o", f"{run}/{name}", cwd=folder)
                assert result.status == 2, f"{words} {run}/{name} {result}"
                assert_harmless(result, folder, before)


@pytest.mark.parametrize("output", ["pipe.csv", "device.csv", "sub.csv", "nowhere/z.csv"])
def test_an_output_that_is_no_file(output: str, commands: Commands, folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    (folder / "device.csv").symlink_to("/dev/null")
    (folder / "sub.csv").mkdir()
    for words in (["embed", "run", "new.csv"], ["results", "run", "--format", "csv"], ["match", "run", "new.csv"]):
        result = commands(*words, "-o", output, cwd=folder)
        assert result.status == 2, f"{words} {result}"
        assert_harmless(result, folder, {})
    assert Path("/dev/null").is_char_device()


# Files of samples


def write_wide(path: Path) -> None:
    columns = 100_000
    rows = [",".join(f"f{index}" for index in range(columns)), *[",".join(["1"] * columns)] * 3]
    path.write_text("\n".join(rows))


def write_one_line(path: Path) -> None:
    path.write_text("a" * 2**25)


def write_npz(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        header = {"descr": "<f8", "fortran_order": False, "shape": (2**29, 1)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(2**9):
            file.write(bytes(2**23))


def write_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 4)})


def write_names(path: Path) -> None:
    path.write_text(f'"{EVIL}",f0,f1\n' + "".join(f"{i // 2},{i},{i + 0.5}\n" for i in range(40)))


SAMPLES = {
    "wide.csv": write_wide,
    "line.csv": write_one_line,
    "bomb.npz": write_npz,
    "claims.npy": write_npy,
    "names.csv": write_names,
    "zero.csv": lambda path: path.symlink_to("/dev/zero"),
    "pipe.csv": os.mkfifo,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_files_of_samples(name: str, commands: Commands, folder: Path) -> None:
    SAMPLES[name](folder / name)
    before = {path: content for path, content in others(folder).items() if path.suffix == ".csv" and path.is_file()}
    for words in (
        ["train", "dataset=entities", f"dataset.path={name}", "dataset.entity=f9", "hydra.run.dir=new"],
        ["embed", "run", name, "-o", "z.csv"],
        ["match", "run", name, "-o", "z.csv"],
        ["evaluate", "run", name],
    ):
        result = commands(*words, cwd=folder)
        assert result.status == 2, f"{words} {result}"
        assert_harmless(result, folder, before)


def test_cells_that_a_spreadsheet_would_run_are_escaped_on_request(commands: Commands, folder: Path) -> None:
    lines = (folder / "new.csv").read_text().splitlines()
    lines[1] = lines[1].removesuffix("here") + "=cmd|' /C calc'!A0"
    (folder / "new.csv").write_text("\n".join(lines))
    for words in (["embed", "run", "new.csv"], ["match", "run", "new.csv", "more.csv"]):
        assert commands(*words, "-o", "z.csv", "--escape-formulas", cwd=folder).status == 0
        text = (folder / "z.csv").read_text()
        assert "'=cmd|" in text
        assert ",=cmd|" not in text
