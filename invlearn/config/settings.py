"""The keys of all runs, and plain configs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from invlearn.errors import UserError

__all__ = [
    "GROUPS",
    "NOT_COMPARED",
    "SCALE",
    "TRAINED_BY",
    "Settings",
    "Trainer",
    "as_plain",
    "config_hash",
    "differences",
    "flatten",
    "listed",
]

GROUPS = ("dataset", "model", "loss", "optimizer", "trainer")
"""Config groups of every run's config."""

TRAINED_BY = ("loss", "optimizer", "trainer")
"""Groups that closed forms do not read."""

SCALE = ("dataset.offset", "dataset.factor")
"""Keys that follow from the content of a file, except for their last digits, unless they are overridden."""

PATHS = ("dataset.path", "dataset.leave_out")
"""Paths of files; their contents are compared by ``dataset.fingerprint`` and ``dataset.left_out``."""

NOT_COMPARED = ("device", "threads", "engine", "sweep", "on_error", "hydra")
"""Keys that say where and how a run is computed, not what: they do not identify the run."""


LONGEST_LISTED = 100
"""Maximal number of characters of two values in a message."""

MAX_REPLICAS = 16_384
"""Far more than can train together."""

MAX_THREADS = 1024
"""Far more than helps; a system that cannot start so many threads ends the process without a message."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The top-level keys outside the groups.

    Args:
        seed: Seed of replica 0; replica r has ``seed + r``.
        replicas: Runs trained together as one stack, 1 to 16,384.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: Floating-point type of training.
        tf32: Whether a GPU may round the factors of float32 matrix products to 10 bits.
        threads: CPU threads of torch; ``None`` is torch's own choice.
        engine: How training steps are computed: ``auto`` uses hand-derived gradients if it supports the model and the
            loss, ``plain`` always uses torch's autograd, ``graph`` replays the steps of ``auto`` as a CUDA graph.
        sweep: Name of a sweep's folder; read by ``hydra.sweep.dir`` in ``conf/train.yaml``.
        on_error: Whether a sweep continues with the other runs when one fails, or starts no more.

    Raises:
        ValueError: A setting is out of range.
    """

    seed: int = 0
    replicas: int = 1
    device: str = "auto"
    dtype: Literal["float32", "float64"] = "float32"
    tf32: bool = False
    threads: int | None = 1
    engine: Literal["auto", "plain", "graph"] = "auto"
    sweep: str | None = None
    on_error: Literal["continue", "stop"] = "continue"

    def __post_init__(self) -> None:
        for name in ("replicas", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name, most in (("replicas", MAX_REPLICAS), ("threads", MAX_THREADS)):
            value = getattr(self, name)
            if value is not None and value > most:
                raise ValueError(f"{name} must be at most {most}, got {value}")


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Epochs, batches and schedule of training.

    Args:
        epochs: Passes over the training examples, at least 1; ``auto`` grows with d.
        batch_size: Examples per step, at least 1; ``auto`` is the size that suits the loss best. An epoch's last,
            smaller batch is left out.
        clip: Largest gradient norm of each replica; ``None`` does not clip.
        warmup_steps: Steps over which the learning rate rises linearly from 0; ``auto`` takes fewer in a short
            training.
        schedule: ``cosine`` falls to 0 at the last step; ``constant`` stays.
        input_lr_factor: Factor on the learning rate of the encoder's first layer, above 0; ``auto`` is the tuned value
            of the model.
        patience: Stop a replica after this many epochs without a better validation loss; ``None`` never does.
        minutes: Approximate time limit, above 0: ``epochs`` is lowered accordingly, by the time of a step on this
            machine at the start of the run. ``None`` sets no limit; a larger number of epochs without one extends the
            run.

    Raises:
        ValueError: A setting is out of range.
    """

    epochs: int | Literal["auto"] = "auto"
    batch_size: int | Literal["auto"] = "auto"
    clip: float | None = 1.0
    warmup_steps: int | Literal["auto"] = "auto"
    schedule: Literal["cosine", "constant"] = "cosine"
    input_lr_factor: float | Literal["auto"] = "auto"
    patience: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        for name, minimum in (("epochs", 1), ("batch_size", 1), ("warmup_steps", 0), ("patience", 1)):
            value = getattr(self, name)
            if value not in (None, "auto") and value < minimum:
                raise ValueError(f"{name} must be at least {minimum}, got {value}")
        if self.input_lr_factor != "auto" and not self.input_lr_factor > 0:
            raise ValueError(f"input_lr_factor must be above 0, got {self.input_lr_factor}")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes must be above 0 (or null, for no limit), got {self.minutes}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be above 0 (or null, for none), got {self.clip}")


def as_plain(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Resolve interpolations and return nested dicts of plain values, without Hydra's own settings and the grid.

    Raises:
        UserError: An interpolation or a missing value cannot be resolved.
    """
    try:
        node = OmegaConf.create({str(key): value for key, value in config.items() if key not in ("hydra", "grid")})
        plain = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        missing = isinstance(error, MissingMandatoryValue) and key
        raise UserError(f"{key} must be given" if missing else str(error).splitlines()[0]) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts to dotted keys.

    Example:
        >>> flatten({"model": {"depth": 2}, "seed": 0})
        {'model.depth': 2, 'seed': 0}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def _compared(config: Mapping[str, Any]) -> dict[str, Any]:
    flat = flatten({key: value for key, value in config.items() if key not in NOT_COMPARED})
    return {key: value for key, value in flat.items() if key not in PATHS}


def config_hash(config: Mapping[str, Any]) -> str:
    """Hash of a plain config in sixteen hexadecimal digits, independent of device, launcher and paths."""
    return hashlib.sha256(json.dumps(_compared(config), sort_keys=True).encode()).hexdigest()[:16]


def listed(changed: Mapping[str, tuple[Any, Any]], old: str, new: str) -> str:
    """Keys with their old and new values in one line; long values are omitted.

    Args:
        changed: As from ``differences``.
        old: A word for where, or when, the old values hold.
        new: The word for the new values.

    Example:
        >>> listed({"model.depth": (2, 3)}, "there", "here")
        'model.depth (2 there, 3 here)'
    """

    def pair(first: object, second: object) -> str:
        if str(first) == str(second):  # a number and its digits
            first, second = repr(first), repr(second)
        return f"{first} {old}, {second} {new}"

    return ", ".join(
        key if len(f"{first}{second}") > LONGEST_LISTED else f"{key} ({pair(first, second)})"
        for key, (first, second) in changed.items()
    )


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], at_default: Collection[str] = ()
) -> dict[str, tuple[Any, Any]]:
    """Keys in which two plain configs compute different runs, with the old and the new value.

    Args:
        old: A stored config, perhaps of an earlier version.
        new: A current config.
        at_default: Keys of ``new`` at their defaults; if ``old`` lacks one, it counts as equal.
    """
    old, new = _compared(old), _compared(new)
    return {
        key: (old.get(key), new.get(key))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and (key in old or key not in at_default)
    }
