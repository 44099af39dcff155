"""Checkpoints: plain tensors and numbers, loadable without running any code, and used only if intact."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from invlearn.config.stored import parse_json_config
from invlearn.errors import DamagedError, UserError
from invlearn.losses.loss import TERM
from invlearn.nn import Gaps
from invlearn.runs.layout import LAST
from invlearn.system.storage import inside, write_atomically

if TYPE_CHECKING:
    from invlearn.training.experiment import Experiment
    from invlearn.training.loop import TrainingState
    from invlearn.training.solving import Fitted

__all__ = [
    "best_contents",
    "check_best",
    "check_history",
    "check_parameters",
    "config_in",
    "history_rows",
    "last_contents",
    "load_checkpoint",
    "restore_state",
    "save_checkpoint",
]

_PLAIN = ("statistics", "best", "best_loss", "best_epoch", "last_epoch", "diverged", "epoch", "history")

_COLUMN = re.compile(rf"lr|degree|rank|centred|sphered|bounded|ridge|components|(train|valid)_{TERM.pattern}")
"""Names of the columns of metrics.csv, for epochs or candidates."""

LARGEST = 10**6
"""Maximal number of candidates."""

_CHANGING = ("lr", "params", "capturable", "foreach", "fused", "differentiable")
"""Settings of an optimiser's group that training or the device changes."""


def save_checkpoint(directory: PathLike[str], name: str, contents: Mapping[str, Any]) -> None:
    """Write tensors and plain values atomically."""
    buffer = io.BytesIO()
    torch.save(dict(contents), buffer)
    write_atomically(inside(Path(directory), name), buffer.getvalue())


def load_checkpoint(directory: PathLike[str], name: str, device: torch.device | str) -> dict[str, Any]:
    """Read a checkpoint onto a device; nothing in it can run code.

    Args:
        directory: The run directory.
        name: ``BEST`` or ``LAST``.
        device: Device of its tensors.

    Raises:
        DamagedError: The file is missing, damaged, or holds more than tensors and plain values.
    """
    path = inside(Path(directory), name)
    try:
        _check_archive(path)
        contents = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise DamagedError(f"{path} is missing") from error
    except Exception as error:  # torch raises many kinds of errors for damaged or hostile files
        raise DamagedError(f"{path} is damaged, or is not a checkpoint of invlearn") from error
    if not isinstance(contents, dict) or not all(isinstance(key, str) for key in contents):
        raise DamagedError(f"{path} is not a checkpoint of invlearn")
    return contents


def _check_archive(path: Path) -> None:
    """Compare each part of the file with its checksum, which torch does not."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":  # Python's zipfile, unlike torch, would skip anything before this
            raise ValueError
    with zipfile.ZipFile(path) as archive:
        # Ours are not compressed; a compressed one could unpack to any size.
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()) or archive.testzip():
            raise ValueError


def last_contents(state: TrainingState | Fitted, experiment: Experiment, seconds: float) -> dict[str, Any]:
    """The contents of ``last.pt``: the whole training state, from which all other files of the run can be rebuilt."""
    plain = {name: getattr(state, name) for name in _PLAIN}
    whole = {"model": state.model.state_dict(), **state.moving(), "seconds": seconds}
    gaps = {} if state.encoder.gaps is None else {"gaps": state.encoder.gaps.state_dict()}
    return {**plain, **whole, **gaps, "config": json.dumps(experiment.config)}


def best_contents(last: Mapping[str, Any]) -> dict[str, Any]:
    """The contents of ``best.pt``, taken from those of ``last.pt``.

    Raises:
        KeyError: They are not such contents.
    """
    best = {"model": last["best"], **{name: last[name] for name in ("statistics", "best_loss", "best_epoch")}}
    # Version 0.1 wrote no config; a run that refuses gaps has none.
    return {**best, **{name: last[name] for name in ("gaps", "config") if name in last}}


def config_in(contents: Mapping[str, Any]) -> dict[str, Any] | None:
    """The effective config in a checkpoint; None for version 0.1."""
    text = contents.get("config")
    try:
        return parse_json_config(text) if isinstance(text, str) else None
    except ValueError:
        return None


def history_rows(history: Mapping[str, Any], last_epoch: Tensor, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of metrics.csv.

    Args:
        history: For each column a list of R numbers per epoch.
        last_epoch: The last epoch of each replica that counts, ``(R,)``.
        seeds: Seed of each replica.
    """
    return [
        {"replica": replica, "seed": seed, "epoch": epoch + 1}
        | {name: values[epoch][replica] for name, values in history.items()}
        for replica, seed in enumerate(seeds)
        for epoch in range(int(last_epoch[replica]))
    ]


def restore_state(state: TrainingState, contents: Mapping[str, Any], *, epochs: int) -> None:
    """Restore a stored state in a fresh one.

    Args:
        state: The fresh state.
        contents: Contents of ``last.pt``.
        epochs: Number of epochs of the run.

    Raises:
        DamagedError: They are of another network, optimiser or number of replicas, or not a training state.
    """
    try:
        _check_like(state.best, contents["best"], "best")
        _check_like(state.model.state_dict(), contents["model"], "model")
        known = set(contents["statistics"])  # version 0.1 stored fewer; the others follow from the data
        _check_like({k: v for k, v in state.statistics.items() if k in known}, contents["statistics"], "statistics")
        for name in ("best_loss", "best_epoch", "last_epoch", "diverged"):
            _check_like(getattr(state, name), contents[name], name)
        _check(isinstance(contents["seconds"], float) and contents["seconds"] >= 0, "seconds")
        epoch = contents["epoch"]
        _check(type(epoch) is int and 0 <= epoch <= epochs, "epoch")
        for name in ("best_epoch", "last_epoch"):
            _check(bool(((contents[name] >= 0) & (contents[name] <= epoch)).all()), name)
        check_history(contents["history"], epoch, len(state.best_loss))
        _check_optimizer(state, contents["optimizer"])
        for name in _PLAIN:
            value = contents[name]
            if name in ("statistics", "best"):
                value = {**getattr(state, name), **{key: tensor.clone() for key, tensor in value.items()}}
            setattr(state, name, value.clone() if isinstance(value, Tensor) else value)
        state.model.load_state_dict(contents["model"])
        state.encoder.gaps = Gaps.stored_in(contents, state.encoder.dim, state.encoder.device)
        check_parameters(state.model, ~state.diverged)
        state.optimizer.load_state_dict(contents["optimizer"])
        for group in state.optimizer.param_groups:
            if "capturable" in group:  # set by a CUDA graph, which this process may not use
                group["capturable"] = False
    except UserError as error:
        raise DamagedError(f"{LAST}: {error}") from error
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DamagedError(f"{LAST} does not fit config.yaml: {str(error).splitlines()[0]}") from error


