"""Files that cannot be used: one line that names file, row and column, status 2, and nothing is written."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from invlearn.cli import main
from tests.own_data import entity_table, pair_table, write

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


ENTITIES: dict[str, tuple[Edit, str]] = {
    "no value": (put(17, "f2", None), "samples.csv, row 17, column f2: no value; dataset.drop=[missing] leaves"),
    "nan": (put(3, "f0", "nan"), "samples.csv, row 3, column f0: no value"),
    "infinity": (put(5, "f1", "inf"), "samples.csv, row 5, column f1: inf is no finite number of single"),
    "too large": (put(5, "f1", 1e300), "samples.csv, row 5, column f1: 1e+300 is no finite number"),
    "text in a feature": (put(9, "f3", "abc"), "samples.csv, row 9, column f3: abc is no finite number"),
    "nameless": (put(4, "id", ""), "samples.csv, row 4, column id: no value"),
    "no entity column": (lambda table: table.drop(columns="id"), "samples.csv: there is no column id (dataset.entity)"),
    "no features": (lambda table: table[["id", "place"]], "samples.csv: there is no column of numbers"),
    "one entity": (lambda table: table.assign(id="a"), "samples.csv: every row is of the entity a in column id"),
    "few entities": (lambda table: table[table["id"] < "004"], "samples.csv: only 4 entities; six are needed"),
    "one sample": (put(8, "id", "lonely"), "samples.csv, row 8: entity lonely in column id has no other row"),
    "equal rows": (equal_to(2, 30), "samples.csv, row 30 equals row 2; dataset.drop=[duplicates] leaves"),
    "contradiction": (equal_to(2, 30, "x"), "samples.csv, row 30 equals row 2, but is of another entity in column id"),
    "no rows": (lambda table: table[:0], "samples.csv has no rows"),
    "all missing": (lambda table: table.assign(f0=None), "samples.csv, row 1, column f0: no value"),
    "all equal": (lambda table: table.assign(f0=1.0, f1=1.0, f2=1.0, f3=1.0), "samples.csv, row 2 equals row 1"),
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
    edit, expected = ENTITIES[name]
    file = write(edit(entity_table()), tmp_path / "samples.csv")
    line = refused(
        capsys, tmp_path, monkeypatch, "train", "dataset=entities", f"dataset.path={file}", "dataset.entity=id"
    )
    assert expected in line


PAIRS: dict[str, tuple[Edit, str]] = {
    "negative": (
        put(7, "d", -1),
        "pairs.csv, row 7, column d: -1 is neither a distance from 0 on nor same or different",
    ),
    "a word": (put(7, "d", "perhaps"), "pairs.csv, row 7, column d: perhaps is neither"),
    "no distance": (put(7, "d", None), "pairs.csv, row 7, column d: no value"),
    "infinite": (put(7, "d", "inf"), "pairs.csv, row 7, column d: inf is neither"),
    "truth values": (lambda table: table.assign(d=table["d"] > 0), "pairs.csv, row 1, column d: False is neither"),
    "all the same": (lambda table: table.assign(d=0), "pairs.csv, column d: every pair is of one entity"),
    "all different": (lambda table: table.assign(d=1), "pairs.csv, column d: every pair is of different entities"),
    "widths": (lambda table: table.drop(columns="x_prime_3"), "pairs.csv: x has 4 columns and x' has 3"),
    "no partner": (
        lambda table: table.filter(regex="x_.$|d"),
        "pairs.csv: there is no column whose name starts with x_prime_",
    ),
    "names": (
        lambda table: table.rename(columns={"x_prime_3": "x_prime_z"}),
        "pairs.csv: there is no column x_prime_3 (dataset.x_prime, named as x is; a list takes any)",
    ),
    "no label": (lambda table: table.drop(columns="d"), "pairs.csv: there is no column d (dataset.label)"),
    "text": (put(11, "x_prime_2", "?"), "pairs.csv, row 11, column x_prime_2: ? is no finite number"),
    "missing": (put(12, "x_1", None), "pairs.csv, row 12, column x_1: no value"),
    "twice": (equal_to(3, 5), "pairs.csv, row 5 equals row 3; dataset.drop=[duplicates] leaves"),
    "contradiction": (
        lambda table: pd.concat([table, table[2:3].assign(d=1)]),
        "pairs.csv, row 121 equals row 3, but with another d",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_that_cannot_be_used(name: str, capsys, tmp_path: Path, monkeypatch) -> None:
    edit, expected = PAIRS[name]
    file = write(edit(pair_table()), tmp_path / "pairs.csv")
    assert expected in refused(capsys, tmp_path, monkeypatch, "train", "dataset=pairs", f"dataset.path={file}")


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that are no tables, and what is said of each."""
    whole = entity_table().to_csv(index=False)
    parquet = write(entity_table(), folder / "whole.parquet").read_bytes()
    np.savez(folder / "whole.npz", x=np.zeros((9, 2)))
    npz = (folder / "whole.npz").read_bytes()
    contents: dict[str, tuple[bytes, str]] = {
        "empty.csv": (b"", "is empty: 0 bytes"),
        "other.csv": (b"id;f0;f1\n1;2;3\n", "no column id (dataset.entity); its header holds no ',' but ';'"),
        "blank.csv": (b"\n\n", "is empty"),
        "longer.csv": (
            whole.replace("here\n", "here,1,2\n", 20).encode(),
            "a row has more fields than the header; commas",
        ),
        "twice.csv": (whole.replace("f1", "f0", 1).encode(), "there are two columns f0"),
        "latin.csv": ("id,f0\ncafé,1\n".encode("latin-1"), "is not in UTF-8 (byte 9); save it so"),
        "letters.csv": (b"\xff\xfe\x00a,b\n1,2\n", "cannot be read"),
        "half.csv.gz": (gzip.compress(whole.encode())[:200], "cannot be read, or is damaged"),
        "half.parquet": (parquet[: len(parquet) // 2], "cannot be read"),
        "half.npz": (npz[: len(npz) // 2], "cannot be read, or is damaged"),
        "some.xlsx": (b"PK", "files of this kind cannot be read; choose from: .csv"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    np.savez(folder / "objects.npz", x=np.array([{"a": 1}], dtype=object), entity=np.zeros(1))
    np.savez(folder / "lengths.npz", x=np.zeros((9, 2)), id=np.zeros(8))
    np.savez(folder / "names.npz", x=np.zeros((9, 2)), x_0=np.zeros(9), id=np.zeros(9))
    pd.DataFrame({"id": ["a"], "x": [[1.0, 2.0]]}).to_parquet(folder / "lists.parquet")
    np.save(folder / "cube.npy", np.zeros((3, 3, 3)))
    expected = {name: line for name, (_, line) in contents.items()} | {
        "objects.npz": "holds Python objects, which are not read",
        "lengths.npz": "its arrays differ in their number of rows: x 9, id 8",
        "names.npz": "there are two columns x_0, of arrays x and x_0",
        "lists.parquet": "x holds lists: write a column for each of their numbers",
        "cube.npy": "x has shape (3, 3, 3)",
        "nowhere.csv": "there is no such file",
        ".": "is a folder, not a file",
    }
    return {name: (folder / name, line) for name, line in expected.items()}


def test_what_is_no_table(capsys, tmp_path: Path, monkeypatch) -> None:
    for index, (name, (file, expected)) in enumerate(broken_files(tmp_path).items()):
        place = tmp_path / str(index)
        place.mkdir()
        words = ("train", "dataset=entities", f"dataset.path={file}", "dataset.entity=id")
        line = refused(capsys, place, monkeypatch, *words)
        assert expected in line, name
        assert file.name in line


def test_an_array_of_distances_must_be_one_number_a_pair(capsys, tmp_path: Path, monkeypatch) -> None:
    table = pair_table()
    x, x_prime = (table.filter(regex=f"^{name}_.$").to_numpy() for name in ("x", "x_prime"))
    np.savez(tmp_path / "pairs.npz", x=x, x_prime=x_prime, d=np.zeros((len(x), 2)))
    line = refused(capsys, tmp_path, monkeypatch, "train", "dataset=pairs", f"dataset.path={tmp_path / 'pairs.npz'}")
    assert "pairs.npz: d must be one number for each pair, an array of shape (n,)" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "dataset.path must be given"),
        (["dataset.path={file}", "dataset.features=[f0,f9]"], "there is no column f9 (dataset.features); choose from"),
        (["dataset.path={file}", "dataset.features=[f0,f0]"], "f0 is named twice"),
        (["dataset.path={file}", "dataset.features=[f0,id]"], "dataset.features must not name id, the column of ent"),
        (["dataset.path={file}", "dataset.features=[]"], "features must name at least one column"),
        (
            ["dataset.path={file}", "dataset.featurs=f"],
            "did you mean 'features'?",
        ),
        (["dataset.path={file}", "dataset.features=g"], "there is no column whose name starts with g"),
        (["dataset.path={file}", "dataset.valid_share=0.5", "dataset.test_share=0.5"], "leave nothing to train on"),
        (["dataset.path={file}", "dataset.factor=0"], "dataset.factor must be finite, and above 0"),
        (["dataset.path={file}", "dataset.offset=[1,2]"], "must be one number, or one for each of 4 features, got 2"),
        (["dataset.path={file}", "dataset.without=[400]"], "list of names (of digits alone in quotes"),
        (["dataset.path={file}", "dataset.without=[f9]"], "there is no column f9 (dataset.without)"),
        (["dataset.path={file}", "dataset.copies=1"], "dataset.copies must be at least 2"),
        (
            ["dataset.path={file}", "dataset.drop=[nan]"],
            "a list of missing or duplicates or singletons, got [nan]",
        ),
        (
            ["dataset.path={file}", "dataset.size=10"],
            "batch_size=16 entities, and an epoch draws only 1 with dataset.size",
        ),
        (["dataset.path={file}", "trainer.batch_size=1"], "trainer.batch_size must be at least 2 entities"),
        (["dataset.path={file}", "loss=supervised_dft"], "supervised_dft needs known spectra"),
    ],
)
def test_settings_that_do_not_fit(words: list[str], expected: str, capsys, tmp_path: Path, monkeypatch) -> None:
    file = write(entity_table(), tmp_path / "samples.csv")
    filled = [word.format(file=file) for word in words]
    assert expected in refused(capsys, tmp_path, monkeypatch, "train", "dataset=entities", "dataset.entity=id", *filled)


def test_both_samples_have_their_own_columns(capsys, tmp_path: Path, monkeypatch) -> None:
    file = write(pair_table(), tmp_path / "pairs.csv")
    words = ("train", "dataset=pairs", f"dataset.path={file}", "dataset.x_prime=x_")
    assert "dataset.x and dataset.x_prime are both x_" in refused(capsys, tmp_path, monkeypatch, *words)


@pytest.mark.parametrize("words", [["dataset.x_prime=[x_0,x_1]", "dataset.x=[x_1,x_2]"], ["dataset.x=[d,x_1,x_2,x_3]"]])
def test_a_column_is_one_thing(words: list[str], capsys, tmp_path: Path, monkeypatch) -> None:
    file = write(pair_table(), tmp_path / "pairs.csv")
    line = refused(capsys, tmp_path, monkeypatch, "train", "dataset=pairs", f"dataset.path={file}", *words)
    assert "is named twice" in line
