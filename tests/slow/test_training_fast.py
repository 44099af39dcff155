"""Both engines train alike, over hundreds of steps."""

from __future__ import annotations

import pytest
import torch

from invlearn.training.learner import prepare_training
from invlearn.training.loop import train_epochs
from tests.support.training import CPU, experiment_of
from tests.unit.test_training_fast import LOSSES, MODELS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("loss", ["pairwise", "full"])
def test_both_engines_train_alike(tiny: list[str], model: str, loss: str) -> None:
    overrides = [*tiny, *MODELS[model], *LOSSES[loss], "dataset.size=2560", "trainer.epochs=15", "dtype=float64"]
    overrides += ["trainer.warmup_steps=50", "optimizer.lr=0.003", "replicas=2"]  # 300 steps
    histories = []
    for engine in ("auto", "plain"):
        experiment = experiment_of(*overrides, f"engine={engine}")
        state, train, valid = prepare_training(experiment, CPU)
        assert state.objective.__module__.startswith("invlearn.training.fast") == (engine == "auto")
        for _ in train_epochs(state, experiment, train, valid):
            pass
        histories.append(state.history)
    for name, values in histories[1].items():
        assert torch.tensor(histories[0][name]) == pytest.approx(torch.tensor(values), rel=1e-6), name
