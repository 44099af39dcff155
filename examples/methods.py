"""The methods: each is fitted to a problem and returns a function from samples to codes.

All trained methods choose among the same settings, by recall@1 on validation entities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from torch import Tensor

from examples.problem import Problem
from invlearn.config import as_plain
from invlearn.config.auto import with_default_model
from invlearn.config.compose import compose
from invlearn.data import EntitySamples
from invlearn.files import Prepared
from invlearn.runs.train import train
from invlearn.training.experiment import Experiment
from invlearn.training.learner import learn

__all__ = ["EXTENDED", "METHODS", "Auto", "ClosedForm", "Method", "Network", "entities_of"]

Codes = Callable[[np.ndarray], np.ndarray]
Setting = dict[str, float]

EPOCHS, STEPS = 20, 150
"""Epochs and steps per epoch of every training: 3,000 steps."""

COMPONENTS = 16
"""Components of PCA and NCA."""

NCA_SAMPLES = 1_200
"""Samples for NCA, which compares all pairs in each iteration; with so many it takes a minute."""

TUNED: Sequence[Setting] = [
    {"entities": entities, "rate": rate, "decay": decay}
    for entities, rate, decay in (
        (16, 1.0, 0.5),
        (16, 1.0, 0.0),
        (16, 1.0, 2.0),
        (16, 3.0, 0.0),
        (16, 3.0, 0.5),
        (16, 3.0, 1.0),
        (64, 1.0, 0.5),
    )
]
"""Entities per batch, four samples of each; learning rate, as a multiple of the network's tuned rate; weight decay."""


class Method(NamedTuple):
    """A method."""

    fit: Callable[[Problem, int, Setting], Codes]
    """From a problem, a seed and a setting to codes."""
    settings: Sequence[Setting] = ({},)
    """The settings to choose among."""
    seeded: bool = True
    """Whether the seed has an effect."""


def _raw(problem: Problem, seed: int, setting: Setting) -> Codes:
    return lambda x: x


def _modulus(problem: Problem, seed: int, setting: Setting) -> Codes:
    return lambda x: np.abs(np.fft.rfft(x))


def _pca(problem: Problem, seed: int, setting: Setting) -> Codes:
    return PCA(COMPONENTS, random_state=seed).fit(problem.train.x).transform


def _nca(problem: Problem, seed: int, setting: Setting) -> Codes:
    x, entity = problem.train
    order = np.random.default_rng(seed).permutation(np.unique(entity))
    counts = np.cumsum([np.sum(entity == each) for each in order])
    chosen = np.isin(entity, order[counts <= NCA_SAMPLES])
    return (
        NeighborhoodComponentsAnalysis(COMPONENTS, random_state=seed, max_iter=50)
        .fit(x[chosen], entity[chosen])
        .transform
    )


@dataclass(frozen=True)
class Network:
    """One of invlearn's auto-encoders, at its best epoch by validation loss."""

    overrides: Sequence[str]
    """Overrides of a run's config."""
    distance: Literal["binary", "observed"] = "binary"
    """d* of different entities."""
    trained: bool = True
    """Whether to train it, or keep its initial weights."""

    def __call__(self, problem: Problem, seed: int, setting: Setting) -> Codes:
        """Train it on a problem."""
        batch = int(setting.get("entities", 2))
        optimizer = ["optimizer=adamw", f"optimizer.weight_decay={setting.get('decay', 0.0)}"]
        schedule = [f"trainer.epochs={EPOCHS}", f"trainer.batch_size={batch}"]
        config = as_plain(compose([*optimizer, *schedule, f"seed={seed}", *self.overrides]))
        size = STEPS * batch * (1 if config["loss"].get("pairs") == "drawn" else 8)  # pairs: eight for each entity
        data, scaled = entities_of(problem, size, seed, distance=self.distance)
        prepared = Prepared(data, data)
        rate = Experiment.from_config(config, prepared=prepared).config["optimizer"]["lr"]  # the value of "auto"
        config["optimizer"]["lr"] = rate * setting.get("rate", 1.0)
        experiment = Experiment.from_config(config, prepared=prepared)
        torch.set_num_threads(experiment.settings.threads or 1)
        encoder = learn(experiment).encoder if self.trained else experiment.encoder("cpu")
        return lambda samples: encoder.encode(scaled(samples))[0].double().numpy()


