"""Composing, flattening and comparing configs, and building what they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from invlearn.config import Settings, Trainer, as_plain, config_hash, differences
from invlearn.config.build import build
from invlearn.config.compose import compose
from invlearn.data import Shift
from invlearn.errors import UserError, nearest
from invlearn.training.choice import plan
from invlearn.training.experiment import Experiment
from tests.support.errors import assert_names, names, naming


def test_the_hash_is_of_what_is_computed_not_of_where() -> None:
    base = as_plain(compose([]))
    elsewhere = as_plain(compose(["device=cpu", "threads=2", "sweep=mine"]))
    assert config_hash(base) == config_hash(elsewhere)
    assert differences(base, elsewhere) == {}
    other = as_plain(compose(["seed=1"]))
    assert config_hash(base) != config_hash(other)
    assert differences(base, other) == {"seed": (0, 1)}


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert config_hash({"a": 1, "b": {"c": 2, "d": 3}}) == config_hash({"b": {"d": 3, "c": 2}, "a": 1})


def test_plain_configs_are_resolved_and_without_hydra() -> None:
    plain = as_plain(compose(["+model.twice=${seed}", "seed=3"]))
    assert plain["model"]["twice"] == 3
    assert "hydra" not in plain
    assert as_plain({"a": {"b": 1}}) == {"a": {"b": 1}}
    with pytest.raises(UserError, match=naming(also=["nowhere"])):
        as_plain(compose(["+model.twice=${nowhere}"]))


FOLDERS = ["größe", "a(1)", "a,b", "a=b", "it's", "x y", "[1]", "a\\b", "a\\"]
"""Names that mean something else in Hydra's grammar."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_may_have_any_name(folder: str) -> None:
    assert compose([f"hydra.run.dir={folder}"]).hydra.run.dir == folder


@pytest.mark.parametrize("folder", ["größe", "a(1)", "a,b", "a=b", "it's"])
def test_configs_are_found_in_folders_of_any_name(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder / "dataset").mkdir(parents=True)
    (tmp_path / folder / "dataset" / "mine.yaml").write_text("dim: 77")
    assert compose(["dataset=mine"], config_dir=str(tmp_path / folder)).dataset.dim == 77


class Anything:
    """No dataset, with an argument of any type."""

    def __init__(self, value: Any):
        self.value = value


@pytest.mark.parametrize(
    ("node", "named"),
    [
        ({}, names(key="dataset._target_")),
        ({"_target_": "invlearn.data.Nothing"}, names(key="dataset._target_", value="invlearn.data.Nothing")),
        ({"_target_": "invlearn.data.Shift", "dmi": 3}, names(key="dataset.dmi", suggests="dim")),
        ({"_target_": "invlearn.data.Shift", "dim": "x"}, names(key="dataset.dim", value="'x'")),
        ({"_target_": "invlearn.data.Shift", "seed": 1.5}, names(key="dataset.seed", value=1.5, also=["null"])),
        ({"_target_": "invlearn.data.Shift", "dim": 1}, names(key="dataset.dim", value=[2, 1])),
        ({"_target_": "invlearn.data.ShiftScale", "min_scale": True}, names(key="dataset.min_scale", value="True")),
        (
            {"_target_": "invlearn.data.ShiftScale", "max_scale": float("nan")},
            names(key="dataset.max_scale", value="nan"),
        ),
        ({"_target_": "invlearn.data.ShiftScale", "max_scale": 10**400}, names(key="dataset.max_scale")),
        ({"_target_": "tests.unit.test_config.Anything", "value": 3}, names(key="dataset._target_")),
        ({"_target_": "math.pi"}, names(key="dataset._target_", value="math.pi")),
        ({"_target_": ".Shift"}, names(key="dataset._target_", value="'.Shift'")),
        ({"_target_": "invlearn.data.TransformationFamily"}, names(key="dataset", also=["TransformationFamily"])),
        (
            {"_target_": "invlearn.data.PermutationCycle", "cycle": ["a"]},
            names(key="dataset.cycle", value="['a']", suggests="auto"),
        ),
    ],
)
def test_building_names_the_key_and_what_would_be_right(node: dict, named: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=naming(**named)):
        build("dataset", node)


def test_building_completes_the_node_and_settles_every_auto() -> None:
    built, node = build("dataset", {"_target_": "invlearn.data.Shift", "dim": 4, "size": 10})
    assert built == Shift(dim=4, size=10)
    assert node["_target_"] == "invlearn.data.Shift"
    assert (node["dim"], node["size"], node["valid_size"], node["seed"]) == (4, 10, 10_000, None)
    _, node = build("dataset", {"_target_": "invlearn.data.PermutationCycle", "dim": 3, "cycle_seed": 1})
    again, _ = build("dataset", node)
    assert again.order.tolist() == node["cycle"]


def test_candidates_without_names_or_data_are_refused() -> None:
    model = {"_target_": "invlearn.config.Candidates", "models": {1: {}}}
    with pytest.raises(UserError, match=naming(key="model.models", value=1)):
        build("model", model)
    with pytest.raises(UserError, match=naming(key="dataset")):
        plan({"model": model})


def test_eight_and_eight_point_zero_are_one_setting() -> None:
    hashes = {
        config_hash(Experiment.from_config(as_plain(compose([f"loss.weight={weight}"]))).config)
        for weight in ("8", "8.0", "8e0")
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Trainer(epochs=0), names(key="epochs", value=[1, 0])),
        (lambda: Trainer(batch_size=0), names(key="batch_size", value=[1, 0])),
        (lambda: Trainer(warmup_steps=-1), names(key="warmup_steps", value=[0, -1])),
        (lambda: Trainer(patience=0), names(key="patience", value=[1, 0])),
        (lambda: Trainer(clip=0.0), names(key="clip", value=[0, 0.0])),
        (lambda: Trainer(input_lr_factor=0.0), names(key="input_lr_factor", value=[0, 0.0])),
        (lambda: Settings(replicas=0), names(key="replicas", value=[1, 0])),
        (lambda: Settings(threads=0), names(key="threads", value=[1, 0])),
    ],
)
def test_bad_settings_are_named(make, named: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=naming(**named)):
        make()


def test_the_nearest_name_or_the_choice() -> None:
    close = nearest("twopat", ["twopart", "shift"])
    assert_names(close, suggests="twopart")
    assert "shift" not in close
    choice = nearest("zzz", ["b", "a"])
    assert re.search(r"\ba\b.*\bb\b", choice)
    assert nearest("zzz", []) == ""
