"""The loop, replicas, freezing, checkpoints and resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from invlearn.config import Trainer
from invlearn.errors import UserError
from invlearn.losses import Outputs
from invlearn.runs.checkpoint import last_contents, load_checkpoint, restore_state
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST
from invlearn.training.experiment import Experiment
from invlearn.training.learner import learn, prepare_training
from invlearn.training.loop import TrainingState, learning_rate_factor, train_epoch, train_epochs, train_step
from tests.support.errors import naming
from tests.support.own_data import entity_table, write
from tests.support.training import CPU, examples_of, experiment_of


def trained(experiment: Experiment) -> TrainingState:
    state, train, valid = prepare_training(experiment, CPU)
    for _ in train_epochs(state, experiment, train, valid):
        pass
    return state


@pytest.mark.parametrize("model", ["extended", "standard"])
@pytest.mark.parametrize("loss", ["pairwise", "supervised_dft"])
@pytest.mark.parametrize("data_seed", ["null", "11"])
def test_a_replica_gives_what_its_single_run_gives(tiny: list[str], model: str, loss: str, data_seed: str) -> None:
    common = [*tiny, f"model={model}", f"loss={loss}", f"dataset.seed={data_seed}", "dtype=float64"]
    common += ["dataset.size=2048", "trainer.epochs=13", "trainer.warmup_steps=20", "optimizer.lr=0.005"]  # 208 steps
    stack = trained(experiment_of(*common, "replicas=3", "seed=5"))
    alone = trained(experiment_of(*common, "replicas=1", "seed=7"))
    for name, value in alone.model.state_dict().items():
        torch.testing.assert_close(stack.model.state_dict()[name][2], value[0], rtol=1e-6, atol=1e-9)
    for name, values in alone.history.items():
        assert [row[2] for row in stack.history[name]] == pytest.approx([row[0] for row in values], rel=1e-6), name


def test_replicas_differ_in_weights_data_and_order(tiny: list[str]) -> None:
    experiment = experiment_of(*tiny, "replicas=2")
    x = examples_of(experiment).x
    assert not torch.equal(x[0], x[1])
    for parameter in experiment.encoder(CPU).network.encoder.parameters():
        if parameter.shape[1] > 1:  # biases start at 0
            assert not torch.equal(parameter[0], parameter[1])
    shared = experiment_of(*tiny, "replicas=2", "dataset.seed=3")
    assert examples_of(shared).x.shape[0] == 1
    history = trained(shared).history["train_loss"]
    assert history[0][0] != history[0][1]


def test_training_learns_shift() -> None:
    experiment = experiment_of(
        "dataset.dim=4", "dataset.size=4000", "dataset.valid_size=1000", "trainer.epochs=30", "trainer.warmup_steps=50"
    )
    history = trained(experiment).history
    assert history["valid_mse_invariance"][-1][0] < 1e-3
    assert history["valid_mse_reconstruction"][-1][0] < 1e-3
    assert history["valid_mse_invariance"][0][0] > 0.02


def test_a_step_is_adam_on_the_clipped_gradient(tiny: list[str]) -> None:
    experiment = experiment_of(*tiny, "dtype=float64", "optimizer.lr=0.01", "trainer.clip=0.5", "loss=supervised_dft")
    examples = examples_of(experiment)
    state = TrainingState.initial(experiment, examples, CPU)
    batch = type(examples)(*(part[:, :128] for part in examples))
    encoder = experiment.encoder(CPU)
    model, loss = encoder.network, experiment.loss.forward(experiment.loss.run(encoder, batch), batch)
    loss.sum().backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.9, 0.99)).step()
    terms = train_step(state, experiment, batch, {})
    torch.testing.assert_close(terms["loss"], loss.detach())
    for mine, expected in zip(state.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine, expected)


def test_learning_rate_rises_then_falls_to_zero() -> None:
    cosine = Trainer(warmup_steps=9)
    factors = [learning_rate_factor(step, 1000, cosine) for step in range(1001)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == pytest.approx(1, abs=1e-3)
    assert factors[500] == pytest.approx(0.5)
    assert factors[1000] == pytest.approx(0)
    assert learning_rate_factor(700, 1000, Trainer(schedule="constant", warmup_steps=9)) == 1


def test_a_diverged_replica_is_frozen_and_the_others_go_on(tiny: list[str]) -> None:
    experiment = experiment_of(*tiny, "replicas=3", "trainer.epochs=3")
    state, train, valid = prepare_training(experiment, CPU)
    undisturbed = trained(experiment)
    epochs = train_epochs(state, experiment, train, valid)
    next(epochs)
    best = {name: value.clone() for name, value in state.best.items()}
    with torch.no_grad():
        next(state.model.parameters())[1] = torch.nan
    for _ in epochs:
        pass
    assert state.diverged.tolist() == [False, True, False]
    assert state.last_epoch.tolist() == [3, 2, 3]
    for name, value in state.model.state_dict().items():
        assert torch.equal(value[1], best[name][1])
        for r in (0, 2):
            assert torch.equal(value[r], undisturbed.model.state_dict()[name][r])


def test_patience_stops_each_replica_by_itself(tiny: list[str]) -> None:
    overrides = [*tiny, "replicas=4", "trainer.epochs=300", "trainer.patience=2", "trainer.schedule=constant"]
    experiment = experiment_of(*overrides, "optimizer.lr=0.03", "dataset.size=256")
    state = trained(experiment)
    last, best = state.last_epoch, state.best_epoch
    assert len(set(last.tolist())) > 1
    assert (last < 300).all()
    assert (last - best == 2).all()
    alone = trained(experiment_of(*overrides, "optimizer.lr=0.03", "dataset.size=256", "replicas=1", "seed=3"))
    assert alone.best_epoch.item() == best[3]
    for name, value in alone.best.items():
        torch.testing.assert_close(state.best[name][3], value[0], rtol=1e-3, atol=1e-4)


def test_best_is_the_epoch_with_the_lowest_validation_loss(tiny: list[str]) -> None:
    overrides = [*tiny, "replicas=2", "trainer.epochs=8", "optimizer.lr=0.05", "trainer.schedule=constant"]
    state = trained(experiment_of(*overrides))
    for r in range(2):
        losses = [row[r] for row in state.history["valid_loss"]]
        assert state.best_loss[r].item() == pytest.approx(min(losses))
        assert state.best_epoch[r].item() == losses.index(min(losses)) + 1


@pytest.mark.parametrize("objective", ["encoder", "decoder"])
def test_an_objective_trains_its_own_network_alone(tiny: list[str], objective: str) -> None:
    experiment = experiment_of(*tiny, "loss=supervised_dft", f"loss.objective={objective}")
    initial, state = experiment.encoder(CPU).network, trained(experiment)
    for part in ("encoder", "decoder"):
        before, after = (next(getattr(model, part).parameters()) for model in (initial, state.model))
        assert torch.equal(before, after) == (part != objective)


def test_training_continues_from_a_stored_state_to_the_same_bits(tiny: list[str]) -> None:
    experiment = experiment_of(*tiny, "replicas=2", "trainer.epochs=4")
    expected = trained(experiment)
    state, train, valid = prepare_training(experiment, CPU)
    epochs = train_epochs(state, experiment, train, valid)
    next(epochs)
    next(epochs)
    contents = last_contents(state, experiment, 0.0)
    fresh = TrainingState.initial(experiment, train(0), CPU)
    restore_state(fresh, contents, epochs=4)
    for _ in train_epochs(fresh, experiment, train, valid):
        pass
    assert fresh.history == expected.history
    for name, value in expected.best.items():
        assert torch.equal(fresh.best[name], value)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("engine", ["auto", "plain", "graph"])
def test_cuda_gives_what_the_cpu_gives(tiny: list[str], engine: str) -> None:
    experiment = experiment_of(*tiny, "replicas=2", "dtype=float64", "trainer.epochs=4", f"engine={engine}")
    cuda = torch.device("cuda")
    state = learn(experiment, cuda)
    for name, value in trained(experiment).model.state_dict().items():  # on the CPU
        torch.testing.assert_close(state.model.state_dict()[name].cpu(), value, rtol=1e-6, atol=1e-9)


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "owned",))

    (tmp_path / BEST).parent.mkdir()
    torch.save({"model": Evil()}, tmp_path / BEST)
    with pytest.raises(UserError, match=naming(file="best.pt", also=["checkpoint"])):
        load_checkpoint(RunDirectory(tmp_path), BEST, CPU)
    assert not (tmp_path / "owned").exists()


def test_data_of_a_settled_file_are_checked_too(tmp_path: Path) -> None:
    file = write(entity_table(), tmp_path / "own.csv")
    words = ["dataset=entities", "model=extended", f"dataset.path={file}", "dataset.entity=id", "trainer.epochs=1"]
    settled = experiment_of(*words).config
    for group, key, value in (("trainer", "batch_size", 100_000), ("trainer", "batch_size", 1)):
        with pytest.raises(UserError, match=naming(key=f"{group}.{key}", value=value)):
            _ = Experiment.from_config({**settled, group: {**settled[group], key: value}}).data
    supervised = {"_target_": "invlearn.losses.SupervisedDFTLoss"}
    with pytest.raises(UserError, match=naming(key="loss", suggests="loss=pairwise")):
        _ = Experiment.from_config({**settled, "loss": supervised}).data


@pytest.mark.parametrize("name", ["pull-push", "Größe", "x" * 61, ""])
def test_a_term_that_no_checkpoint_could_store_is_refused_at_the_first_step(tiny: list[str], name: str) -> None:
    experiment = experiment_of(*tiny, "engine=plain")
    ours = experiment.loss.terms

    def terms(outputs: Outputs, batch: object, **state: Any) -> dict[str, Tensor]:
        found = ours(outputs, batch, **state)
        return {**found, name: found["loss"]}

    experiment.loss.terms = terms
    state, train, _ = prepare_training(experiment, CPU)
    with pytest.raises(UserError, match=naming(key="loss", value=repr(name))):
        train_epoch(state, experiment, train(0))
    assert state.epoch == 0
