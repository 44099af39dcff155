"""Every YAML of a dataset, model, loss, optimiser or preset composes, builds what it names, and trains."""

from __future__ import annotations

import inspect
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from torch import Tensor, nn

from invlearn.config import as_plain, flatten
from invlearn.config.build import locate
from invlearn.config.compose import compose
from invlearn.config.folder import conf_dir
from invlearn.losses import Loss
from invlearn.training.choice import Choice, plan
from invlearn.training.experiment import Experiment
from invlearn.training.learner import learn
from invlearn.training.loop import TrainingState, train_step
from tests.support.errors import naming
from tests.support.own_data import entity_table, pair_table, write
from tests.support.training import CPU, examples_of

OPTIONS = {
    group: sorted(file.stem for file in (conf_dir() / group).glob("*.yaml"))
    for group in ("dataset", "model", "loss", "optimizer", "trainer", "preset")
}


TRAINED = [
    file.stem
    for file in sorted((conf_dir() / "model").glob("*.yaml"))
    if "\n_target_: invlearn.nn" in file.read_text(encoding="utf-8")
]
"""Models that are trained by gradients."""

CHOSEN = {group: [option for option in OPTIONS[group] if option != "none"] for group in OPTIONS}
"""Without what a closed form chooses for itself."""


def losses_of_two_steps(overrides: list[str]) -> list[float]:
    experiment = Experiment.from_config(as_plain(compose([*overrides, "dataset.size=256", "trainer.batch_size=32"])))
    examples = examples_of(experiment)
    state = TrainingState.initial(experiment, examples, CPU)
    for group in state.optimizer.param_groups:
        group["lr"] = group["peak_lr"] / 100
    batch = type(examples)(*(part[:, :32] for part in examples))
    given = experiment.loss.at(0.0, state.statistics)
    return [train_step(state, experiment, batch, given)["loss"].item() for _ in range(2)]


SPECTRAL = ("shift", "twopart", "permcycle", "shiftscale", "dihedral", "shift2d", "signed_permcycle")
"""Families with a spectrum, which a supervised code is made of."""

OWN = {"entities": entity_table().rename(columns={"id": "entity"}), "pairs": pair_table()}


@pytest.mark.parametrize(
    ("dataset", "model", "loss"), list(itertools.product(OPTIONS["dataset"], TRAINED, CHOSEN["loss"]))
)
def test_every_dataset_model_and_loss_train_together(dataset: str, model: str, loss: str, tmp_path: Path) -> None:
    file = [f"dataset.path={write(OWN[dataset], tmp_path / 'own.csv')}"] if dataset in OWN else []
    overrides = [f"dataset={dataset}", *file, f"model={model}", f"loss={loss}"]
    if model == "bispectral" and loss != "bispectral":
        with pytest.raises(ValueError, match=naming(key="model", suggests="loss=bispectral")):
            losses_of_two_steps(overrides)
    elif dataset == "pairs" and loss in ("contrastive", "info_nce", "bispectral"):
        with pytest.raises(ValueError, match=naming(key="loss", also=["entities"])):
            losses_of_two_steps(overrides)
    elif loss == "supervised_dft" and dataset not in SPECTRAL:
        with pytest.raises(ValueError, match=naming(key="loss", also=["supervised_dft"], suggests="loss=pairwise")):
            losses_of_two_steps(overrides)
    else:
        first, second = losses_of_two_steps(overrides)
        assert second < first


@pytest.mark.parametrize("dataset", OWN)
def test_own_data_bring_defaults_that_what_is_typed_replaces(dataset: str, tmp_path: Path) -> None:
    path = f"dataset.path={write(OWN[dataset], tmp_path / 'own.csv')}"

    def chosen(*overrides: str) -> dict[str, Any]:
        return flatten(
            Experiment.from_config(as_plain(compose([f"dataset={dataset}", "model=extended", path, *overrides]))).config
        )

    config = chosen()
    assert (config["model.eps"], config["optimizer.weight_decay"]) == (4.0, 0.5)
    assert config["loss.pairs"] == ("batch" if dataset == "entities" else "drawn")
    config = chosen("model.eps=0.1", "optimizer.weight_decay=0.2", "loss.pairs=drawn", "trainer.batch_size=8")
    assert (config["model.eps"], config["optimizer.weight_decay"], config["loss.pairs"]) == (0.1, 0.2, "drawn")
    assert chosen("optimizer=sgd")["optimizer._target_"] == "torch.optim.SGD"
    assert chosen("optimizer=adam")["optimizer._target_"] == "torch.optim.Adam"


@pytest.mark.parametrize("dataset", OWN)
def test_own_data_choose_among_models(dataset: str, tmp_path: Path) -> None:
    words = [f"dataset={dataset}", f"dataset.path={write(OWN[dataset], tmp_path / 'own.csv')}"]
    choice = plan(as_plain(compose(words)))
    assert isinstance(choice, Choice)
    assert list(choice.candidates) == ["polynomial", "extended"]
    assert choice.candidates["polynomial"].config["loss"] == {}
    assert choice.candidates["extended"].config["model"]["start"] == "closed_form"
    assert plan(choice.config).config == choice.config
    standard = plan(as_plain(compose([*words, "model=standard"])))
    assert isinstance(standard, Experiment)
    assert "eps" not in standard.config["model"]
    assert isinstance(plan(as_plain(compose(["dataset=shift"]))), Experiment)


