"""Several Parquet files as one table, and a random part of a table that is too large."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from invlearn import files
from invlearn.config.migrate import migrated
from invlearn.data import EntitySamples
from invlearn.errors import UserError
from invlearn.files import EntityFile, PairFile, SampleFile, many, open_table, taking
from invlearn.files.formats import parquet
from invlearn.files.many import files_of
from invlearn.system import memory
from tests.support.errors import assert_line, has_line, naming
from tests.support.own_data import entity_table, pair_table, write

FEATURES = ["f0", "f1", "f2", "f3"]


def prepare(spec: SampleFile) -> Any:
    """What ``files.prepare`` gives; each test knows the kind of its dataset."""
    return files.prepare(spec)


def in_parts(table: pd.DataFrame, folder: Path, count: int = 4) -> Path:
    """Write a table as so many files of a folder, ``part-1.parquet`` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        rows = slice(index * len(table) // count, (index + 1) * len(table) // count)
        table[rows].reset_index(drop=True).to_parquet(folder / f"part-{index + 1}.parquet")
    return folder


def rewrite(file: Path, **columns: Any) -> None:
    """Change columns of a file; None takes one out."""
    table = pd.read_parquet(file)
    for name, values in columns.items():
        table = table.drop(columns=name) if values is None else table.assign(**{name: values})
    table.to_parquet(file)


def rounded(values: np.ndarray) -> list[tuple[int, ...]]:
    """Rows that can be compared with others of single precision."""
    return [tuple(row) for row in (10_000 * values).round().astype(int).tolist()]


@pytest.mark.parametrize("kind", ["entities", "pairs"])
def test_files_of_a_folder_are_one_table_to_the_bit(kind: str, tmp_path: Path) -> None:
    table = entity_table() if kind == "entities" else pair_table()
    spec: Any = EntityFile if kind == "entities" else PairFile
    named = {"entity": "id"} if kind == "entities" else {}
    folder = in_parts(table, tmp_path / "parts", 12)  # 10 comes after 9
    one = prepare(spec(path=str(write(table, tmp_path / "one.parquet")), **named))
    for path in (folder, folder / "part-*.parquet", tmp_path / "**" / "part-*.parquet"):
        several = prepare(spec(path=str(path), **named))
        assert several.spec.scale == one.spec.scale
        assert several.spec.feature_names == one.spec.feature_names
        for part, expected in zip(several.dataset.pairs("train", 0), one.dataset.pairs("train", 0), strict=True):
            assert torch.equal(part, expected)
        assert_line(several.report[0], path, "12 files", f"{len(table)} rows" if kind == "entities" else "120 pairs")


def test_chunks_do_not_depend_on_where_files_end(tmp_path: Path, monkeypatch) -> None:
    for module in (many, parquet):
        monkeypatch.setattr(module, "CHUNK", 7)
    table = entity_table(10)
    opened = open_table(in_parts(table, tmp_path / "parts"))
    chunks = list(opened.chunks(["f2", "id"]))
    assert [chunk.first_row for chunk in chunks] == [1, 8, 15, 22, 29]
    assert [len(chunk.frame) for chunk in chunks] == [7, 7, 7, 7, 2]
    read = pd.concat([chunk.frame for chunk in chunks], ignore_index=True)
    assert read["f2"].tolist() == table["f2"].tolist()
    assert read["id"].tolist() == table["id"].tolist()
    for row in range(1, 31):
        place = opened.place(row)
        assert pd.read_parquet(place.file)["f2"][place.row - 1] == table["f2"][row - 1]


def test_hidden_files_and_those_of_other_kinds_are_left_out(tmp_path: Path) -> None:
    folder = in_parts(entity_table(), tmp_path / "parts", 11)
    expected = [f"part-{index}.parquet" for index in range(1, 12)]
    for name in ("_SUCCESS", "_metadata.parquet", ".part-1.parquet", ".part-1.parquet.crc", "README.md"):
        (folder / name).write_bytes(b"x")
    in_parts(entity_table(), folder / "_temporary" / "0")
    in_parts(entity_table(), folder / "below", 1)
    assert [file.name for file in files_of(folder)] == expected
    assert [file.name for file in files_of(folder / "*.parquet")] == expected
    found = [file.relative_to(folder) for file in files_of(folder / "**" / "*.parquet")]
    assert found == [Path("below/part-1.parquet"), *map(Path, expected)]
    assert files_of(folder / "part-1.parquet") == [folder / "part-1.parquet"]
    bracketed = in_parts(entity_table(), tmp_path / "b[1]", 2)
    assert files_of(bracketed / "part-*.parquet") == [bracketed / "part-1.parquet", bracketed / "part-2.parquet"]
    odd = write(entity_table(), tmp_path / "a[1].parquet")  # a file of that very name is no pattern
    assert open_table(odd).columns == open_table(folder).columns


def test_a_fingerprint_is_of_contents_and_their_order(tmp_path: Path) -> None:
    def fingerprint(folder: Path) -> str:
        return open_table(folder).fingerprint  # pyright: ignore[reportAttributeAccessIssue]

    folder = in_parts(entity_table(), tmp_path / "parts")
    first = fingerprint(folder)
    assert len(first) == 16
    moved = folder.rename(tmp_path / "moved")
    assert fingerprint(moved) == first
    (moved / "part-1.parquet").rename(moved / "part-9.parquet")
    assert fingerprint(moved) != first
    (moved / "part-9.parquet").rename(moved / "a.parquet")
    assert fingerprint(moved) == first
    rewrite(moved / "part-3.parquet", f0=1.0)
    assert fingerprint(moved) != first


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files cannot be counted here")
def test_one_file_is_open_at_a_time(tmp_path: Path) -> None:
    folder = in_parts(entity_table(100), tmp_path / "parts", 40)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    table = open_table(folder)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    for _ in table.chunks(FEATURES):
        assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208


def test_columns_of_a_file_that_differ_are_named(tmp_path: Path) -> None:
    for name, change, named in (
        ("part-3.parquet", {"f2": None}, naming(file="part-3.parquet", column="f2")),
        ("part-2.parquet", {"f1": "a"}, naming(file="part-2.parquet", column="f1", also=["text", "numbers"])),
        ("part-4.parquet", {"id": 5}, naming(file="part-4.parquet", column="id", also=["text", "numbers"])),
        ("part-2.parquet", {"f9": 1.0}, naming(file=["part-2.parquet"], column="f9")),
    ):
        rewrite(in_parts(entity_table(), tmp_path / "parts") / name, **change)
        with pytest.raises(UserError, match=named):
            open_table(tmp_path / "parts")


def test_types_of_a_kind_go_together(tmp_path: Path) -> None:
    table = entity_table().assign(f3=[*range(120)])
    folder = in_parts(table, tmp_path / "parts")
    rewrite(folder / "part-2.parquet", f3=pd.read_parquet(folder / "part-2.parquet")["f3"].astype("float32"))
    rewrite(folder / "part-3.parquet", id=pd.read_parquet(folder / "part-3.parquet")["id"].astype("category"))
    read = pd.concat([chunk.frame for chunk in open_table(folder).chunks(["f3", "id"])], ignore_index=True)
    assert read["f3"].tolist() == table["f3"].tolist()
    assert read["id"].tolist() == table["id"].tolist()
    data = prepare(EntityFile(path=str(folder), entity="id", features="f"))
    assert data.spec.feature_names == FEATURES


@pytest.mark.parametrize("part", [1, 3])
def test_a_column_without_a_value_in_one_file_is_of_any_kind(part: int, tmp_path: Path) -> None:
    folder = in_parts(entity_table(), tmp_path / "parts")
    rewrite(folder / f"part-{part}.parquet", f1=None)
    rewrite(folder / f"part-{part}.parquet", f1=[None] * 30)
    with pytest.raises(UserError, match=naming(file=f"part-{part}.parquet", row=1, column="f1")):
        prepare(EntityFile(path=str(folder), entity="id", features=FEATURES, missing="refuse"))
    data = prepare(EntityFile(path=str(folder), entity="id", features=FEATURES, drop=["missing"]))
    assert_line("\n".join(data.report), "left out", 30, "missing")


def test_rows_are_counted_within_the_file_that_is_named(tmp_path: Path) -> None:
    spec = EntityFile(path=str(tmp_path / "parts"), entity="id", missing="refuse")
    for column, value in (("f2", np.nan), ("f1", np.inf), ("id", "")):
        folder = in_parts(entity_table(), tmp_path / "parts")
        values = pd.read_parquet(folder / "part-3.parquet")[column]
        values[16] = value
        rewrite(folder / "part-3.parquet", **{column: values})
        with pytest.raises(UserError, match=naming(file="part-3.parquet", row=17, column=column)):
            prepare(spec)
    table = entity_table()
    table.iloc[100] = table.iloc[31]
    in_parts(table, tmp_path / "parts")
    with pytest.raises(UserError, match=naming(file=["part-4.parquet", "part-2.parquet"], row=(11, 2))):
        prepare(spec)
    table.iloc[35] = table.iloc[31]
    in_parts(table, tmp_path / "parts")
    with pytest.raises(UserError, match=naming(file="part-2.parquet", row=(6, 2))):
        prepare(spec)


def test_what_is_no_table_of_several_files(tmp_path: Path) -> None:
    folder = in_parts(entity_table(), tmp_path / "parts")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "_SUCCESS").touch()
    write(entity_table(), tmp_path / "samples.csv")
    for path, named in (
        (empty, naming(file=empty, suggests=".parquet")),
        (folder / "no-*.parquet", naming(file="parts/no-*.parquet")),
        (tmp_path / "*.csv", naming(file="samples.csv", suggests=".parquet")),
    ):
        with pytest.raises(UserError, match=named):
            open_table(path)
    (folder / "part-2.parquet").write_bytes(b"")
    with pytest.raises(UserError, match=naming(file="part-2.parquet", value=0)):
        open_table(folder)
    (folder / "part-2.parquet").unlink()
    os.mkfifo(folder / "part-2.parquet")
    with pytest.raises(UserError, match=naming(file="part-2.parquet", also=["pipe"])):
        open_table(folder)
    (folder / "part-2.parquet").unlink()
    (folder / "part-2.parquet").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=naming(file="part-2.parquet")):
        open_table(folder)


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    folder = in_parts(entity_table(), tmp_path / "parts")
    table = open_table(folder)
    rewrite(folder / "part-4.parquet", f0=1.0)
    with pytest.raises(UserError, match=naming(file="part-4.parquet", also=["changed"])):
        list(table.chunks(FEATURES))


