"""What a config means: the objects it names, and the sizes that follow from the data."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from invlearn.closed_form import ClosedForm, SolvedNetwork
from invlearn.config import GROUPS, Settings, Trainer
from invlearn.config.auto import by_kind, default_batch_size, default_epochs, default_rates, default_warmup
from invlearn.config.build import build, check_trusted, defaults_of, effective, locate
from invlearn.config.migrate import migrated
from invlearn.config.stored import check_storable
from invlearn.data import Dataset, Draws
from invlearn.data.seeding import seeded_generator
from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError
from invlearn.files import EntityFile, Prepared, SampleFile, feature_names_of, kind_of, leaving_out, prepare, scaler_of
from invlearn.losses import Loss, Separation
from invlearn.nn import AutoEncoder, Gaps, Stack
from invlearn.system.memory import machine_memory
from invlearn.training.networks import build_network, check_network, features_seen, is_closed_form
from invlearn.training.optimizer import check_element_wise

__all__ = ["TRAINED_BY", "Experiment", "described"]

TRAINED_BY = ("loss", "optimizer", "trainer")
"""Groups that closed forms do not read."""

Prepare = Callable[[SampleFile | Dataset], Prepared]


@dataclass(frozen=True)
class Experiment:
    """A checked config and the objects it describes, before anything is drawn, allocated or written.

    It is made once, and passed on.

    Args:
        config: The effective config: plain values, each ``auto`` that follows from sizes alone replaced by its value.
        spec: Where examples come from: a transformation family, or the settings of a file.
        loss: What is minimised.
        trainer: How long and in what steps.
        settings: Seeds, device and arithmetic.
        at_default: Keys of the config that are at their defaults.
        solver: What is asked of a closed form; None where a network is trained by gradients.
        prepared: The data, if they have been prepared.
    """

    config: dict[str, Any]
    spec: SampleFile | Dataset
    loss: Loss
    trainer: Trainer
    settings: Settings
    at_default: frozenset[str]
    solver: ClosedForm | None = None
    prepared: Prepared | None = None

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        *,
        prepared: Prepared | None = None,
        trust: Sequence[str] | None = None,
        prepare: Prepare = prepare,
    ) -> Experiment:
        """Check a plain config and build what it names.

        A user's file is opened if something of the config depends on it; that of a trained run does not.

        Args:
            config: The config.
            prepared: Data in place of those that the config names.
            trust: Where the config was not typed by its user: classes, or packages, that it may name beside
                invlearn's own.
            prepare: Opens files, where one is to serve several runs.

        Raises:
            UserError: A key is unknown, missing, of the wrong type or out of range, or two do not go together.
        """
        config = migrated(config)
        for group in GROUPS:
            if not isinstance(config.get(group), Mapping):
                raise UserError(
                    f"{group} must be a config group, a dict with _target_, got {config.get(group)!r}; "
                    f"overrides, as in ['{group}=...'], choose one by name"
                )
        if trust is not None:
            check_trusted(config, trust)
        top = {key: value for key, value in config.items() if key not in GROUPS}
        settings, top = build("", {**top, "_target_": "invlearn.config.Settings"})
        spec, dataset_node, prepared = _data(config["dataset"], prepared, prepare)
        parts = (_solved_parts if is_closed_form(config["model"]) else _trained_parts)(config, spec)
        whole, at_default = described(config, {"dataset": dataset_node, **parts.nodes}, top)
        if not parts.solver and config["optimizer"].get("lr", "auto") == "auto":  # our default, not torch's
            at_default |= {"optimizer.lr"}
        experiment = cls(whole, spec, parts.loss, parts.trainer, settings, at_default, parts.solver, prepared)
        experiment._check_memory(parts.network)
        if prepared:
            experiment.check_data(prepared)
        return experiment

    @property
    def targets(self) -> list[str]:
        """The classes that the config names."""
        return [self.config[group]["_target_"] for group in GROUPS if "_target_" in self.config[group]]

    @property
    def seeds(self) -> list[int]:
        """Seed of each replica."""
        return [self.settings.seed + replica for replica in range(self.settings.replicas)]

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of training."""
        return getattr(torch, self.settings.dtype)

    @property
    def epochs(self) -> int:
        """Passes over the training examples, whether given or ``auto``; a closed form takes one."""
        return 1 if self.solver else self.config["trainer"]["epochs"]

    @property
    def batch_size(self) -> int:
        """Examples of a step, whether given or ``auto``; a closed form takes no steps."""
        return 1 if self.solver else self.config["trainer"]["batch_size"]

    @property
    def holds_out(self) -> bool:
        """Whether there is data that is not trained on, to measure on."""
        return not isinstance(self.spec, SampleFile) or self.spec.holds_out

    @cached_property
    def data(self) -> Prepared:
        """The data; a file that was not opened yet is opened now.

        Raises:
            UserError: It cannot be used.
        """
        if self.prepared:
            return self.prepared
        prepared = prepare(self.spec)
        self.check_data(prepared)
        return prepared

    @cached_property
    def examples_per_epoch(self) -> int:
        """Training examples of one pass."""
        return self.loss.sampler.per_epoch(self.data.dataset)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass over the training examples."""
        return self.examples_per_epoch // self.batch_size

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch

    def on(self, data: Prepared) -> Experiment:
        """The same with other data."""
        return replace(self, prepared=data)

    def without_data(self) -> Experiment:
        """The same before its data are opened; they may be large."""
        return replace(self, prepared=None)

    def leaving_out(self, path: str) -> Experiment:
        """The same without the training rows that a file lists.

        Raises:
            UserError: It cannot be used, or too little is left.
        """
        data = leaving_out(self.data, path)
        changed = {key: getattr(data.spec, key) for key in ("leave_out", "left_out")}
        config = {**self.config, "dataset": {**self.config["dataset"], **changed}}
        at_default = self.at_default - {f"dataset.{key}" for key in changed}
        return replace(self, config=config, spec=data.spec, at_default=at_default, prepared=data)

    def divided(self, data: Prepared) -> Experiment:
        """The same on another division of its data.

        Raises:
            UserError: It leaves too little.
        """
        self.check_data(data)
        assert isinstance(data.spec, SampleFile)
        config = {**self.config, "dataset": {**self.config["dataset"], "fold": data.spec.fold}}
        return replace(
            self, config=config, spec=data.spec, at_default=self.at_default - {"dataset.fold"}, prepared=data
        )

    def to_measure(self) -> Experiment:
        """The same for what is held out, which needs no file of rows to leave out."""
        if not isinstance(self.spec, EntityFile) or self.spec.leave_out is None or self.prepared:
            return self
        return replace(self, spec=replace(self.spec, leave_out=None, left_out=None))

    def lasting(self, epochs: int) -> Experiment:
        """The same with another number of epochs."""
        config = {**self.config, "trainer": {**self.config["trainer"], "epochs": epochs}}
        return replace(self, config=config, trainer=replace(self.trainer, epochs=epochs))

    def draws(self, device: torch.device | str) -> Draws:
        """What its replicas draw from its data."""
        return Draws(self.data.dataset, self.seeds, self.dtype, device)

    def gaps(self, device: torch.device | str) -> Gaps | None:
        """What fills the gaps of its samples, a copy of its own; None where they are refused."""
        return None if self.data.gaps is None else copy.deepcopy(self.data.gaps).to(device)

    def encoder(
        self, device: torch.device | str, *, replicas: int | None = None, like: Mapping[str, Tensor] | None = None
    ) -> InvariantEncoder:
        """Draw the initial stack of encoders, replica r from its own seed; on ``meta``, shapes alone.

        Args:
            device: Where it is to be.
            replicas: Only the first of them; by default all.
            like: Parameters of a network whose shapes the data decided: of a closed form, which has no initial state.

        Raises:
            UserError: The network's parameters are no stack.
            KeyError: ``like`` lacks some.
            ValueError: ``like`` is of another network.
        """
        if self.solver is not None:
            network = SolvedNetwork.like(self.solver, like or {})
            return self._encoder_of(network, device, network.code)
        generators = [seeded_generator(seed, "weights") for seed in self.seeds[:replicas]]
        default = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with torch.device("meta" if str(device) == "meta" else "cpu"):
                network, _ = build_network(self.config["model"], self.spec.dim, self.loss.code_features, generators)
        finally:
            torch.set_default_dtype(default)
        for name, parameter in network.named_parameters():
            if not parameter.ndim or len(parameter) != len(generators):
                raise UserError(
                    f"model: {name} has shape {tuple(parameter.shape)}; parameters must be (replicas, ...), as "
                    f"invlearn.nn.Stack makes them of ordinary modules"
                )
        network.encoder.requires_grad_(self.loss.trains_encoder)
        network.decoder.requires_grad_(self.loss.trains_decoder)
        return self._encoder_of(network.to(device), device, self.loss.invariant_features, self.loss.code_features)

    def _encoder_of(
        self, network: AutoEncoder, device: torch.device | str, invariant: int, code: int | None = None
    ) -> InvariantEncoder:
        scaler = scaler_of(self.spec)
        if scaler is not None and str(device) != "meta":
            scaler.to(device)
        return InvariantEncoder(
            network,
            dim=self.spec.dim,
            invariant=invariant,
            code=invariant if code is None else code,
            scaler=scaler,
            unit_code=self.loss.unit_code,
            trained=[part for part in ("encoder", "decoder") if getattr(self.loss, f"trains_{part}")],
            feature_names=feature_names_of(self.spec),
        )

    def _check_memory(self, network: AutoEncoder | None = None) -> None:
        """Refuse sizes that cannot be meant, before anything of such a size is made.

        Raises:
            UserError: The examples or the networks alone would take more memory than the machine has.
        """
        parameters = sum(parameter.numel() for parameter in network.parameters()) if network else 0
        needs = {"dataset.size": 0, **{f"dataset.{part}_size": 0 for part in ("valid", "test")}}
        for key in needs:
            count = getattr(self.spec, key.removeprefix("dataset."), 0)
            shared = getattr(self.spec, "seed", None) is not None
            needs[key] = 2 * count * self.spec.dim * (1 if shared else self.settings.replicas)
        needs["replicas"] = 4 * parameters * self.settings.replicas  # with gradients and the optimiser's means
        key = max(needs, key=lambda key: needs[key])
        size = needs[key] * torch.empty((), dtype=self.dtype).element_size()
        if size > (memory := machine_memory()):
            sizes = f"{size / 2**30:,.0f} GiB, and this machine has {memory / 2**30:,.0f}"
            raise UserError(
                f"out of memory: {key} would take {sizes}; lower replicas, dataset.size, model.columns or model.width"
            )

    def check_data(self, data: Prepared) -> None:
        """Refuse data from which the loss cannot be trained, or not in batches of this size.

        Raises:
            UserError: It names the key.
        """
        if self.solver:  # which takes what there is
            return
        sampler, batch_size = self.loss.sampler, self.batch_size
        try:
            sampler.check(data.dataset)
        except ValueError as error:
            raise UserError(f"loss: {error}") from error
        if batch_size < sampler.smallest_batch:
            raise UserError(
                f"trainer.batch_size must be at least {sampler.smallest_batch} {sampler.unit} for this loss, "
                f"got {batch_size}"
            )
        if batch_size > (count := sampler.per_epoch(data.dataset)):
            raise UserError(
                f"a step takes trainer.batch_size={batch_size} {sampler.unit}, and an epoch draws only "
                f"{count:,} with dataset.size={data.dataset.size}: raise that, or lower the "
                f"batch size"
            )


def _data(
    node: Mapping[str, Any], prepared: Prepared | None, prepare: Prepare
) -> tuple[SampleFile | Dataset, dict[str, Any], Prepared | None]:
    """What the config says of the data, settled, and the data themselves; None where a file can stay closed."""
    if prepared:
        return prepared.spec, {}, prepared
    spec, settled = build("dataset", node)
    if not isinstance(spec, SampleFile):
        return spec, settled, prepare(spec)
    if spec.is_settled:
        return spec, settled, None
    prepared = prepare(spec)
    return prepared.spec, effective(settled, prepared.spec), prepared


class _Parts(NamedTuple):
    """What a config says of everything but the data."""

    nodes: dict[str, dict[str, Any]]
    """The effective config of each group."""
    loss: Loss
    trainer: Trainer
    solver: ClosedForm | None
    network: AutoEncoder | None
    """On ``meta``."""


def _solved_parts(config: Mapping[str, Any], spec: SampleFile | Dataset) -> _Parts:
    solver, node = build("model", config["model"])
    try:
        solver.check(spec.dim)
    except ValueError as error:
        raise UserError(f"model: {error}") from error
    return _Parts({"model": node, **_unread(config)}, Separation(spec.dim), Trainer(), solver, None)


def _trained_parts(config: Mapping[str, Any], spec: SampleFile | Dataset) -> _Parts:
    kind = kind_of(spec)
    model = by_kind("model", config["model"], kind, spec.dim)
    features = features_seen(model, spec.dim)
    loss, loss_node = build("loss", by_kind("loss", config["loss"], kind, spec.dim), dim=features)
    if features < spec.dim and loss.sampler.kind == "targets":
        raise UserError("model.rank: this loss has a target for every feature; leave rank out")
    sizes = (spec.dim, loss.code_features)
    with torch.device("meta"):
        network, model_node = build_network(model, *sizes, [torch.Generator("cpu")])
        if isinstance(network.encoder, Stack):  # a user's; for ours it would only import torch's compiler
            check_network(network, *sizes)
    started = kind != "family" and model_node.get("start") == "closed_form"
    optimizer_node, trainer_node = _schedule(config, model_node, features, loss, started=started)
    trainer, trainer_node = build("trainer", trainer_node)
    nodes = {"model": model_node, "loss": loss_node, "optimizer": optimizer_node, "trainer": trainer_node}
    return _Parts(nodes, loss, trainer, None, network)


def _schedule(
    config: Mapping[str, Any], model_node: Mapping[str, Any], dim: int, loss: Loss, *, started: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Optimiser and trainer, with each ``auto`` settled, and the optimiser checked."""
    optimizer, trainer = {"lr": "auto", **config["optimizer"]}, {**defaults_of(Trainer), **config["trainer"]}
    if "auto" in (optimizer["lr"], trainer["input_lr_factor"]):
        model = locate("model", config["model"]["_target_"])
        ours = [base.__name__ for base in inspect.getmro(model) if base.__module__.startswith("invlearn.nn.")]
        name = str(optimizer.get("_target_")).rpartition(".")[2]
        rates = default_rates([model.__name__, *ours] if ours else [], name, dim, model_node.get("activation"))
        for node, key, rate in zip((optimizer, trainer), ("lr", "input_lr_factor"), rates, strict=True):
            node[key] = rate if node[key] == "auto" else node[key]
    if trainer["batch_size"] == "auto":
        trainer["batch_size"] = default_batch_size(loss.sampler.kind)
    if trainer["epochs"] == "auto":
        trainer["epochs"] = default_epochs(dim, started=started)
    if trainer["warmup_steps"] == "auto":
        trainer["warmup_steps"] = default_warmup(started=started)
    _, optimizer = build("optimizer", optimizer, [nn.Parameter(torch.zeros(1))])
    check_element_wise(optimizer)
    return optimizer, trainer


