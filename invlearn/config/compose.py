"""Composing configs with Hydra: where the YAML files are, one run, a sweep, and errors in one line."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from invlearn.config import NOT_COMPARED, as_plain, differences, flatten
from invlearn.errors import UserError, nearest

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

# Hydra is imported where it is used: help and completion of our own subcommands need not load it.

__all__ = ["Job", "Sweep", "compose", "compose_sweep", "conf_dir", "launch"]

LAUNCHER_EXTRAS = {"joblib": "parallel", "slurm": "slurm"}
"""Launchers, and the extra of invlearn that installs each."""

LONGEST_NAME = 200
"""Bytes of a run's folder name; file systems end at 255."""


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        overrides: What makes it compose to ``config`` below the sweep's own settings.
        config: Its config, with Hydra's settings.
        folder: Its run directory.
    """

    overrides: list[str]
    config: DictConfig
    folder: Path


@dataclass(frozen=True)
class Sweep:
    """A sweep: its runs, and what Hydra's launchers need to know.

    Args:
        jobs: The runs, in order.
        config: The config without the swept keys; ``hydra`` names the launcher.
    """

    jobs: list[Job]
    config: DictConfig

    @property
    def folder(self) -> Path:
        """Where the runs lie."""
        return Path(self.config.hydra.sweep.dir)

    @property
    def is_queued(self) -> bool:
        """Whether its runs are trained on other machines, by jobs that live on without this process."""
        return _is_slurm(self.config)


def conf_dir() -> Path:
    """Folder of the YAML files: the one packed into a wheel if there is one, else the repository's."""
    package = Path(__file__).parents[1]
    packed = package / "conf"
    return packed if packed.is_dir() else package.parent / "conf"


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
    with _hydra():
        return _compose([*_search_path(config_dir), *overrides], config_dir, config_name)


def compose_sweep(overrides: Sequence[str], *, config_dir: str | None = None, config_name: str = "train") -> Sweep:
    """Compose every run of a sweep: the product of all swept keys, as Hydra's own sweeper makes it.

    A grid (``+grid=fig3``) holds several such products for each preset, a line of overrides each; what is typed
    beside it holds for all of them and replaces what a line says of the same key.

    Args:
        overrides: As on the command line, ``["model.depth=2,4", "seed=1"]``.
        config_dir: As for ``compose``.
        config_name: As for ``compose``.

    Raises:
        UserError: An override names no group, option or key, or cannot be parsed, or the launcher is not installed.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    jobs: dict[Path, Job] = {}
    with _hydra():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        parser = OverridesParser.create(config_loader=hydra.config_loader)
        with _explained(overrides, config_dir):
            typed = [o for o in parser.parse_overrides(list(overrides)) if not _is_of_the_sweep(o)]
            given = [*_search_path(config_dir), *overrides]
            master = hydra.compose_config(config_name, given, RunMode.MULTIRUN, from_shell=False)
            _check_launcher(master)
            name = str(master.sweep)
            _check_sweep(name, typed)
            hydra_overrides = OmegaConf.to_container(master.hydra.overrides.hydra, resolve=False)
            assert isinstance(hydra_overrides, list)
            params = [f"{key}={value}" for key, value in (master.hydra.sweeper.get("params") or {}).items()]
        for line in _grid_lines(master):
            with _explained([line], config_dir):
                parsed = parser.parse_overrides([*params, *shlex.split(line)])
                products = _product([*parsed, *typed])
            for job_overrides in products:
                named = [*job_overrides, f"sweep={_quoted(name)}"]
                config = _compose([*hydra_overrides, *named], config_dir, config_name)
                with _explained(named, config_dir):
                    subdir = _folder_name(config.hydra.sweep.subdir)
                    folder = Path(config.hydra.sweep.dir, subdir)
                job = Job([*named, f"hydra.sweep.subdir={_quoted(subdir)}"], config, folder)
                _check_distinct(jobs.setdefault(folder, job), job)
    return Sweep(list(jobs.values()), master)


def launch(sweep: Sweep, jobs: Sequence[Job], task: Callable[[DictConfig], object]) -> None:
    """Run jobs of a sweep with the launcher that its config chooses.

    Args:
        sweep: The sweep.
        jobs: Those of its runs to start.
        task: What to do with each job's config, in this process or, pickled, in another. Its errors are its own.
    """
    from hydra._internal.callbacks import Callbacks
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext

    with _hydra():
        loader = GlobalHydra.instance().config_loader()
        callbacks = Callbacks(sweep.config)
        callbacks.on_multirun_start(config=sweep.config, config_name=sweep.config.hydra.job.config_name)
        context = HydraContext(config_loader=loader, callbacks=callbacks)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=task, config=sweep.config
        )
        launcher.launch([job.overrides for job in jobs], initial_job_idx=0)
        callbacks.on_multirun_end(config=sweep.config, config_name=sweep.config.hydra.job.config_name)


def _compose(overrides: list[str], config_dir: str | None, config_name: str) -> DictConfig:
    from hydra import compose as hydra_compose

    with _explained(overrides, config_dir):
        return hydra_compose(config_name, overrides, return_hydra_config=True)


@contextmanager
def _explained(overrides: Sequence[str], config_dir: str | None) -> Iterator[None]:
    """Turn Hydra's errors into ours."""
    from hydra.errors import HydraException

    try:
        yield
    except UserError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(_explain(error, overrides, config_dir)) from error


