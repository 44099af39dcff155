"""Files that cannot be used: one line that names file, row and column, status 2, and nothing is written."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from invlearn.cli import main
from tests.support.errors import assert_error_line, names
from tests.support.own_data import entity_table, pair_table, write

Edit = Callable[[pd.DataFrame], pd.DataFrame]


def put(row: int, column: str, value: Any) -> Edit:
    def edit(table: pd.DataFrame) -> pd.DataFrame:
        changed = table.astype({column: object})
        changed.loc[row - 1, column] = value
        return changed

    return edit


def equal_to(row: int, other: int, entity: str | None = None) -> Edit:
    def edit(table: pd.DataFrame) -> pd.DataFrame:
        table.iloc[other - 1] = table.iloc[row - 1]
        if entity is not None:
            table.loc[other - 1, "id"] = entity
        return table

    return edit


SIX = re.compile(r"\b(six|6)\b")
Named = dict[str, Any]
"""What a line names; see ``tests.support.errors``."""

ENTITIES: dict[str, tuple[Edit, Named]] = {
    "no value": (put(17, "f2", None), names(row=17, column="f2", suggests="dataset.drop", also=["missing"])),
    "nan": (put(3, "f0", "nan"), names(row=3, column="f0", suggests="dataset.drop", also=["missing"])),
    "infinity": (put(5, "f1", "inf"), names(row=5, column="f1", value="inf")),
    "too large": (put(5, "f1", 1e300), names(row=5, column="f1", value="1e+300")),
    "text in a feature": (put(9, "f3", "abc"), names(row=9, column="f3", value="abc", also=["text"])),
    "a decimal comma": (put(9, "f3", "12,5"), names(row=9, column="f3", value="12,5", also=["text", "point"])),
    "nameless": (put(4, "id", ""), names(row=4, column="id")),
    "no entity column": (
        lambda table: table.drop(columns="id"),
        names(column="id", key="dataset.entity", suggests="f0"),
    ),
    "no features": (lambda table: table[["id", "place"]], names(key="dataset.features", also=["column"])),
    "one entity": (lambda table: table.assign(id="a"), names(column="id", value="a")),
    "few entities": (lambda table: table[table["id"] < "004"], names(value=4, also=[SIX])),
    "one sample of each": (lambda table: table.assign(id=range(len(table))), names(column="id", also=["two rows"])),
    "equal rows": (equal_to(2, 30), names(row=(30, 2), suggests="dataset.drop", also=["duplicates"])),
    "contradiction": (equal_to(2, 30, "x"), names(row=(30, 2), column="id")),
    "no rows": (lambda table: table[:0], names(also=["rows"])),
    "all equal": (lambda table: table.assign(f0=1.0, f1=1.0, f2=1.0, f3=1.0), names(row=(2, 1))),
}


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """Call the command line in an empty folder; its one line of complaint."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert main(list(words)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert list(here.iterdir()) == []
    return err


@pytest.mark.parametrize("name", ENTITIES)
def test_samples_that_cannot_be_used(name: str, capsys, tmp_path: Path, monkeypatch) -> None:
    edit, named = ENTITIES[name]
    file = write(edit(entity_table()), tmp_path / "samples.csv")
    words = ("train", "dataset=entities", f"dataset.path={file}", "dataset.entity=id", "dataset.missing=refuse")
    assert_error_line(refused(capsys, tmp_path, monkeypatch, *words), file="samples.csv", **named)


PAIRS: dict[str, tuple[Edit, Named]] = {
    "negative": (put(7, "d", -1), names(row=7, column="d", value=-1, suggests=["0", "same", "different"])),
    "a word": (put(7, "d", "perhaps"), names(row=7, column="d", value="perhaps", suggests=["same", "different"])),
    "no distance": (put(7, "d", None), names(row=7, column="d")),
    "too far": (put(7, "d", "1e39"), names(row=7, column="d", value="1e39", also=["single precision"])),
    "too close": (put(8, "d", "1e-50"), names(row=8, column="d", value="1e-50", also=["single precision"])),
    "infinite": (put(7, "d", "inf"), names(row=7, column="d", value="inf", suggests=["same", "different"])),
    "truth values": (lambda table: table.assign(d=table["d"] > 0), names(row=1, column="d", value="False")),
    "all the same": (lambda table: table.assign(d=0), names(column="d")),
    "all different": (lambda table: table.assign(d=1), names(column="d", also=["different"])),
    "widths": (lambda table: table.drop(columns="x_prime_3"), names(value=[4, 3], also=["x", "x'"])),
    "no partner": (lambda table: table.filter(regex="x_.$|d"), names(key="dataset.x_prime", value="x_prime_")),
    "names": (
        lambda table: table.rename(columns={"x_prime_3": "x_prime_z"}),
        names(column="x_prime_3", key="dataset.x_prime", suggests="x_prime_z", also=["x"]),
    ),
    "no label": (lambda table: table.drop(columns="d"), names(column="d", key="dataset.label", suggests="x_0")),
    "text": (put(11, "x_prime_2", "?"), names(row=11, column="x_prime_2", value="?")),
    "missing": (put(12, "x_1", None), names(row=12, column="x_1")),
    "twice": (equal_to(3, 5), names(row=(5, 3), suggests="dataset.drop", also=["duplicates"])),
    "contradiction": (lambda table: pd.concat([table, table[2:3].assign(d=1)]), names(row=(121, 3), also=["d"])),
}