@pytest.mark.parametrize("ending", ["csv", "parquet", ""])
def test_whole_entities_of_a_larger_file_are_taken_at_random(ending: str, tmp_path: Path) -> None:
    table = entity_table(60)
    path = write(table, tmp_path / f"samples.{ending}") if ending else in_parts(table, tmp_path / "parts")

    def taken(**settings: Any) -> Any:
        return prepare(EntityFile(path=str(path), entity="id", scaling="none", **settings))

    some = taken(most_rows=100)
    assert some.spec.most_rows == 100
    assert_line("\n".join(some.report), "180 rows", "4 features")
    assert_line("\n".join(some.report), 99, 180, 33, 60, "dataset.most_rows=100")
    assert_line("\n".join(some.report), "99 samples", "33 entities", 3)
    written = set(rounded(table[FEATURES].to_numpy()))
    examples = some.dataset
    assert isinstance(examples, EntitySamples)
    rows = rounded(examples.samples.numpy())
    assert set(rows) <= written
    assert set(examples.entity.bincount().tolist()) == {3}
    assert torch.equal(taken(most_rows=100).dataset.samples, examples.samples)
    assert set(rounded(taken(most_rows=100, seed=1).dataset.samples.numpy())) != set(rows)
    for most in (180, None, "auto"):
        every = taken(most_rows=most)
        assert len(every.dataset.samples) == 180
        assert every.spec.most_rows == (180 if most == 180 else None)
        assert not has_line("\n".join(every.report), "dataset.most_rows")