def _is_slurm(config: DictConfig) -> bool:
    return config.hydra.launcher._target_.endswith(".SlurmLauncher")


def _check_launcher(config: DictConfig) -> None:
    package = config.hydra.launcher._target_.rpartition(".")[0]
    try:
        import_module(package)
    except ImportError as error:
        raise UserError(_not_installed(config.hydra.runtime.choices["hydra/launcher"])) from error
    if config.hydra.launcher.get("n_jobs") == 0:
        raise UserError("hydra.launcher.n_jobs must be a number of processes, or -1 for one on each core, got 0")
    if _is_slurm(config) and shutil.which("sbatch") is None:
        raise UserError("hydra/launcher=slurm: there is no sbatch here; start it on a machine of the cluster")


def _not_installed(launcher: str) -> str:
    if launcher in LAUNCHER_EXTRAS:
        return f"hydra/launcher={launcher} is not installed: pip install 'invlearn[{LAUNCHER_EXTRAS[launcher]}]'"
    return f"hydra/launcher={launcher}: there is no such launcher{nearest(launcher, ['basic', *LAUNCHER_EXTRAS])}"


def _check_distinct(first: Job, second: Job) -> None:
    """Refuse two runs for one folder; lines of a grid may name the same run twice."""
    changed = differences(as_plain(first.config), as_plain(second.config))
    if changed:
        listed = ", ".join(f"{key} ({one}, {other})" for key, (one, other) in changed.items())
        raise UserError(f"{first.folder} would hold two runs that differ in {listed}")


def _check_sweep(name: str, typed: Sequence[Override]) -> None:
    """Refuse a sweep over what does not change a run, and a name that is no folder's."""
    if name in ("", ".", "..", "None") or Path(name).name != name:
        raise UserError(f"sweep must be the name of a folder, got {name!r}; hydra.sweep.dir=DIR puts a sweep anywhere")
    swept = [override.key_or_group for override in typed if override.is_sweep_override()]
    for key in swept:
        if key in NOT_COMPARED:
            raise UserError(f"{key} cannot be swept: it does not change what a run computes")
        if key == "grid" or (key == "preset" and any(override.key_or_group == "grid" for override in typed)):
            raise UserError(f"{key}: one at a time; a grid is many runs already")


def _is_of_the_sweep(override: Override) -> bool:
    """Whether an override chooses a launcher or a folder rather than anything of a run."""
    return override.key_or_group.startswith(("hydra.", "hydra/"))


