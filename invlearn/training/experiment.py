"""An experiment: the objects that a config names, and the sizes that follow from the data."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from invlearn.closed_form import ClosedForm, Normalization, SolvedNetwork
from invlearn.config import GROUPS, Settings, Trainer
from invlearn.config.build import build, check_trusted
from invlearn.config.migrate import migrated
from invlearn.data import Dataset, Draws
from invlearn.data.seeding import seeded_generator
from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError
from invlearn.files import EntityFile, Prepared, SampleFile, feature_names_of, leaving_out, prepare, scaler_of
from invlearn.losses import Loss
from invlearn.nn import AutoEncoder, Gaps, Joined, JoinedAutoEncoder
from invlearn.nn.joined import MEMBER_GROUPS
from invlearn.system.memory import machine_memory
from invlearn.training.networks import Solver, build_network
from invlearn.training.parts import Prepare, check_groups, data_of, described, parts_of

__all__ = ["Experiment"]


@dataclass(frozen=True)
class Experiment:
    """A checked config and the objects it describes, before anything is drawn, allocated or written.

    It is built once, and passed on.

    Args:
        config: The effective config: plain values, each ``auto`` that follows from sizes alone replaced by its value.
        spec: The source of examples: a transformation family, or the settings of a file.
        loss: The loss.
        trainer: Epochs, batch size and schedule.
        settings: Seeds, device and arithmetic.
        at_default: Keys of the config that are at their defaults.
        solver: The settings of a closed form or of joined codes; None if a network is trained by gradients.
        prepared: The data, if they have been prepared.
        members: The experiments whose codes are joined.
        trained: Their encoders, stacks, once trained.
    """

    config: dict[str, Any]
    spec: SampleFile | Dataset
    loss: Loss
    trainer: Trainer
    settings: Settings
    at_default: frozenset[str]
    solver: Solver | None = None
    prepared: Prepared | None = None
    members: Sequence[Experiment] = ()
    trained: Sequence[InvariantEncoder] = ()

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        *,
        prepared: Prepared | None = None,
        trust: Sequence[str] | None = None,
        prepare: Prepare = prepare,
    ) -> Experiment:
        """Check a plain config and build its objects.

        A user's file is opened only if some value of the config depends on it; for a trained run none does.

        Args:
            config: The config.
            prepared: Data in place of those that the config names.
            trust: For a config that its user did not write: classes or packages that it may name besides invlearn's
                own.
            prepare: Opens files; it may share one among several runs.

        Raises:
            UserError: A key is unknown, missing, of the wrong type or out of range, or two do not go together.
        """
        config = migrated(config)
        check_groups(config)
        if trust is not None:
            check_trusted(config, trust)
        top = {key: value for key, value in config.items() if key not in GROUPS}
        settings, top = build("", {**top, "_target_": "invlearn.config.Settings"})
        spec, dataset_node, prepared = data_of(config["dataset"], prepared, prepare)
        parts = parts_of(config, spec)
        whole, at_default = described(config, {"dataset": dataset_node, **parts.nodes}, top)
        if not parts.solver and config["optimizer"].get("lr", "auto") == "auto":  # our default, not torch's
            at_default |= {"optimizer.lr"}
        members = [
            cls.from_config(
                {**config, **{group: groups[group] for group in MEMBER_GROUPS}},
                prepared=prepared,
                trust=trust,
                prepare=prepare,
            )
            for groups in (parts.solver.members.values() if isinstance(parts.solver, Joined) else ())
        ]
        experiment = cls(whole, spec, parts.loss, parts.trainer, settings, at_default, parts.solver, prepared, members)
        experiment._check_memory(parts.network)
        if prepared:
            experiment.check_data(prepared)
        return experiment

    @property
    def targets(self) -> list[str]:
        """The classes that the config names."""
        own = [self.config[group]["_target_"] for group in GROUPS if "_target_" in self.config[group]]
        return [*own, *(target for member in self.members for target in member.targets)]

    @property
    def seeds(self) -> list[int]:
        """Seed of each replica."""
        return [self.settings.seed + replica for replica in range(self.settings.replicas)]

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of training."""
        return getattr(torch, self.settings.dtype)

    @property
    def epochs(self) -> int:
        """Passes over the training examples, with ``auto`` resolved; 1 for a closed form."""
        return 1 if self.solver else self.config["trainer"]["epochs"]

    @property
    def batch_size(self) -> int:
        """Examples per step, with ``auto`` resolved; a closed form takes no steps."""
        return 1 if self.solver else self.config["trainer"]["batch_size"]

    @property
    def holds_out(self) -> bool:
        """Whether data are held out to measure on."""
        return not isinstance(self.spec, SampleFile) or self.spec.holds_out

    @cached_property
    def data(self) -> Prepared:
        """The data; a file is opened now if it was not yet.

        Raises:
            UserError: It cannot be used.
        """
        if self.prepared:
            return self.prepared
        prepared = prepare(self.spec)
        self.check_data(prepared)
        return prepared

    @property
    def report(self) -> list[str]:
        """Lines about the data, to print."""
        return self.data.report

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
        """The experiment on other data."""
        return replace(self, prepared=data)

    def without_data(self) -> Experiment:
        """The experiment without its data, which may be large."""
        return replace(self, prepared=None)

    def leaving_out(self, path: str) -> Experiment:
        """The experiment without the training rows that a file lists.

        Raises:
            UserError: It cannot be used, or leaves too little data.
        """
        data = leaving_out(self.data, path)
        changed = {key: getattr(data.spec, key) for key in ("leave_out", "left_out")}
        config = {**self.config, "dataset": {**self.config["dataset"], **changed}}
        at_default = self.at_default - {f"dataset.{key}" for key in changed}
        return replace(self, config=config, spec=data.spec, at_default=at_default, prepared=data)

    def divided(self, data: Prepared) -> Experiment:
        """The experiment on another division of its data.

        Raises:
            UserError: It leaves too little data.
        """
        self.check_data(data)
        assert isinstance(data.spec, SampleFile)
        config = {**self.config, "dataset": {**self.config["dataset"], "fold": data.spec.fold}}
        return replace(
            self, config=config, spec=data.spec, at_default=self.at_default - {"dataset.fold"}, prepared=data
        )

    def to_measure(self) -> Experiment:
        """The experiment for measuring held-out data, which needs no file of rows to leave out."""
        if not isinstance(self.spec, EntityFile) or self.spec.leave_out is None or self.prepared:
            return self
        return replace(self, spec=replace(self.spec, leave_out=None, left_out=None))

    def lasting(self, epochs: int) -> Experiment:
        """The experiment with another number of epochs."""
        config = {**self.config, "trainer": {**self.config["trainer"], "epochs": epochs}}
        return replace(self, config=config, trainer=replace(self.trainer, epochs=epochs))

    def normalizing(self, kind: Normalization | Literal["auto"]) -> Experiment:
        """The experiment of a closed form with another normalisation of samples."""
        assert isinstance(self.solver, ClosedForm)
        config = {**self.config, "model": {**self.config["model"], "normalize": kind}}
        at_default = self.at_default - {"model.normalize"}
        return replace(self, config=config, solver=replace(self.solver, normalize=kind), at_default=at_default)

    def draws(self, device: torch.device | str) -> Draws:
        """The draws of its replicas from its data."""
        return Draws(self.data.dataset, self.seeds, self.dtype, device)

    def gaps(self, device: torch.device | str) -> Gaps | None:
        """A new module that fills gaps of samples; None if gaps are refused."""
        return None if self.data.gaps is None else copy.deepcopy(self.data.gaps).to(device)

    def encoder(
        self, device: torch.device | str, *, replicas: int | None = None, like: Mapping[str, Tensor] | None = None
    ) -> InvariantEncoder:
        """Draw the initial stack of encoders, replica r from its own seed; on ``meta``, only shapes.

        Args:
            device: Device of the stack.
            replicas: Number of replicas to draw; by default all.
            like: Parameters of a closed form or of joined codes, which have no initial state, and shapes that depend on
                the data.

        Raises:
            UserError: The network's parameters are not stacked.
            KeyError: ``like`` lacks some.
            ValueError: ``like`` is of another network.
        """
        if self.solver is not None:
            if isinstance(self.solver, ClosedForm):
                network = SolvedNetwork.like(self.solver, like or {})
            else:
                network = self._joined(like or {})
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

    def _joined(self, like: Mapping[str, Tensor]) -> JoinedAutoEncoder:
        """Joined codes with the shapes of stored parameters, on ``meta``."""
        members = []
        for index, member in enumerate(self.members):
            prefix = f"encoder.networks.{index}."
            parameters = {key.removeprefix(prefix): value for key, value in like.items() if key.startswith(prefix)}
            members.append(member.encoder("meta", like=parameters).as_member())
        return JoinedAutoEncoder(members, torch.empty_like(like["encoder.weight"], device="meta"))

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
        """Refuse sizes beyond the machine's memory, before anything is allocated.

        Raises:
            UserError: The examples or the networks alone would take more memory than the machine has.
        """
        parameters = sum(parameter.numel() for parameter in network.parameters()) if network else 0
        needs = {"dataset.size": 0, **{f"dataset.{part}_size": 0 for part in ("valid", "test")}}
        for key in needs:
            count = getattr(self.spec, key.removeprefix("dataset."), 0)
            shared = getattr(self.spec, "seed", None) is not None
            needs[key] = 2 * count * self.spec.dim * (1 if shared else self.settings.replicas)
        needs["replicas"] = 4 * parameters * self.settings.replicas  # with gradients and the optimiser's running means
        key = max(needs, key=lambda key: needs[key])
        size = needs[key] * torch.empty((), dtype=self.dtype).element_size()
        if size > (memory := machine_memory()):
            sizes = f"{size / 2**30:,.0f} GiB, and this machine has {memory / 2**30:,.0f}"
            raise UserError(
                f"out of memory: {key} would take {sizes}; lower replicas, dataset.size, model.columns or model.width"
            )

    def check_data(self, data: Prepared) -> None:
        """Refuse data without what the loss needs, or too few for a batch.

        Raises:
            UserError: It names the key.
        """
        if self.solver:  # a closed form uses all data
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
                f"{count:,} with dataset.size={data.dataset.size}: raise dataset.size, or lower the batch size"
            )