def test_an_entity_that_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    sizes = [4] * 100 + [300, 90]
    table = pd.DataFrame({"id": np.repeat(np.arange(len(sizes)), sizes)})
    table["f0"] = np.random.default_rng(0).normal(size=len(table))
    path = str(write(table, tmp_path / "samples.csv"))
    for seed in range(8):
        some = prepare(EntityFile(path=path, entity="id", most_rows=250, seed=seed, scaling="none"))
        assert 247 <= len(some.dataset.samples) <= 250


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_pairs_of_a_larger_file_are_taken_at_random(ending: str, tmp_path: Path) -> None:
    table = pair_table(400)
    path = str(write(table, tmp_path / f"pairs.{ending}"))
    some = prepare(PairFile(path=path, most_rows=300, scaling="none"))
    assert_line("\n".join(some.report), "400 pairs", "4 features")
    assert_line("\n".join(some.report), 300, 400, "dataset.most_rows=300")
    given = some.dataset.given
    assert len(given.x) == 300
    written = {row: index for index, row in enumerate(rounded(table.drop(columns="d").to_numpy()))}
    order = [written[row] for row in rounded(torch.cat([given.x, given.x_prime], 1).numpy())]
    assert order == sorted(set(order))
    assert torch.equal(prepare(PairFile(path=path, most_rows=300, scaling="none")).dataset.given.x, given.x)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_memory_decides_how_much_is_read(ending: str, tmp_path: Path, monkeypatch) -> None:
    path = str(write(entity_table(60), tmp_path / f"samples.{ending}"))
    row = taking.BYTES_A_NUMBER * 4 + taking.BYTES_A_ROW
    monkeypatch.setattr(taking, "machine_memory", lambda: 2 * 123.4 * row)
    data = prepare(EntityFile(path=path, entity="id"))
    assert data.spec.most_rows == 120  # two digits
    assert len(data.dataset.samples) == 120
    assert data.spec.is_settled
    monkeypatch.undo()
    again = prepare(data.spec)
    assert torch.equal(again.dataset.samples, data.dataset.samples)
    assert prepare(EntityFile(path=path, entity="id")).spec.most_rows is None


