"""The plan of a sweep: every run, its config and its folder."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from invlearn.config import NOT_COMPARED, TRAINED_BY, as_plain, differences, flatten
from invlearn.config.auto import with_default_model
from invlearn.config.compose import errors_explained, not_installed, quoted, readable, searching
from invlearn.config.hydra import compose_config, hydra_ready, parse_overrides, product
from invlearn.config.settings import PATHS
from invlearn.errors import UserError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

__all__ = ["Job", "Sweep", "compose_sweep"]

LONGEST_NAME = 200
"""Bytes of a run's folder name; file systems end at 255."""


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        overrides: The overrides that compose to ``config`` with the sweep's own settings.
        config: Its config, with Hydra's settings.
        folder: Its run directory.
    """

    overrides: list[str]
    config: DictConfig
    folder: Path


@dataclass(frozen=True)
class Sweep:
    """A sweep: its runs, and the config for Hydra's launchers.

    Args:
        jobs: The runs, in order.
        config: The config without the swept keys; ``hydra`` names the launcher.
    """

    jobs: list[Job]
    config: DictConfig

    @property
    def folder(self) -> Path:
        """The folder of the runs."""
        return Path(self.config.hydra.sweep.dir)

    @property
    def is_queued(self) -> bool:
        """Whether its runs are jobs on other machines, which continue without this process."""
        return _is_slurm(self.config)


def compose_sweep(overrides: Sequence[str], *, config_dir: str | None = None, config_name: str = "train") -> Sweep:
    """Compose every run of a sweep: the product of all swept keys, as Hydra's own sweeper does.

    A grid (``+grid=fig3``) has several such products for each preset, one per line of overrides. Command-line
    overrides apply to all lines and win over them. Keys of ``loss``, ``optimizer`` and ``trainer`` are dropped for
    lines whose model is a closed form, which does not read them.

    Args:
        overrides: As on the command line, ``["model.depth=2,4", "seed=1"]``.
        config_dir: As for ``compose``.
        config_name: As for ``compose``.

    Raises:
        UserError: An override names no group, option or key, or cannot be parsed, or the launcher is not installed.
    """
    jobs: dict[Path, Job] = {}
    overrides = readable(overrides)
    with hydra_ready():
        with errors_explained(overrides, config_dir):
            typed = [o for o in parse_overrides(overrides) if not _is_of_the_sweep(o)]
            chosen = with_default_model(overrides)
            master = compose_config(config_name, [*searching(config_dir), *chosen], sweep=True)
            _check_launcher(master)
            name = str(master.sweep)
            _check_sweep(name, typed)
            hydra_overrides = OmegaConf.to_container(master.hydra.overrides.hydra, resolve=False)
            assert isinstance(hydra_overrides, list)
            params = [f"{key}={value}" for key, value in (master.hydra.sweeper.get("params") or {}).items()]
        for line in _grid_lines(master):
            with errors_explained([line, *overrides], config_dir):
                given = [*parse_overrides([*params, *shlex.split(line)]), *typed]
                products = product(_read_by_model(given, config_name, hydra_overrides) if line else given)
            for job_overrides in products:
                named = [*with_default_model(job_overrides), f"sweep={quoted(name)}"]
                with errors_explained(named, config_dir):
                    config = compose_config(config_name, [*hydra_overrides, *named])
                    subdir = _folder_name(config.hydra.sweep.subdir)
                    folder = Path(config.hydra.sweep.dir, subdir)
                job = Job([*named, f"hydra.sweep.subdir={quoted(subdir)}"], config, folder)
                _check_distinct(jobs.setdefault(folder, job), job)
    return Sweep(list(jobs.values()), master)


def _is_slurm(config: DictConfig) -> bool:
    return config.hydra.launcher._target_.endswith(".SlurmLauncher")


def _check_launcher(config: DictConfig) -> None:
    package = config.hydra.launcher._target_.rpartition(".")[0]
    try:
        import_module(package)
    except ImportError as error:
        raise UserError(not_installed(config.hydra.runtime.choices["hydra/launcher"])) from error
    if config.hydra.launcher.get("n_jobs") == 0:
        raise UserError("hydra.launcher.n_jobs must be a number of processes, or -1 for one on each core, got 0")
    if _is_slurm(config) and shutil.which("sbatch") is None:
        raise UserError("hydra/launcher=slurm: sbatch was not found; start the command on the cluster")


def _check_distinct(first: Job, second: Job) -> None:
    """Refuse two different runs in one folder; lines of a grid may name the same run twice."""
    one, other = (flatten(as_plain(job.config)) for job in (first, second))
    paths = {key: (one.get(key), other.get(key)) for key in PATHS}  # two files, perhaps of the same content
    changed = differences(one, other) | {key: pair for key, pair in paths.items() if pair[0] != pair[1]}
    if changed:
        listed = ", ".join(f"{key} ({old}, {new})" for key, (old, new) in changed.items())
        raise UserError(f"{first.folder} would contain two runs that differ in {listed}")


def _check_sweep(name: str, typed: Sequence[Override]) -> None:
    """Refuse a sweep over keys that do not change a run, or a name that cannot be a folder's."""
    if name in ("", ".", "..", "None") or Path(name).name != name:
        raise UserError(f"sweep must be the name of a folder, got {name!r}; hydra.sweep.dir=DIR puts a sweep anywhere")
    swept = [override.key_or_group for override in typed if override.is_sweep_override()]
    for key in swept:
        if key in NOT_COMPARED:
            raise UserError(f"{key} cannot be swept: it does not change what a run computes")
        if key == "grid" or (key == "preset" and any(override.key_or_group == "grid" for override in typed)):
            raise UserError(f"{key}: choose one; a grid already has many runs")


def _is_of_the_sweep(override: Override) -> bool:
    """Whether an override sets the launcher or a folder, not a setting of a run."""
    return override.key_or_group.startswith(("hydra.", "hydra/"))


def _grid_lines(master: DictConfig) -> list[str]:
    """The lines of a grid, for the chosen preset; a single empty line if no grid is chosen.

    Raises:
        UserError: The grid has no lines for this preset.
    """
    grid = master.get("grid")
    if grid is None:
        return [""]
    if isinstance(grid, Sequence):
        return list(grid)
    preset = master.hydra.runtime.choices.get("preset")
    if not isinstance(grid, Mapping | DictConfig) or preset not in grid:
        raise UserError(f"grid={master.hydra.runtime.choices.grid} needs a preset; choose from: {', '.join(grid)}")
    return list(grid[preset])


def _read_by_model(overrides: Sequence[Override], config_name: str, hydra: Sequence[str]) -> list[Override]:
    """The overrides that a line's model reads, if the line names one."""
    chosen = {override.key_or_group: override for override in overrides}
    model = chosen.get("model")
    if model is None or model.is_sweep_override():
        return list(overrides)
    config = compose_config(config_name, [*hydra, f"model={model.get_value_element_as_str()}"])
    unread = tuple(f"{group}." for group in TRAINED_BY if not config[group])
    return [override for override in overrides if not override.key_or_group.startswith(unread)]


def _folder_name(subdir: str) -> str:
    """A folder name that file systems accept: ``dataset.dim=20,model.depth=2``."""
    name = subdir.replace(os.sep, "_") or "defaults"
    if len(name.encode()) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name.encode()[: LONGEST_NAME - 13].decode(errors='ignore')}-{digest}"
