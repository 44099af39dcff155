"""The loop, replicas, freezing, checkpoints and resuming."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import invlearn
from invlearn.config import GROUPS, Trainer, as_plain
from invlearn.config.compose import compose
from invlearn.errors import UserError
from invlearn.runs.directory import RunDirectory
from invlearn.runs.session import run_experiment
from invlearn.runs.train import train
from invlearn.training.checkpoint import load_checkpoint, restore_state, state_contents
from invlearn.training.experiment import Experiment
from invlearn.training.loop import TrainingState, learning_rate_factor, train_epochs, train_step

CPU = torch.device("cpu")


def experiment_of(*overrides: str) -> Experiment:
    return Experiment.from_config(as_plain(compose(overrides)))


def trained(experiment: Experiment) -> TrainingState:
    train, valid = experiment.training_examples(CPU), experiment.examples("valid", CPU)
    state = TrainingState.initial(experiment, train(0), CPU)
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
    x = experiment.examples("train", CPU)[0]
    assert not torch.equal(x[0], x[1])
    for parameter in experiment.model(CPU).encoder.parameters():
        if parameter.shape[1] > 1:  # biases start at 0
            assert not torch.equal(parameter[0], parameter[1])
    shared = experiment_of(*tiny, "replicas=2", "dataset.seed=3")
    assert shared.examples("train", CPU)[0].shape[0] == 1
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
    examples = experiment.examples("train", CPU)
    state = TrainingState.initial(experiment, examples, CPU)
    batch = [part[:, :128] for part in examples]
    model = experiment.model(CPU)
    loss = experiment.loss.terms(experiment.loss.forward(model, batch), batch, state.statistics)["loss"]
    loss.sum().backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.9, 0.99)).step()
    terms = train_step(state, experiment, batch, state.statistics)
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
    train, valid = experiment.training_examples(CPU), experiment.examples("valid", CPU)
    undisturbed = trained(experiment)
    state = TrainingState.initial(experiment, train(0), CPU)
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
    initial, state = experiment.model(CPU), trained(experiment)
    for part in ("encoder", "decoder"):
        before, after = (next(getattr(model, part).parameters()) for model in (initial, state.model))
        assert torch.equal(before, after) == (part != objective)


def test_training_continues_from_a_stored_state_to_the_same_bits(tiny: list[str]) -> None:
    experiment = experiment_of(*tiny, "replicas=2", "trainer.epochs=4")
    train, valid = experiment.training_examples(CPU), experiment.examples("valid", CPU)
    expected = trained(experiment)
    state = TrainingState.initial(experiment, train(0), CPU)
    epochs = train_epochs(state, experiment, train, valid)
    next(epochs)
    next(epochs)
    contents = state_contents(state)
    fresh = TrainingState.initial(experiment, train(0), CPU)
    restore_state(fresh, contents)
    for _ in train_epochs(fresh, experiment, train, valid):
        pass
    assert fresh.history == expected.history
    for name, value in expected.best.items():
        assert torch.equal(fresh.best[name], value)


def test_longer_training_extends_a_finished_run(tiny: list[str], tmp_path: Path) -> None:
    train(tiny, tmp_path)
    first = RunDirectory(tmp_path).metrics()
    run = train([*tiny, "trainer.epochs=4"], tmp_path)
    table, record = run.directory.metrics(), run.directory.record()
    assert table["epoch"].tolist() == [1, 2, 3, 4]
    assert table[:2].equals(first)
    assert record["extended"] == [{"from": 2, "to": 4}]
    assert record["metrics"]["mse_reconstruction"] < first["valid_mse_reconstruction"].iloc[-1]


def test_another_config_is_refused_and_nothing_changes(tiny: list[str], tmp_path: Path) -> None:
    train(tiny, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(
        UserError, match=r"another config: optimizer\.lr \(0.01 there, 1.0 here\), seed \(0 there, 1 here\)"
    ):
        train([*tiny, "seed=1", "optimizer.lr=1"], tmp_path)
    with pytest.raises(UserError, match=r"trainer.epochs \(2 there, 1 here\)"):
        train([*tiny, "trainer.epochs=1"], tmp_path)
    with pytest.raises(UserError, match=r"replicas \(1 there, 2 here\)"):
        train([*tiny, "replicas=2"], tmp_path)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_where_a_run_computes_does_not_change_which_run_it_is(tiny: list[str], tmp_path: Path) -> None:
    train(tiny, tmp_path)
    stamp = (tmp_path / "run.json").read_bytes()
    train([*tiny, "device=cpu", "threads=2"], tmp_path)
    assert (tmp_path / "run.json").read_bytes() == stamp


def test_a_key_that_did_not_exist_yet_counts_at_its_default(tiny: list[str], tmp_path: Path) -> None:
    train(tiny, tmp_path)
    whole = RunDirectory(tmp_path).config()
    stamp = (tmp_path / "run.json").read_bytes()
    # Not at their defaults here, or not of our constructors.
    others = {"_target_", "size", "valid_size", "test_size", "epochs", "betas", "fused"}
    for group in GROUPS:
        for key in set(whole[group]) - others:
            older = {**whole, group: {name: value for name, value in whole[group].items() if name != key}}
            RunDirectory(tmp_path).write_config(older)
            train(tiny, tmp_path)
            assert (tmp_path / "run.json").read_bytes() == stamp, (group, key)
    trainer = {name: value for name, value in whole["trainer"].items() if name != "patience"}
    RunDirectory(tmp_path).write_config({**whole, "trainer": trainer})
    with pytest.raises(UserError, match=r"trainer\.patience \(None there, 3 here\)"):
        train([*tiny, "trainer.patience=3"], tmp_path)


def test_an_extension_killed_between_two_files_still_trains(tiny: list[str], tmp_path: Path) -> None:
    train(tiny, tmp_path)
    directory = RunDirectory(tmp_path)
    directory.write_config({**directory.config(), "trainer": {**directory.config()["trainer"], "epochs": 4}})
    assert directory.record()["status"] == "completed"
    train([*tiny, "trainer.epochs=4"], tmp_path)
    assert directory.metrics()["epoch"].tolist() == [1, 2, 3, 4]


def test_missing_curves_are_drawn_again(tiny: list[str], tmp_path: Path) -> None:
    train(tiny, tmp_path)
    (tmp_path / "curves.png").unlink()
    train(tiny, tmp_path)
    assert (tmp_path / "curves.png").exists()


def test_a_replica_that_diverged_at_once_has_no_metrics(tiny: list[str], tmp_path: Path, monkeypatch) -> None:
    initial = Experiment.model

    def with_nan(self: Experiment, device, **settings):
        model = initial(self, device, **settings)
        if str(device) != "meta":
            next(model.parameters()).data[1] = torch.nan
        return model

    monkeypatch.setattr(Experiment, "model", with_nan)
    record = train([*tiny, "replicas=3"], tmp_path).directory.record()
    assert [replica["diverged"] for replica in record["replicas"]] == [False, True, False]
    assert set(record["replicas"][1]["metrics"].values()) == {None}
    assert record["replicas"][0]["metrics"]["mse_invariance"] is not None
    assert record["best_replica"] != 1


def test_training_leaves_the_users_process_as_it_was(tiny: list[str], tmp_path: Path) -> None:
    before = torch.get_num_threads()
    train([*tiny, f"threads={before + 1}"], tmp_path)
    assert torch.get_num_threads() == before


def test_running_out_of_memory_names_what_to_lower(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"out of memory: lower replicas, dataset\.size"):
        train(["dataset.size=1000000000000"], tmp_path)


def test_all_replicas_diverging_is_said_in_one_line(tiny: list[str], tmp_path: Path) -> None:
    hot = [*tiny, "optimizer=sgd", "optimizer.lr=1e30", "trainer.clip=null", "model=standard", "trainer.warmup_steps=0"]
    with pytest.raises(UserError, match=r"every replica's loss became infinite or NaN by epoch 1: lower optimizer\.lr"):
        train(hot, tmp_path)
    assert RunDirectory(tmp_path).record()["status"] == "failed"


def test_a_run_directory_is_complete(tiny: list[str], tmp_path: Path) -> None:
    run = invlearn.train([*tiny, "dataset=permcycle", "replicas=2"], tmp_path / "run")
    names = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    expected = {".lock", "run.json", "config.yaml", "metrics.csv", "curves.png", "train.log"}
    assert names == expected | {"checkpoints/last.pt", "checkpoints/best.pt"}
    record = run.directory.record()
    assert record["status"] == "completed"
    assert record["seeds"] == [0, 1]
    assert record["metrics"] == run.metrics == record["replicas"][record["best_replica"]]["metrics"]
    losses = [replica["best_valid_loss"] for replica in record["replicas"]]
    assert losses[record["best_replica"]] == min(losses)
    assert record["parameters"] == sum(p.numel() for p in run.experiment.model("meta").parameters()) / 2
    table = run.directory.metrics()
    assert table.groupby("replica")["epoch"].apply(list).tolist() == [[1, 2], [1, 2]]
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_load_run_encodes_decodes_and_measures(tiny: list[str], tmp_path: Path) -> None:
    run = invlearn.train([*tiny, "dataset=permcycle", "replicas=2"], tmp_path)
    again = invlearn.load_run(tmp_path)
    assert torch.equal(again.family.order, run.family.order)  # type: ignore[attr-defined]
    x = again.experiment.examples("test", CPU)[0][0]
    x.numpy().flags.writeable = False
    z_inv, z_var = again.encode(x)
    assert z_inv.shape == (128, 10)
    assert z_var.shape == (128, 20)
    as_arrays = again.encode(x.double().numpy())
    assert (as_arrays[0] == z_inv.numpy()).all()
    assert again.decode(z_inv, z_var).shape == x.shape
    assert (again.decode(*as_arrays) == again.decode(z_inv, z_var).numpy()).all()
    assert "2 replicas" in repr(again)
    metrics, _ = again.evaluate()
    assert metrics[again.best_replica] == again.metrics
    assert metrics[1 - again.best_replica] != again.metrics
    best, other = again.best_replica, 1 - again.best_replica
    assert torch.equal(again.encode(x, replica=best)[0], z_inv)
    assert not torch.equal(again.encode(x, replica=other)[0], z_inv)
    for wrong in (x[0], x[:, :5]):
        with pytest.raises(ValueError, match=r"expected an array of shape \(n, 10\)"):
            again.encode(wrong)
    with pytest.raises(ValueError, match="x must hold numbers, got an array of <U"):
        again.encode(np.full((3, 10), "a"))
    with pytest.raises(ValueError, match="x holds NaN or infinite values"):
        again.encode(np.full((3, 10), np.nan))
    with pytest.raises(ValueError, match="replica must be between 0 and 1"):
        again.encode(x, replica=2)


def test_damaged_and_missing_runs_are_named(tiny: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such run"):
        invlearn.load_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is not a run"):
        invlearn.load_run(tmp_path)
    invlearn.train(tiny, tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoints" / "best.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"best.pt is not a checkpoint of invlearn, or is damaged"):
        invlearn.load_run(tmp_path / "run")
    checkpoint.unlink()
    with pytest.raises(UserError, match=r"has no checkpoints/best\.pt"):
        invlearn.load_run(tmp_path / "run")


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "owned",))

    torch.save({"model": Evil()}, tmp_path / "best.pt")
    with pytest.raises(UserError, match="is not a checkpoint"):
        load_checkpoint(tmp_path / "best.pt", CPU)
    assert not (tmp_path / "owned").exists()


def test_tf32_and_threads_hold_for_the_run_alone(tiny: list[str], tmp_path: Path) -> None:
    seen: list[tuple[object, int]] = []

    def look(directory: RunDirectory) -> None:
        seen.append((torch.backends.cuda.matmul.allow_tf32, torch.get_num_threads()))

    before = (torch.backends.cuda.matmul.allow_tf32, torch.get_num_threads())
    run_experiment(experiment_of(*tiny, "tf32=true", "threads=2"), RunDirectory(tmp_path / "run"), look)
    assert seen == [(True, 2)]
    assert (torch.backends.cuda.matmul.allow_tf32, torch.get_num_threads()) == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("engine", ["auto", "plain", "graph"])
def test_cuda_gives_what_the_cpu_gives(tiny: list[str], engine: str) -> None:
    experiment = experiment_of(*tiny, "replicas=2", "dtype=float64", "trainer.epochs=4", f"engine={engine}")
    cuda = torch.device("cuda")
    train, valid = experiment.training_examples(cuda), experiment.examples("valid", cuda)
    state = TrainingState.initial(experiment, train(0), cuda)
    for _ in train_epochs(state, experiment, train, valid):
        pass
    for name, value in trained(experiment).model.state_dict().items():  # on the CPU
        torch.testing.assert_close(state.model.state_dict()[name].cpu(), value, rtol=1e-6, atol=1e-9)