def _unread(config: Mapping[str, Any]) -> dict[str, Any]:
    """Groups that a closed form does not read.

    Raises:
        UserError: Something was said of one.
    """
    for group in TRAINED_BY:
        if config[group]:
            key = group if "_target_" in config[group] else f"{group}.{next(iter(config[group]))}"
            raise UserError(f"{key}: this model is found in closed form, and reads no {group}; leave it out")
    return {group: {} for group in TRAINED_BY}


def described(
    config: Mapping[str, Any], nodes: Mapping[str, dict[str, Any]], top: Mapping[str, Any]
) -> tuple[dict[str, Any], frozenset[str]]:
    """The effective config, and its keys at their defaults."""
    at_default = {f"{group}.{key}" for group, node in nodes.items() for key in _at_default(config[group], node)}
    whole = {**nodes, **{key: value for key, value in top.items() if key != "_target_"}}
    check_storable(whole)
    return whole, frozenset(at_default | _at_default(config, top))


def _at_default(given: Mapping[str, Any], settled: Mapping[str, Any]) -> set[str]:
    """Keys of a config group that are at the defaults of its constructor, as they were given or as they are now."""
    target = settled.get("_target_")
    if target is None:
        return set()
    defaults = {key: list(value) if value == () else value for key, value in defaults_of(locate("", target)).items()}
    return {
        key for key, default in defaults.items() if given.get(key, default) == default or settled.get(key) == default
    }