@pytest.mark.parametrize("preset", sorted({*OPTIONS["preset"]} - {"complete"}))
@pytest.mark.parametrize("model", TRAINED)
def test_every_preset_composes_with_either_model(preset: str, model: str) -> None:
    loss = "bispectral" if model == "bispectral" else "supervised_dft"
    first, second = losses_of_two_steps([f"preset={preset}", f"model={model}", f"loss={loss}"])
    assert second < first


def test_the_papers_preset_is_the_papers() -> None:
    config = as_plain(compose(["preset=paper", "loss=supervised_dft"]))
    assert config["optimizer"]["_target_"] == "torch.optim.SGD"
    assert (config["trainer"]["batch_size"], config["model"]["columns"]) == (128, "input")
    assert (config["dataset"]["size"], config["dataset"]["test_size"], config["loss"]["weight"]) == (60_000, 10_000, 8)
    standard = Experiment.from_config(as_plain(compose(["preset=paper", "model=standard", "dataset.dim=20"])))
    assert standard.config["model"]["width"] == 160


@pytest.mark.parametrize(
    ("group", "option"), [(group, option) for group in CHOSEN if group != "preset" for option in CHOSEN[group]]
)
def test_a_yaml_mirrors_its_constructor(group: str, option: str) -> None:
    node = OmegaConf.to_container(OmegaConf.load(conf_dir() / group / f"{option}.yaml"))
    assert isinstance(node, dict)
    node.pop("defaults", None)  # Hydra's: what it chooses of other groups
    target = locate(group, node["_target_"])
    parameters = inspect.signature(target).parameters
    keys = {str(key) for key in node} - {"_target_"}
    assert keys <= set(parameters)
    auto_rules = OmegaConf.load(conf_dir() / "auto.yaml")
    if node["_target_"].startswith("invlearn."):
        given_elsewhere = {"dim", "code_features", "generators"} if group in ("model", "loss") else set()
        assert keys == set(parameters) - given_elsewhere
        for key in keys:
            default = parameters[key].default
            if default is inspect.Parameter.empty:
                assert node[key] == "???" or isinstance(node[key], dict)
            elif f"{group}.{key}" in auto_rules:
                assert node[key] == "auto"
            else:
                assert node[key] == (list(default) if default == () else default), f"{group}.{key} has two defaults"


@pytest.mark.parametrize("file", sorted(conf_dir().rglob("*.yaml")), ids=lambda file: file.stem)
def test_a_yaml_opens_with_its_command(file: Path) -> None:
    head = [line for line in file.read_text().splitlines() if line.startswith("#") and "@package" not in line]
    assert re.match(r"# (invlearn train|Part of)", head[0])


def test_every_auto_is_settled_by_sizes_or_by_training_examples() -> None:
    experiment = Experiment.from_config(as_plain(compose(["dataset=permcycle"])))
    assert [key for key, value in flatten(experiment.config).items() if value == "auto"] == [
        "loss.alpha",
        "device",
        "engine",
    ]
    again = Experiment.from_config(experiment.config)
    assert again.config == experiment.config


class Narrow(nn.Module):
    """A network whose code lacks a feature."""

    def __init__(self, dim: int, code_features: int):
        super().__init__()
        self.encoder = nn.Linear(dim, code_features - 1)
        self.decoder = nn.Linear(code_features, dim)


class EncoderAlone(nn.Module):
    def __init__(self, dim: int, code_features: int):
        super().__init__()
        self.encoder = nn.Linear(dim, code_features)


class Scalar(Loss):
    """A loss that forgets that there are replicas."""

    def forward(self, outputs, batch) -> Tensor:
        return outputs.z_invariant.square().mean() + outputs.x_hat.square().mean()


@pytest.mark.parametrize(
    ("network", "named"),
    [(Narrow, {"key": "model", "also": ["encode", 10, 29, 30]}), (EncoderAlone, {"key": "model", "also": ["decoder"]})],
)
def test_a_network_that_does_not_fit_is_refused_before_training(network: type, named: dict[str, Any]) -> None:
    config = as_plain(compose([])) | {"model": {"_target_": f"{__name__}.{network.__name__}"}}
    with pytest.raises(ValueError, match=naming(**named)):
        Experiment.from_config(config)


def test_a_loss_without_a_number_for_each_replica_is_refused(tiny: list[str]) -> None:
    config = as_plain(compose([*tiny, "replicas=2"])) | {"loss": {"_target_": f"{__name__}.Scalar"}}
    with pytest.raises(ValueError, match=naming(key="loss", also=["Scalar", 2])):
        learn(Experiment.from_config(config), CPU)
