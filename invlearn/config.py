"""The configuration: where the YAML files are, the keys they share, composing, comparing."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from invlearn.errors import UserError, nearest

__all__ = [
    "GROUPS",
    "Settings",
    "Trainer",
    "as_plain",
    "compose",
    "conf_dir",
    "config_hash",
    "differences",
    "flatten",
    "sweep_jobs",
]

GROUPS = ("dataset", "model", "loss", "optimizer", "trainer")
"""Config groups that stand in every run's config."""

NOT_COMPARED = ("device", "threads", "sweep", "hydra")
"""Keys that say where and how a run is computed, not what: they do not change which run it is."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The top-level keys beside the groups.

    Args:
        seed: Seed of replica 0; replica r has ``seed + r``.
        replicas: Runs trained together as one stack, at least 1.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: Arithmetic of training.
        threads: CPU threads of torch; ``None`` is torch's own choice.
        sweep: Name of a sweep's folder; read by ``hydra.sweep.dir`` in ``conf/train.yaml``.

    Raises:
        ValueError: A setting is out of range.
    """

    seed: int = 0
    replicas: int = 1
    device: str = "auto"
    dtype: Literal["float32", "float64"] = "float32"
    threads: int | None = 1
    sweep: str | None = None

    def __post_init__(self) -> None:
        for name in ("replicas", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """How long and in what steps to train.

    Args:
        epochs: Passes over the training examples, at least 1; ``auto`` grows with d.
        batch_size: Examples of a step, at least 1. An epoch's last, smaller batch is left out.
        clip: Largest gradient norm of each replica; ``None`` does not clip.
        warmup_steps: Steps over which the learning rate rises linearly from 0.
        schedule: ``cosine`` falls to 0 at the last step; ``constant`` stays.
        input_lr_factor: How many times faster the encoder's first layer learns, above 0; ``auto`` is what the model was
            tuned with.
        patience: Stop a replica after this many epochs without a better validation loss; ``None`` never does.

    Raises:
        ValueError: A setting is out of range.
    """

    epochs: int | Literal["auto"] = "auto"
    batch_size: int = 128
    clip: float | None = 1.0
    warmup_steps: int = 500
    schedule: Literal["cosine", "constant"] = "cosine"
    input_lr_factor: float | Literal["auto"] = "auto"
    patience: int | None = None

    def __post_init__(self) -> None:
        for name, minimum in (("epochs", 1), ("batch_size", 1), ("warmup_steps", 0), ("patience", 1)):
            value = getattr(self, name)
            if value not in (None, "auto") and value < minimum:
                raise ValueError(f"{name} must be at least {minimum}, got {value}")
        if self.input_lr_factor != "auto" and not self.input_lr_factor > 0:
            raise ValueError(f"input_lr_factor must be above 0, got {self.input_lr_factor}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be above 0 (or null, for none), got {self.clip}")


def conf_dir() -> Path:
    """Folder of the YAML files: the one packed into a wheel if there is one, else the repository's."""
    packed = Path(__file__).parent / "conf"
    return packed if packed.is_dir() else Path(__file__).parents[1] / "conf"


def compose(overrides: Sequence[str] = (), *, config_dir: str | None = None, config_name: str = "train") -> DictConfig:
    """Compose the config of a run from the groups and ``key=value`` overrides.

    Args:
        overrides: As on the command line, ``["dataset=twopart", "model.depth=3"]``.
        config_dir: A folder of further YAML files, as Hydra's ``--config-dir``.
        config_name: The primary config.

    Returns:
        The config, with Hydra's own settings under ``hydra``.

    Raises:
        UserError: An override names no group, option or key, or cannot be parsed.
    """
    from hydra import compose as hydra_compose
    from hydra.errors import HydraException

    with _hydra():
        extra = _search_path(config_dir)
        try:
            return hydra_compose(config_name, [*extra, *overrides], return_hydra_config=True)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise UserError(_explain(error, overrides, config_dir)) from error


def sweep_jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each job of a sweep, as Hydra's own sweeper splits them.

    Raises:
        UserError: An override cannot be parsed.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    with _hydra():
        try:
            parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
            batches = BasicSweeper.split_arguments(parser.parse_overrides(list(overrides)), None)
        except (HydraException, ValueError) as error:
            raise UserError(_explain(error, overrides, None)) from error
    return [list(job) for batch in batches for job in batch]


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra ready to compose from ``conf_dir()``; a Hydra application around us finds its own state again."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    around = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="train"):
            yield
    finally:
        GlobalHydra.instance().hydra = around


def _search_path(config_dir: str | None) -> list[str]:
    if config_dir is None:
        return []
    if not Path(config_dir).is_dir():
        raise UserError(f"--config-dir {config_dir} is not a folder")
    return [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"]


def _explain(error: Exception, overrides: Sequence[str], config_dir: str | None) -> str:
    """Turn Hydra's several lines into one that names the nearest group, option or key."""
    message = str(error).strip()
    groups: dict[str, list[str]] = {}
    for root in (conf_dir(), *([Path(config_dir)] if config_dir else [])):
        for folder in filter(Path.is_dir, root.iterdir()):
            groups.setdefault(folder.name, []).extend(file.stem for file in folder.glob("*.yaml"))
    for override in overrides:
        group, equals, value = override.partition("=")
        if not equals and "missing EQUAL" in message and override in message:
            return f"{override} is not an override; write key=value, as in dataset=twopart"
        if group in groups and value not in ("null", *groups[group]) and f"'{group}/{value}'" in message:
            return f"{group}={value}: there is no such {group}{nearest(value, groups[group])}"
    if found := re.match("Could not override '([^']+)'", message):
        parent, _, leaf = found[1].rpartition(".")
        choices = [override for override in overrides if override.partition("=")[0] in groups]
        chosen = as_plain(compose(choices, config_dir=config_dir))
        homes = [key for key in flatten(chosen) if key.rpartition(".")[2] == leaf]
        if not parent and homes:
            return f"{leaf}: there is no such key; did you mean '{homes[0]}'?"
        siblings = OmegaConf.select(OmegaConf.create(chosen), parent) if parent else {**chosen, **groups}
        known = (
            [str(key) for key in siblings if key != "_target_"] if isinstance(siblings, Mapping | DictConfig) else []
        )
        return f"{found[1]}: there is no such key{nearest(leaf, known)}"
    return " ".join(line.strip() for line in message.splitlines() if not line.startswith("See http"))


def as_plain(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Resolve interpolations and return nested dicts of plain values, without Hydra's own settings.

    Raises:
        UserError: An interpolation or a missing value cannot be resolved.
    """
    try:
        node = OmegaConf.create({str(key): value for key, value in config.items() if key != "hydra"})
        plain = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(str(error).splitlines()[0]) from error
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
    return flatten({key: value for key, value in config.items() if key not in NOT_COMPARED})


def config_hash(config: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits of what a plain config computes, whatever the device, launcher and paths."""
    return hashlib.sha256(json.dumps(_compared(config), sort_keys=True).encode()).hexdigest()[:16]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Keys in which two plain configs compute different runs, with the old and the new value."""
    old, new = _compared(old), _compared(new)
    return {key: (old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)}
