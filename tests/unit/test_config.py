"""Composing, flattening and comparing configs, and building what they name."""

from __future__ import annotations

import pytest

from invlearn.config import Settings, Trainer, as_plain, config_hash, differences
from invlearn.config.build import build
from invlearn.config.compose import compose
from invlearn.data import Shift
from invlearn.errors import UserError, nearest
from invlearn.training.experiment import Experiment


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
    with pytest.raises(UserError, match="nowhere"):
        as_plain(compose(["+model.twice=${nowhere}"]))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({}, r"dataset\._target_ must name a class"),
        (
            {"_target_": "invlearn.data.Nothing"},
            r"dataset\._target_: there is no class or function inv",
        ),
        ({"_target_": "invlearn.data.Shift", "dmi": 3}, r"dataset\.dmi: there is no such key; did you mean 'dim'\?"),
        ({"_target_": "invlearn.data.Shift", "dim": "x"}, r"dataset\.dim must be a whole number, got 'x'"),
        ({"_target_": "invlearn.data.Shift", "seed": 1.5}, r"dataset\.seed must be a whole number or null, got 1\.5"),
        ({"_target_": "invlearn.data.Shift", "dim": 1}, r"dataset\.dim must be at least 2, got 1"),
        ({"_target_": "invlearn.data.ShiftScale", "min_scale": True}, r"dataset\.min_scale must be a finite number"),
        ({"_target_": "invlearn.data.ShiftScale", "max_scale": float("nan")}, r"dataset\.max_scale must be a finite"),
        ({"_target_": "math.pi"}, r"dataset\._target_: there is no class or function math\.pi"),
        ({"_target_": ".Shift"}, r"dataset\._target_ must name a class"),
        ({"_target_": "invlearn.data.TransformationFamily"}, "dataset: Can't instantiate abstract class"),
        ({"_target_": "invlearn.data.PermutationCycle", "cycle": ["a"]}, r"dataset\.cycle must be a list or auto"),
    ],
)
def test_building_names_the_key_and_what_would_be_right(node: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build("dataset", node)


def test_building_completes_the_node_and_settles_every_auto() -> None:
    built, node = build("dataset", {"_target_": "invlearn.data.Shift", "dim": 4, "size": 10})
    assert built == Shift(dim=4, size=10)
    assert node["_target_"] == "invlearn.data.Shift"
    assert (node["dim"], node["size"], node["valid_size"], node["seed"]) == (4, 10, 10_000, None)
    _, node = build("dataset", {"_target_": "invlearn.data.PermutationCycle", "dim": 3, "cycle_seed": 1})
    again, _ = build("dataset", node)
    assert again.order.tolist() == node["cycle"]


def test_eight_and_eight_point_zero_are_one_setting() -> None:
    hashes = {
        config_hash(Experiment.from_config(as_plain(compose([f"loss.weight={weight}"]))).config)
        for weight in ("8", "8.0", "8e0")
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Trainer(epochs=0), "epochs must be at least 1"),
        (lambda: Trainer(batch_size=0), "batch_size must be at least 1"),
        (lambda: Trainer(warmup_steps=-1), "warmup_steps must be at least 0"),
        (lambda: Trainer(patience=0), "patience must be at least 1"),
        (lambda: Trainer(clip=0.0), "clip must be above 0"),
        (lambda: Trainer(input_lr_factor=0.0), "input_lr_factor must be above 0"),
        (lambda: Settings(replicas=0), "replicas must be at least 1"),
        (lambda: Settings(threads=0), "threads must be at least 1"),
    ],
)
def test_bad_settings_are_named(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_nearest_name_or_the_choice() -> None:
    assert nearest("twopat", ["twopart", "shift"]) == "; did you mean 'twopart'?"
    assert nearest("zzz", ["b", "a"]) == "; choose from: a, b"
    assert nearest("zzz", []) == ""
