"""The run directory: atomic files, strict JSON, errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invlearn.config.settings import MAX_REPLICAS
from invlearn.config.stored import check_storable, config_text, parse_config, parse_record
from invlearn.errors import DamagedError, UserError
from invlearn.runs.directory import RunDirectory
from tests.support.errors import naming


def test_the_record_is_strict_json(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.write_record({"metrics": {"a": float("nan")}, "b": [float("inf"), 1.5], "status": "running", "seeds": [0]})
    text = (tmp_path / "run.json").read_text()
    found = json.loads(text, parse_constant=pytest.fail)
    assert found.pop("digest")
    assert found == {"metrics": {"a": None}, "b": [None, 1.5], "status": "running", "seeds": [0]}
    assert run.record()["status"] == "running"


def test_the_config_comes_back_as_it_was(tmp_path: Path) -> None:
    config = {"model": {"depth": 2, "width": None, "lr": 1e-05}, "cycle": [2, 0, 1], "name": "1e3", "flag": True}
    RunDirectory(tmp_path).write_config(config)
    assert RunDirectory(tmp_path).stored_config() == config


def test_metrics_come_back_to_the_last_bit(tmp_path: Path) -> None:
    losses = enumerate([0.1 + 0.2, float("nan")], start=1)
    rows = [{"replica": 0, "seed": 7, "epoch": epoch, "train_loss": loss} for epoch, loss in losses]
    table = pd.DataFrame(rows)
    RunDirectory(tmp_path).write_metrics(rows)
    assert RunDirectory(tmp_path).metrics().equals(table)
    assert (tmp_path / "metrics.csv").read_text() == table.to_csv(index=False)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", "{"),
        ("run.json", "[]"),
        ("run.json", None),
        ("config.yaml", "a: ["),
        ("config.yaml", "- 1"),
        ("config.yaml", None),
    ],
)
def test_damage_is_named(tmp_path: Path, name: str, content: str | None) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    run = RunDirectory(tmp_path)
    with pytest.raises(UserError, match=naming(file=[name, tmp_path])):
        run.record() if name == "run.json" else run.config()


def test_a_lock_with_two_names_is_one_lock_and_nobodys_file_is_emptied(tmp_path: Path) -> None:
    one, two = RunDirectory(tmp_path / "one"), RunDirectory(tmp_path / "two")
    one.path.mkdir()
    two.path.mkdir()
    with one.locked():
        (two.path / ".lock").hardlink_to(one.path / ".lock")  # as a backup by hard links does
        assert one.is_locked
        assert two.is_locked
    (tmp_path / "mine").write_text("mine")
    (two.path / ".lock").unlink()
    (two.path / ".lock").hardlink_to(tmp_path / "mine")
    with pytest.raises(DamagedError, match=naming(file=two.path / ".lock")), two.locked():
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_asking_whether_a_run_is_locked_writes_nothing(tmp_path: Path) -> None:
    assert not RunDirectory(tmp_path).is_locked
    assert not RunDirectory(tmp_path / "none").is_locked
    assert list(tmp_path.iterdir()) == []


def test_only_our_own_leftovers_are_removed(tmp_path: Path) -> None:
    for name in (".tmp.abc.pt", ".run.json.tmp", ".mine.tmp"):
        (tmp_path / name).touch()
    (tmp_path / ".tmp.folder").mkdir()
    RunDirectory(tmp_path).remove_leftovers()
    assert {path.name for path in tmp_path.iterdir()} == {".mine.tmp", ".tmp.folder"}


def test_a_record_of_the_most_replicas_can_be_read(tmp_path: Path) -> None:
    points = [0.123456789012345 * k for k in range(1, 61)]
    calibration = dict.fromkeys(("false_positive_rate", "threshold", "true_positive_rate"), points)
    numbers = {f"metric_{index}": points[index] for index in range(15)}
    replica = {"seed": 0, "diverged": False, "metrics": numbers, "constants": numbers, "calibration": calibration}
    record = {"status": "completed", "seeds": [0] * MAX_REPLICAS, "replicas": [replica] * MAX_REPLICAS}
    RunDirectory(tmp_path).write_record(record)
    assert RunDirectory(tmp_path).record()["replicas"][-1] == replica


def test_an_odd_table_of_metrics_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"a,b\n1,2\n", b"replica,seed,epoch\n1,2,x\n", b"\xff\xfe\n", b'"'):
        (tmp_path / "metrics.csv").write_bytes(content)
        with pytest.raises(DamagedError, match=naming(file="metrics.csv")):
            RunDirectory(tmp_path).metrics()


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**63), 2**63) | st.booleans() | st.none() | st.floats()))
def test_a_config_that_may_be_stored_comes_back(values: dict[str, object]) -> None:
    config = {"dataset": values}
    try:
        check_storable(config)
    except UserError:
        assert any("\ud800" <= sign <= "\udfff" for sign in f"{values}" + "".join(map(str, values)))
        return
    found = parse_config(config_text(config).encode())
    assert repr(found) == repr(config)  # of which NaN is equal to itself


@pytest.mark.parametrize(
    "value",
    ["\ud800", 10**400, {"deep": [[[]]] * 2, "name": ["\udc80"]}, numpy.float64(1)],
    ids=["byte", "large", "in a list", "of numpy"],
)
def test_a_config_that_could_not_be_read_again_is_refused(value: object) -> None:
    with pytest.raises(UserError, match=r"dataset\.x"):
        check_storable({"dataset": {"x": value}})


@pytest.mark.parametrize("text", [b"a: !!str 5", b"a: !!python/name:os.system x", b"a: 1" + b"0" * 400])
def test_configs_hold_no_tags_and_no_endless_numbers(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"tag|integer"):
        parse_config(text)


@pytest.mark.parametrize("text", [b"", b"1e999", b'{"a": 1e999}', b'{"a": 1' + b"0" * 400 + b"}", b"[" * 10**5])
def test_records_hold_no_endless_numbers(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"empty|too large|integer|deep"):
        parse_record(text)
