"""Networks that start in planes of the samples."""

from __future__ import annotations

import pytest
import torch

from invlearn.config import as_plain
from invlearn.config.compose import compose
from invlearn.data import Pairs
from invlearn.errors import UserError
from invlearn.files import Prepared
from invlearn.nn.linear import first_linear
from invlearn.training.experiment import Experiment
from invlearn.training.learner import learn, prepare_training
from tests.support.errors import naming
from tests.support.training import CPU, entity_samples, experiment_of

SMALL = ["model.start=closed_form", "dataset.dim=6", "dataset.size=2000", "dataset.valid_size=500"]


def test_an_encoder_starts_near_its_aim() -> None:
    experiment = experiment_of(*SMALL, "dtype=float64", "trainer.epochs=1", "trainer.batch_size=64")
    state, train, _ = prepare_training(experiment, CPU)
    pairs = train(0)
    assert isinstance(pairs, Pairs)
    with torch.no_grad():
        z, z_prime = (state.encoder.invariant_part(state.model.encode(part)) for part in (pairs.x, pairs.x_prime))
    distance = torch.linalg.vector_norm(z[0] - z_prime[0], dim=-1)
    assert float((distance - pairs.distance[0]).square().mean()) < 1e-3


def test_replicas_start_as_runs_of_their_own() -> None:
    together = prepare_training(experiment_of(*SMALL, "replicas=2"), CPU)[0].model
    alone = prepare_training(experiment_of(*SMALL, "seed=1"), CPU)[0].model
    torch.testing.assert_close(first_linear(together).affine[1], first_linear(alone).affine[0])
    assert not torch.allclose(first_linear(together).affine[0], first_linear(together).affine[1])


def test_one_epoch_is_enough() -> None:
    settings = ["dataset.size=20000", "dataset.valid_size=1000", "trainer.epochs=2"]
    started = learn(experiment_of("model.start=closed_form", *settings))
    assert float(started.best_loss) < 0.1 * float(learn(experiment_of(*settings)).best_loss)


@pytest.mark.parametrize("model", ["extended", "standard"])
def test_samples_that_fill_fewer_dimensions_than_the_rank(model: str) -> None:
    generator = torch.Generator().manual_seed(0)
    signals = torch.randn(60, 6, generator=generator)
    x = torch.stack([signals.roll(shift, 1) for shift in range(4)], dim=1) @ torch.randn(6, 40, generator=generator)
    data = entity_samples(x)
    start = ["model.start=closed_form"] if model == "extended" else []
    settings = [f"model={model}", "model.rank=12", *start, "trainer.epochs=1", "trainer.batch_size=16"]
    config = as_plain(compose(["dataset=entities", "dataset.path=none", "dataset.entity=id", *settings]))
    state = learn(Experiment.from_config(config, prepared=Prepared(data, data)))
    components = state.model.components
    assert components is not None
    mean, axes = components.mean[0, 0], components.axes[0]
    train = data.samples[data.entity >= 24]
    torch.testing.assert_close(mean, train.mean(0))
    torch.testing.assert_close(axes.T @ axes, torch.diag(torch.arange(12) < 6).float(), atol=1e-5, rtol=0)
    torch.testing.assert_close(components.undo(components(train[None]))[0], train, atol=1e-4, rtol=1e-4)
    assert bool(torch.isfinite(state.model.encode(train[None])).all())


def test_a_start_needs_samples_in_the_first_layer() -> None:
    with pytest.raises(UserError, match=naming(key="model")):
        experiment_of("model.start=closed_form", "model.width=5")
