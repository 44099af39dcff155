"""Outputs over inputs, and files from a stranger: nothing is lost, and each is answered at once."""

from __future__ import annotations

import os
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.slow.faults.commands import Commands
from tests.slow.faults.harmless import EVIL, assert_harmless, others
from tests.support.runs import forge
from tests.support.snapshot import snapshot

pytestmark = pytest.mark.slow

CASES = 40
"""Damages of a file of samples."""


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
    "after.csv": lambda path: path.write_text("\n" + ",".join(f"f{i}" for i in range(100_000)) + "\n"),
    "lines.csv": lambda path: path.write_bytes(b"\n" * 2**25),
    "tokens.npy": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8\\\n"),
    "deep.npy": lambda path: path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 9000) + b"(" * 9000),
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


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "npz", "npy"])
def test_damaged_samples(ending: str, commands: Commands, some: Callable[[int], range], folder: Path) -> None:
    table = pd.read_csv(folder / "new.csv")
    path = folder / f"samples.{ending}"
    features = table[[f"f{index}" for index in range(4)]]
    if ending == "npz":
        np.savez_compressed(path, **{name: features[name].to_numpy() for name in ("f0", "f1", "f2", "f3")})
    elif ending == "npy":
        np.save(path, features.to_records(index=False))
    elif ending == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    whole = path.read_bytes()
    before = others(folder)
    assert commands("embed", "run", path.name, "-o", "z.csv", cwd=folder).status == 0
    for case in some(CASES):
        (folder / "z.csv").unlink(missing_ok=True)
        chance = random.Random(f"{ending} {case}")
        place = chance.randrange(len(whole))
        path.write_bytes(whole[:place] + (chance.randbytes(chance.randint(1, 8)) + whole[place + 8 :]) * (case % 3 > 0))
        result = commands("embed", "run", path.name, "-o", "z.csv", cwd=folder)
        assert_harmless(result, folder, {key: value for key, value in before.items() if key != path})
        assert result.status == 2 or (folder / "z.csv").exists()


def test_cells_that_a_spreadsheet_would_run_are_escaped_on_request(commands: Commands, folder: Path) -> None:
    lines = (folder / "new.csv").read_text().splitlines()
    lines[1] = lines[1].removesuffix("here") + "=cmd|' /C calc'!A0"
    (folder / "new.csv").write_text("\n".join(lines))
    for words in (["embed", "run", "new.csv"], ["match", "run", "new.csv", "more.csv"]):
        assert commands(*words, "-o", "z.csv", "--escape-formulas", cwd=folder).status == 0
        text = (folder / "z.csv").read_text()
        assert "'=cmd|" in text
        assert ",=cmd|" not in text