def check_parameters(network: nn.Module, learned: Tensor) -> None:
    """Refuse parameters that are not finite.

    Args:
        network: A stack.
        learned: Replicas to check, ``(R,)``; diverged ones may hold anything.

    Raises:
        UserError: One is NaN or infinite.
    """
    for name, parameter in network.named_parameters():
        if not bool(torch.isfinite(parameter[learned]).all()):
            raise UserError(f"{name} of the network holds NaN or infinite values")


def check_best(contents: Mapping[str, Any], network: Mapping[str, Tensor], *, epochs: int | None) -> None:
    """Refuse anything but a best checkpoint of a network.

    Args:
        contents: Contents of ``best.pt``.
        network: The parameters of the network, ``(R, ...)``; on ``meta``, only their shapes.
        epochs: Number of epochs of the run; None for a closed form, which may have any number of candidates.

    Raises:
        KeyError: Something is missing.
        ValueError: Something is not as invlearn writes it.
    """
    _check_like(network, contents["model"], "model")
    for name, value in contents["model"].items():
        # An expanded number would look like many.
        _check(value.untyped_storage().nbytes() >= value.numel() * value.element_size(), name)
    replicas = len(next(iter(network.values())))
    loss, epoch, statistics = contents["best_loss"], contents["best_epoch"], contents["statistics"]
    _check(_is_vector(loss, replicas) and loss.is_floating_point() and not bool(loss.isnan().any()), "best_loss")
    _check(_is_vector(epoch, replicas) and epoch.dtype == torch.long, "best_epoch")
    _check(bool(((epoch >= 0) & (epoch <= (LARGEST if epochs is None else epochs))).all()), "best_epoch")
    _check(isinstance(statistics, dict), "statistics")
    for name, value in statistics.items():
        known = isinstance(value, Tensor) and value.is_floating_point() and value.layout == torch.strided
        _check(known and value.ndim > 0 and len(value) in (1, replicas) and not _overlaps(value), f"statistics {name}")
        _check(bool(torch.isfinite(value).all()), f"statistics {name}")


def _is_vector(value: object, length: int) -> bool:
    return isinstance(value, Tensor) and value.shape == (length,) and value.layout == torch.strided


def _check(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(f"{name} is not as invlearn writes it")


def _check_like(expected: object, found: object, name: str) -> None:
    """Refuse anything but tensors of the same dtype and shape, or dicts of such with the same keys."""
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping) or set(found) != set(expected):
            raise ValueError(f"{name} is not as invlearn writes it")
        for key, value in expected.items():
            _check_like(value, found[key], f"{name} {key}")
    elif isinstance(expected, Tensor):
        alike = isinstance(found, Tensor) and found.dtype == expected.dtype and found.shape == expected.shape
        _check(alike and isinstance(found, Tensor) and found.layout == expected.layout, name)


def check_history(history: object, epochs: int, replicas: int) -> None:
    """Refuse anything but a history of so many epochs, because its names reach logs and its numbers metrics.csv.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(history, dict) or bool(history) != bool(epochs):
        raise ValueError("history is not as invlearn writes it")
    for column, rows in history.items():
        _check(isinstance(column, str) and _COLUMN.fullmatch(column) is not None, "the name of a column of history")
        _check(isinstance(rows, list) and len(rows) == epochs, f"history {column}")
        for row in rows:
            are_numbers = isinstance(row, list) and all(isinstance(value, int | float) for value in row)
            _check(are_numbers and len(row) == replicas, f"history {column}")


def _check_optimizer(state: TrainingState, found: Any) -> None:
    """Refuse settings that differ from the config, and running means that differ in shape from the parameters."""
    fresh = state.optimizer.state_dict()["param_groups"]
    groups, means = found["param_groups"], found["state"]
    _check(isinstance(groups, list) and len(groups) == len(fresh) and isinstance(means, dict), "optimizer")
    for ours, theirs in zip(fresh, groups, strict=True):
        _check(theirs["params"] == ours["params"], "optimizer")
        for key in (set(ours) & set(theirs)) - set(_CHANGING):
            _check(bool(ours[key] == theirs[key]), f"optimizer {key}")
    parameters = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
    for index, values in means.items():
        for name, value in values.items():
            shape = value.shape if isinstance(value, Tensor) else ()
            fits = shape in ((), parameters[index].shape) and isinstance(value, Tensor | int | float | None)
            _check(fits and not _overlaps(value), f"optimizer {name}")


def _overlaps(value: object) -> bool:
    """Whether elements of a tensor share memory, so that it cannot be written to."""
    return isinstance(value, Tensor) and any(
        n > 1 and not step for n, step in zip(value.shape, value.stride(), strict=True)
    )
