"""The methods: each learns from a problem and gives a function from samples to codes.

Those that are trained choose from the same settings, by recall@1 on validation entities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import NeighborhoodComponentsAnalysis

from examples.problem import Problem
from invlearn.compose import compose
from invlearn.config import as_plain
from invlearn.data import EntitySamples
from invlearn.training.experiment import Experiment
from invlearn.training.loop import TrainingState, train_epochs

__all__ = ["METHODS", "Method"]

Codes = Callable[[np.ndarray], np.ndarray]
Setting = dict[str, float]

EPOCHS, STEPS = 20, 150
"""Of every training: 3,000 steps."""

COMPONENTS = 16
"""Of PCA and NCA."""

NCA_SAMPLES = 1_200
"""NCA compares all samples with all in each iteration; with so many it takes a minute."""

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
"""Entities of a batch, four samples of each; the learning rate, as a multiple of what the network was tuned with; the
decay of its weights."""


class Method(NamedTuple):
    """A method."""

    fit: Callable[[Problem, int, Setting], Codes]
    """From a problem, a seed and a setting to codes."""
    settings: Sequence[Setting] = ({},)
    """What to choose from."""
    seeded: bool = True
    """Whether a seed changes anything."""


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


def _network(overrides: Sequence[str], loss: dict[str, Any] | None, trained: bool, *given: Any) -> Codes:
    """An auto-encoder of invlearn's; at its best epoch by validation loss, or as it was initialised."""
    problem, seed, setting = given
    (x, entity), (view, view_prime) = problem.train, problem.valid
    offset, factor = x.mean(), x.std()
    both = np.concatenate([x, view, view_prime])
    held_out = entity.max() + 1 + np.arange(len(view))
    data = EntitySamples(
        samples=torch.from_numpy((both - offset) / factor).float(),
        entity=torch.from_numpy(np.concatenate([entity, held_out, held_out])),
        splits={"train": torch.from_numpy(np.unique(entity)), "valid": torch.from_numpy(held_out)},
        size=8 * STEPS * int(setting.get("entities", 2)),  # of pairs, eight for each group
        valid_size=4_000,
        seed=seed,
    )
    decay = f"optimizer.weight_decay={setting.get('decay', 0.0)}"
    config = as_plain(compose([*overrides, "optimizer=adamw", decay, f"seed={seed}", f"trainer.epochs={EPOCHS}"]))
    config["trainer"]["batch_size"] = int(setting.get("entities", 2))
    config["loss"] = loss or {**config["loss"], "pairs": "batch"}
    rate = Experiment.from_config(config, dataset=data).config["optimizer"]["lr"]  # what "auto" is
    config["optimizer"]["lr"] = rate * setting.get("rate", 1.0)
    experiment = Experiment.from_config(config, dataset=data)
    torch.set_num_threads(experiment.settings.threads or 1)
    train, valid = experiment.training_examples("cpu"), experiment.examples("valid", "cpu")
    state = TrainingState.initial(experiment, train(0), torch.device("cpu"))
    for _ in train_epochs(state, experiment, train, valid) if trained else ():
        pass
    state.model.load_state_dict(state.best)

    def codes(samples: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            z = state.model.encode(torch.from_numpy((samples - offset) / factor).float()[None])[0]
        return z[:, : experiment.loss.invariant_features].double().numpy()

    return codes


EXTENDED = ["model=extended", "model.smoothing=4"]  # as dataset=entities has it
SELU = ["model=standard"]
RELU = ["model=standard", "model.activation=relu", "model.depth=2", "model.width=256"]
CONTRASTIVE = {"_target_": "examples.contrastive.ContrastiveLoss"}

METHODS: dict[str, Method] = {
    "raw": Method(_raw, seeded=False),
    "|DFT|": Method(_modulus, seeded=False),
    "PCA": Method(_pca, seeded=False),
    "NCA": Method(_nca),
    "untrained, extended": Method(partial(_network, EXTENDED, None, False)),
    "invlearn, SELU": Method(partial(_network, SELU, None, True), TUNED),
    "invlearn, ReLU": Method(partial(_network, RELU, None, True), TUNED),
    "invlearn, extended": Method(partial(_network, EXTENDED, None, True), TUNED),
    "contrastive, ReLU": Method(partial(_network, RELU, CONTRASTIVE, True), TUNED),
    "contrastive, extended": Method(partial(_network, EXTENDED, CONTRASTIVE, True), TUNED),
}
"""All methods, by the name that tables give them."""
