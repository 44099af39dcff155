"""The data and other parts of a config, with every ``auto`` resolved."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from invlearn.closed_form import ClosedForm
from invlearn.config import GROUPS, TRAINED_BY, Trainer
from invlearn.config.auto import by_kind, default_batch_size, default_epochs, default_rates, default_warmup
from invlearn.config.build import build, defaults_of, effective, locate
from invlearn.config.stored import check_storable
from invlearn.data import Dataset, TransformationFamily, check_family
from invlearn.errors import UserError
from invlearn.files import Prepared, SampleFile, kind_of
from invlearn.losses import Loss, Separation
from invlearn.nn import AutoEncoder, Stack
from invlearn.training.networks import Solver, build_network, check_network, features_seen, is_solved
from invlearn.training.optimizer import check_element_wise

__all__ = ["Parts", "Prepare", "check_groups", "data_of", "described", "parts_of"]

Prepare = Callable[[SampleFile | Dataset], Prepared]


def check_groups(config: Mapping[str, Any]) -> None:
    """Refuse a config without one of its groups.

    Raises:
        UserError: A group is missing, or is not a dict.
    """
    for group in GROUPS:
        if not isinstance(config.get(group), Mapping):
            raise UserError(
                f"{group} must be a config group, a dict with _target_, got {config.get(group)!r}; "
                f"overrides, as in ['{group}=...'], choose one by name"
            )


def data_of(
    node: Mapping[str, Any], prepared: Prepared | None, prepare: Prepare
) -> tuple[SampleFile | Dataset, dict[str, Any], Prepared | None]:
    """The resolved config of the data, and the data; None if a file can stay closed."""
    if prepared:
        return prepared.spec, {}, prepared
    spec, settled = build("dataset", node)
    if isinstance(spec, TransformationFamily) and not type(spec).__module__.startswith("invlearn."):
        try:
            check_family(spec)
        except ValueError as error:
            raise UserError(f"dataset: {type(spec).__name__}.{error}") from error
    if not isinstance(spec, SampleFile):
        return spec, settled, prepare(spec)
    if spec.is_settled:
        return spec, settled, None
    prepared = prepare(spec)
    return prepared.spec, effective(settled, prepared.spec), prepared


class Parts(NamedTuple):
    """All parts of a config except the data."""

    nodes: dict[str, dict[str, Any]]
    """The effective config of each group."""
    loss: Loss
    trainer: Trainer
    solver: Solver | None
    network: AutoEncoder | None
    """The network on ``meta``."""


def parts_of(config: Mapping[str, Any], spec: SampleFile | Dataset) -> Parts:
    """Build all parts of a config except the data.

    Args:
        config: The config.
        spec: The data.

    Raises:
        UserError: A key is unknown, missing, of the wrong type or out of range, or two do not go together.
    """
    return (_solved if is_solved(config["model"]) else _trained)(config, spec)


def _solved(config: Mapping[str, Any], spec: SampleFile | Dataset) -> Parts:
    solver, node = build("model", config["model"])
    if isinstance(solver, ClosedForm):
        try:
            solver.check(spec.dim)
        except ValueError as error:
            raise UserError(f"model: {error}") from error
    return Parts({"model": node, **_unread(config)}, Separation(spec.dim), Trainer(), solver, None)


def _trained(config: Mapping[str, Any], spec: SampleFile | Dataset) -> Parts:
    kind = kind_of(spec)
    model = by_kind("model", config["model"], kind, spec.dim)
    features = features_seen(model, spec.dim)
    loss, loss_node = build("loss", by_kind("loss", config["loss"], kind, spec.dim), dim=features)
    if features < spec.dim and loss.sampler.kind == "targets":
        raise UserError("model.rank: this loss has a target for every feature; leave rank out")
    sizes = (spec.dim, loss.code_features)
    with torch.device("meta"):
        network, model_node = build_network(model, *sizes, [torch.Generator("cpu")])
        if isinstance(network.encoder, Stack):  # a custom network; for ours this would only import torch's compiler
            check_network(network, *sizes)
    started = kind != "family" and model_node.get("start") == "closed_form"
    optimizer_node, trainer_node = _schedule(config, model_node, features, loss, started=started)
    trainer, trainer_node = build("trainer", trainer_node)
    nodes = {"model": model_node, "loss": loss_node, "optimizer": optimizer_node, "trainer": trainer_node}
    return Parts(nodes, loss, trainer, None, network)


def _schedule(
    config: Mapping[str, Any], model_node: Mapping[str, Any], dim: int, loss: Loss, *, started: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Optimiser and trainer, with each ``auto`` resolved, and the optimiser checked."""
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
    if isinstance(rate := optimizer["lr"], int | float) and not rate > 0:
        raise UserError(f"optimizer.lr must be a number above 0, got {rate}")
    _, optimizer = build("optimizer", optimizer, [nn.Parameter(torch.zeros(1))])
    check_element_wise(optimizer)
    return optimizer, trainer


def _unread(config: Mapping[str, Any]) -> dict[str, Any]:
    """Groups that closed forms and joined codes do not read.

    Raises:
        UserError: The config sets a key of one.
    """
    for group in TRAINED_BY:
        if config[group]:
            key = group if "_target_" in config[group] else f"{group}.{next(iter(config[group]))}"
            kind = "joins codes" if "members" in config["model"] else "is a closed form"
            raise UserError(f"{key}: this model {kind} and has no {group}; leave it out")
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
    """Keys of a config group at the defaults of its constructor, as given or after resolving ``auto``."""
    target = settled.get("_target_")
    if target is None:
        return set()
    defaults = {key: list(value) if value == () else value for key, value in defaults_of(locate("", target)).items()}
    return {
        key for key, default in defaults.items() if given.get(key, default) == default or settled.get(key) == default
    }