def _grid_lines(master: DictConfig) -> list[str]:
    """The lines of a grid for the chosen preset; a single empty one where no grid is chosen.

    Raises:
        UserError: The grid has nothing for this preset.
    """
    grid = master.get("grid")
    if grid is None:
        return [""]
    preset = master.hydra.runtime.choices.get("preset")
    if not isinstance(grid, Mapping | DictConfig) or preset not in grid:
        raise UserError(f"grid={master.hydra.runtime.choices.grid} needs a preset; choose from: {', '.join(grid)}")
    return list(grid[preset])


def _product(overrides: list[Override]) -> Iterator[list[str]]:
    """The jobs of one product, the later of two overrides of one key replacing the earlier."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    last = {override.key_or_group: override for override in overrides}
    return map(list, chain.from_iterable(BasicSweeper.split_arguments(list(last.values()), None)))


def _folder_name(subdir: str) -> str:
    """One folder of a length that file systems take: ``dataset.dim=20,model.depth=2``."""
    name = subdir.replace(os.sep, "_") or "defaults"
    if len(name.encode()) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name.encode()[: LONGEST_NAME - 13].decode(errors='ignore')}-{digest}"


def _quoted(value: str) -> str:
    """A value as Hydra's override grammar takes it literally."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


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
    from hydra.errors import OverrideParseException

    message = str(error).strip()
    if isinstance(error, OverrideParseException) and error.override.startswith("dataset."):
        quoted = """'dataset.path="a=b.csv"', 'dataset.features=["größe"]'"""
        return f"{error.override} cannot be read; names that hold signs need quotes of their own: {quoted}"
    groups: dict[str, list[str]] = {}
    for root in (conf_dir(), *([Path(config_dir)] if config_dir else [])):
        for folder in filter(Path.is_dir, root.iterdir()):
            groups.setdefault(folder.name, []).extend(file.stem for file in folder.glob("*.yaml"))
    if found := re.search("Could not find 'hydra/launcher/([^']+)'", message):
        return _not_installed(found[1])
    for override in overrides:
        group, equals, value = override.lstrip("+").partition("=")
        if not equals and "missing EQUAL" in message and override in message:
            return f"{override} is not an override; write key=value, as in dataset=twopart"
        if group in groups and value not in ("null", *groups[group]) and f"'{group}/{value}'" in message:
            return f"{group}={value}: there is no such {group}{nearest(value, groups[group])}"
    if found := re.match("Could not override '([^']+)'", message):
        if found[1] in groups:
            return (
                f"{found[1]} is not part of a run by default; add it, as in +{found[1]}={sorted(groups[found[1]])[0]}"
            )
        parent, _, leaf = found[1].rpartition(".")
        choices = [o for o in overrides if o.partition("=")[0] in groups and "," not in o]
        composed = OmegaConf.to_container(compose(choices, config_dir=config_dir))  # whatever is still missing in it
        assert isinstance(composed, dict)
        chosen = {str(key): value for key, value in composed.items() if key not in ("hydra", "grid")}
        homes = [key for key in flatten(chosen) if key.rpartition(".")[2] == leaf]
        if not parent and homes:
            return f"{leaf}: there is no such key; did you mean '{homes[0]}'?"
        siblings = OmegaConf.select(OmegaConf.create(chosen), parent) if parent else {**chosen, **groups}
        if siblings is not None and not isinstance(siblings, Mapping | DictConfig):
            return f"{found[1]}: {parent} has no keys of its own"
        if siblings is None:
            return f"{found[1]}: there is no {parent}{nearest(parent, [key for key in chosen if key in groups])}"
        known = [str(key) for key in siblings if key != "_target_"]
        return f"{found[1]}: there is no such key{nearest(leaf, known)}"
    return " ".join(line.strip() for line in message.splitlines() if not line.startswith("See http"))