def test_parts_that_cannot_be_taken(tmp_path: Path) -> None:
    table = entity_table(60)
    table.loc[table["id"] < "055", "id"] = "one"  # 165 rows of one entity, and three each of five
    path = str(write(table, tmp_path / "samples.parquet"))
    with pytest.raises(UserError, match=naming(file="samples.parquet", key="dataset.most_rows=100", column="id")):
        prepare(EntityFile(path=path, entity="id", most_rows=100))
    with pytest.raises(ValueError, match=naming(key="most_rows", value=[12, 11])):
        EntityFile(path=path, most_rows=11)
    table.loc[7, "id"] = None
    path = str(write(table, tmp_path / "samples.parquet"))
    with pytest.raises(UserError, match=naming(file="samples.parquet", row=8, column="id")):
        prepare(EntityFile(path=path, entity="id", most_rows=100))


def test_entities_with_one_row_are_not_taken(tmp_path: Path) -> None:
    table = entity_table(60)
    table.loc[:89, "id"] = [f"single {index}" for index in range(90)]
    path = str(write(table, tmp_path / "samples.parquet"))
    several = int((table["id"].value_counts() > 1).sum())
    singles = int((table["id"].value_counts() == 1).sum())
    data = prepare(EntityFile(path=path, entity="id", most_rows=100))
    assert_line("\n".join(data.report), "left out", singles, "one row")
    assert len(data.dataset.entity.unique()) == several


def test_a_run_of_before_has_read_every_row() -> None:
    stored = {"_target_": "invlearn.files.EntityFile", "path": "a.csv", "fingerprint": "0123456789abcdef"}
    assert migrated({"dataset": stored})["dataset"]["most_rows"] is None
    assert "most_rows" not in migrated({"dataset": {**stored, "fingerprint": "auto"}})["dataset"]
    assert migrated({"dataset": {**stored, "most_rows": 50}})["dataset"]["most_rows"] == 50


@pytest.mark.parametrize(
    ("membership", "name", "limits"),
    [
        ("0::/a/b\n", "memory.max", {"": "max", "a": "4096", "a/b": "max"}),
        ("5:cpu,memory:/a\n0::/\n", "memory.limit_in_bytes", {"memory": "8192", "memory/a": "4096"}),
        ("0::/gone\n", "memory.max", {"": "4096"}),
    ],
)
def test_a_control_group_limits_the_memory(
    membership: str, name: str, limits: dict[str, str], tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "cgroup").write_text(membership)
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    whole = memory.machine_memory()
    assert whole > 2**20
    for folder, limit in limits.items():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).write_text(f"{limit}\n")
    assert memory.machine_memory() == 4096