@pytest.mark.parametrize("most", [[], ["dataset.most_rows=50"]])
def test_lists_name_no_entity(most: list[str], capsys, tmp_path: Path, monkeypatch) -> None:
    table = entity_table()
    file = write(table.assign(id=table["id"].map(lambda name: [name])), tmp_path / "samples.parquet")
    words = ("train", "dataset=entities", f"dataset.path={file}", "dataset.entity=id", *most)
    assert_error_line(refused(capsys, tmp_path, monkeypatch, *words), file="samples.parquet", column="id")


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_that_cannot_be_used(name: str, capsys, tmp_path: Path, monkeypatch) -> None:
    edit, named = PAIRS[name]
    file = write(edit(pair_table()), tmp_path / "pairs.csv")
    line = refused(
        capsys, tmp_path, monkeypatch, "train", "dataset=pairs", f"dataset.path={file}", "dataset.missing=refuse"
    )
    assert_error_line(line, file="pairs.csv", **named)


def broken_files(folder: Path) -> dict[str, tuple[Path, Named]]:
    """Files that are no tables, and what is named of each."""
    whole = entity_table().to_csv(index=False)
    parquet = write(entity_table(), folder / "whole.parquet").read_bytes()
    np.savez(folder / "whole.npz", x=np.zeros((9, 2)))
    npz = (folder / "whole.npz").read_bytes()
    contents: dict[str, tuple[bytes, Named]] = {
        "empty.csv": (b"", names(value=0, also=["empty"])),
        "other.csv": (b"id;f0;f1\n1;2;3\n", names(column="id", key="dataset.entity", also=["','", "';'"])),
        "blank.csv": (b"\n\n", names(also=["empty"])),
        "longer.csv": (whole.replace("here\n", "here,1,2\n", 20).encode(), names(also=["row", "header"])),
        "shorter.csv": (f"{whole}003,0.5,0.25".encode(), names(row=len(whole.splitlines()), also=["line"])),
        "middle.csv": (whole.replace(",here\n", "\n", 20).encode(), names(row=1, also=["line 2"])),
        "twice.csv": (whole.replace("f1", "f0", 1).encode(), names(column="f0")),
        "latin.csv": ("id,f0\ncafé,1\n".encode("latin-1"), names(also=["UTF-8", "byte 9"])),
        "letters.csv": (b"\xff\xfe\x00a,b\n1,2\n", names()),
        "half.csv.gz": (gzip.compress(whole.encode())[:200], names()),
        "half.parquet": (parquet[: len(parquet) // 2], names()),
        "half.npz": (npz[: len(npz) // 2], names()),
        "some.xlsx": (b"PK", names(suggests=".csv")),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    np.savez(folder / "objects.npz", x=np.array([{"a": 1}], dtype=object), entity=np.zeros(1))
    np.savez(folder / "lengths.npz", x=np.zeros((9, 2)), id=np.zeros(8))
    np.savez(folder / "names.npz", x=np.zeros((9, 2)), x_0=np.zeros(9), id=np.zeros(9))
    pd.DataFrame({"id": ["a"], "x": [[1.0, 2.0]]}).to_parquet(folder / "lists.parquet")
    np.save(folder / "cube.npy", np.zeros((3, 3, 3)))
    (folder / "nothing").mkdir()
    expected: dict[str, Named] = {name: named for name, (_, named) in contents.items()} | {
        "objects.npz": names(also=["Python", "objects"]),
        "lengths.npz": names(also=["rows", "x 9", "id 8"]),
        "names.npz": names(column="x_0", also=["x"]),
        "lists.parquet": names(key="dataset.features", also=["x", "lists", "column"]),
        "cube.npy": names(also=["x"], value="(3, 3, 3)"),
        "nowhere.csv": names(),
        "nothing": names(also=["folder"], suggests=".parquet"),
    }
    return {name: (folder / name, named) for name, named in expected.items()}


def test_what_is_no_table(capsys, tmp_path: Path, monkeypatch) -> None:
    for index, (file, named) in enumerate(broken_files(tmp_path).values()):
        place = tmp_path / str(index)
        place.mkdir()
        words = ("train", "dataset=entities", "model=extended", f"dataset.path={file}", "dataset.entity=id")
        line = refused(capsys, place, monkeypatch, *words)
        assert_error_line(line, file=file.name, **named)


def test_an_array_of_distances_must_be_one_number_a_pair(capsys, tmp_path: Path, monkeypatch) -> None:
    table = pair_table()
    x, x_prime = (table.filter(regex=f"^{name}_.$").to_numpy() for name in ("x", "x_prime"))
    np.savez(tmp_path / "pairs.npz", x=x, x_prime=x_prime, d=np.zeros((len(x), 2)))
    line = refused(capsys, tmp_path, monkeypatch, "train", "dataset=pairs", f"dataset.path={tmp_path / 'pairs.npz'}")
    assert_error_line(line, file="pairs.npz", also=["d", "shape (n,)"])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], names(key="dataset.path")),
        (
            ["dataset.path={file}", "dataset.features=[f0,f9]"],
            names(key="dataset.features", column="f9", suggests="f0"),
        ),
        (["dataset.path={file}", "dataset.features=[f0,f0]"], names(key="features", value="f0")),
        (["dataset.path={file}", "dataset.features=[f0,id]"], names(key="dataset.features", value="id")),
        (["dataset.path={file}", "dataset.features=[]"], names(key="dataset.features", also=["column"])),
        (["dataset.path={file}", "dataset.featurs=f"], names(key="dataset.featurs", suggests="features")),
        (["dataset.path={file}", "dataset.features=g"], names(key="dataset.features", value="g")),
        (
            ["dataset.path={file}", "dataset.valid_share=0.5", "dataset.test_share=0.5"],
            names(key=["dataset.valid_share", "test_share"]),
        ),
        (
            ["dataset.path={file}", "dataset.valid_share=0.49", "dataset.test_share=0.5"],
            names(key=["dataset.valid_share", "dataset.test_share"], value=40),
        ),
        (["dataset.path={file}", "dataset.factor=0"], names(key="dataset.factor", also=["0"])),
        (["dataset.path={file}", "dataset.offset=[1,2]"], names(key="dataset.offset", value=[4, 2])),
        (["dataset.path={file}", "dataset.without=[400]"], names(key="dataset.without", value="[400]")),
        (["dataset.path={file}", "dataset.without=[f9]"], names(key="dataset.without", column="f9", suggests="f0")),
        (
            ["dataset.path={file}", "dataset.samples_per_entity=1"],
            names(key="dataset.samples_per_entity", value=[2, 1]),
        ),
        (
            ["dataset.path={file}", "dataset.drop=[nan]"],
            names(key="dataset.drop", value="[nan]", suggests=["missing", "duplicates", "singletons"]),
        ),
        (
            ["dataset.path={file}", "dataset.size=10"],
            names(key=["trainer.batch_size", "dataset.size"], value=[16, 1, 10], also=["entities"]),
        ),
        (["dataset.path={file}", "trainer.batch_size=1"], names(key="trainer.batch_size", value=[2, 1])),
        (["dataset.path={file}", "loss=supervised_dft"], names(key="supervised_dft", suggests="loss=pairwise")),
    ],
)
def test_settings_that_do_not_fit(words: list[str], named: Named, capsys, tmp_path: Path, monkeypatch) -> None:
    file = write(entity_table(), tmp_path / "samples.csv")
    filled = [word.format(file=file) for word in words]
    line = refused(capsys, tmp_path, monkeypatch, "train", "dataset=entities", "dataset.entity=id", *filled)
    assert_error_line(line, **named)


def test_both_samples_have_their_own_columns(capsys, tmp_path: Path, monkeypatch) -> None:
    file = write(pair_table(), tmp_path / "pairs.csv")
    words = ("train", "dataset=pairs", f"dataset.path={file}", "dataset.x_prime=x_")
    line = refused(capsys, tmp_path, monkeypatch, *words)
    assert_error_line(line, key=["dataset.x", "dataset.x_prime"], value="x_")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (
            ["dataset.x_prime=[x_0,x_1]", "dataset.x=[x_1,x_2]"],
            names(key=["dataset.x", "dataset.x_prime"], value="x_1"),
        ),
        (["dataset.x=[d,x_1,x_2,x_3]"], names(key="dataset.x", file="pairs.csv", column="d")),
    ],
)
def test_a_column_is_one_thing(words: list[str], named: Named, capsys, tmp_path: Path, monkeypatch) -> None:
    file = write(pair_table(), tmp_path / "pairs.csv")
    line = refused(capsys, tmp_path, monkeypatch, "train", "dataset=pairs", f"dataset.path={file}", *words)
    assert_error_line(line, **named)