@dataclass(frozen=True)
class ClosedForm:
    """One of invlearn's closed forms."""

    overrides: Sequence[str]
    """Overrides of a run's config."""

    def __call__(self, problem: Problem, seed: int, setting: Setting) -> Codes:
        """Fit it to a problem."""
        config = as_plain(compose([f"seed={seed}", "dtype=float64", *self.overrides]))
        data, scaled = entities_of(problem, 2, seed, dtype=torch.float64)
        encoder = learn(Experiment.from_config(config, prepared=Prepared(data, data))).encoder
        return lambda samples: encoder.encode(scaled(samples))[0].numpy()


class Auto:
    """``invlearn train dataset=entities`` with defaults, on a file of the training samples.

    Equal samples, as without noise, are refused by default; here they are left out.
    """

    def __call__(self, problem: Problem, seed: int, setting: Setting) -> Codes:
        """Train the models, and keep the best."""
        x, entity = problem.train
        with TemporaryDirectory() as folder:
            path = Path(folder) / "samples.npz"
            np.savez(path, x=x, id=entity)
            words = ["dataset=entities", f"dataset.path={path}", "dataset.entity=id", "dataset.drop=[duplicates]"]
            words.append(f"seed={seed}")
            run = train(with_default_model(words), Path(folder) / "run")
            run.encoder()  # load it before the folder is removed
        return lambda samples: run.encode(samples)[0].astype(np.float64)


def entities_of(
    problem: Problem,
    size: int,
    seed: int,
    *,
    distance: Literal["binary", "observed"] = "binary",
    dtype: torch.dtype = torch.float32,
) -> tuple[EntitySamples, Callable[[np.ndarray], Tensor]]:
    """Training and validation entities, scaled, and their scaler."""
    (x, entity), (view, view_prime) = problem.train, problem.valid
    offset, factor = x.mean(), x.std()

    def scaled(samples: np.ndarray) -> Tensor:
        return torch.from_numpy((samples - offset) / factor).to(dtype)

    held_out = entity.max() + 1 + np.arange(len(view))
    data = EntitySamples(
        samples=scaled(np.concatenate([x, view, view_prime])),
        entity=torch.from_numpy(np.concatenate([entity, held_out, held_out])),
        splits={"train": torch.from_numpy(np.unique(entity)), "valid": torch.from_numpy(held_out)},
        distance=distance,
        size=size,
        samples_per_entity=4,
        valid_size=4_000,
        test_size=2,  # the test is elsewhere
        seed=seed,
    )
    return data, scaled


EXTENDED = ["model=extended", "model.rank=null"]  # all methods see all features
SELU = ["model=standard", "model.rank=null"]
RELU = ["model=standard", "model.rank=null", "model.activation=relu", "model.depth=2", "model.width=256"]
CONTRASTIVE = ["loss=contrastive"]
POLYNOMIAL = ["model=polynomial"]

METHODS: dict[str, Method] = {
    "raw": Method(_raw, seeded=False),
    "|DFT|": Method(_modulus, seeded=False),
    "PCA": Method(_pca, seeded=False),
    "NCA": Method(_nca),
    "invlearn, Fisher": Method(ClosedForm([*POLYNOMIAL, "model.degree=1"]), seeded=False),
    "invlearn, closed form": Method(ClosedForm(POLYNOMIAL)),
    "untrained, extended": Method(Network(EXTENDED, trained=False)),
    "invlearn, SELU": Method(Network(SELU), TUNED),
    "invlearn, ReLU": Method(Network(RELU), TUNED),
    "invlearn, extended": Method(Network(EXTENDED), TUNED),
    "contrastive, ReLU": Method(Network([*RELU, *CONTRASTIVE]), TUNED),
    "contrastive, extended": Method(Network([*EXTENDED, *CONTRASTIVE]), TUNED),
}
"""All methods, by their names in tables."""
