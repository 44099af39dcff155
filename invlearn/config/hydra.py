"""All uses of Hydra, including its internals.

Hydra's public interface is a decorator that composes, creates folders, and ends the process on an error. Here a command
composes once, checks everything, and only then lets Hydra create a folder. This needs parts of ``hydra._internal``:
the argument parser (so that Hydra's flags keep their names), ``Callbacks`` (which ``run_job`` and launchers need), and
the splitting of sweeps. A new version of Hydra can break invlearn only here.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from invlearn.config.folder import conf_dir
from invlearn.errors import UserError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

__all__ = [
    "argument_parser",
    "compose_config",
    "hydra_ready",
    "launch_jobs",
    "parse_overrides",
    "product",
    "run_in_folder",
    "show_hydra",
]

# Hydra is imported where it is used, because help and completion of our own subcommands do not need it.

Task = Callable[[DictConfig], object]


def argument_parser() -> ArgumentParser:
    """The parser of Hydra's command line."""
    from hydra._internal.utils import get_args_parser

    return get_args_parser()


@contextmanager
def hydra_ready() -> Iterator[None]:
    """Make Hydra ready to compose from ``conf_dir()``, and restore the state of a surrounding Hydra application."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    around = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="train"):
            yield
    finally:
        GlobalHydra.instance().hydra = around


def _hydra():
    from hydra.core.global_hydra import GlobalHydra

    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    return hydra


def compose_config(config_name: str, overrides: Sequence[str], *, sweep: bool = False) -> DictConfig:
    """Compose a config with Hydra's own settings under ``hydra``; Hydra must be ready.

    Args:
        config_name: The primary config.
        overrides: As on the command line.
        sweep: Whether overrides may have several values, which are left out of the config.
    """
    from hydra.types import RunMode

    mode = RunMode.MULTIRUN if sweep else RunMode.RUN
    return _hydra().compose_config(config_name, list(overrides), mode, from_shell=False, with_log_configuration=False)


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Overrides, parsed; Hydra must be ready."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create(config_loader=_hydra().config_loader).parse_overrides(list(overrides))


def product(overrides: Sequence[Override]) -> Iterator[list[str]]:
    """The jobs of a product; the later of two overrides of one key wins."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    last = {override.key_or_group: override for override in overrides}
    return map(list, chain.from_iterable(BasicSweeper.split_arguments(list(last.values()), None)))


def run_in_folder(config: DictConfig, task: Callable[[], object]) -> None:
    """Create the run's folder with Hydra's records of it, and run a task there; Hydra must be ready.

    Raises:
        Exception: What the task raised.
    """
    from hydra._internal.callbacks import Callbacks
    from hydra.core.utils import run_job
    from hydra.types import HydraContext

    callbacks, name = Callbacks(config), config.hydra.job.config_name
    callbacks.on_run_start(config=config, config_name=name)
    result = run_job(
        task_function=lambda _: task(),
        config=config,
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
        hydra_context=HydraContext(config_loader=_hydra().config_loader, callbacks=callbacks),
        configure_logging=False,
    )
    callbacks.on_run_end(config=config, config_name=name, job_return=result)
    error = result._return_value  # pyright: ignore[reportPrivateUsage]
    if isinstance(error, UserError):  # Hydra would print it, but a user error is one line
        raise error
    _ = result.return_value  # prints and raises any other error


def launch_jobs(config: DictConfig, jobs: Sequence[list[str]], task: Task) -> None:
    """Run jobs of a sweep with the launcher that its config chooses; Hydra must be ready.

    Args:
        config: The sweep's config.
        jobs: The overrides of each job.
        task: Called with each job's config, in this process or, pickled, in another.
    """
    from hydra._internal.callbacks import Callbacks
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext

    callbacks, name = Callbacks(config), config.hydra.job.config_name
    callbacks.on_multirun_start(config=config, config_name=name)
    context = HydraContext(config_loader=_hydra().config_loader, callbacks=callbacks)
    launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)
    launcher.launch(list(jobs), initial_job_idx=0)
    callbacks.on_multirun_end(config=config, config_name=name)


def show_hydra(arguments: Namespace, parser: ArgumentParser, config_name: str, overrides: Sequence[str]) -> None:
    """Print the output of ``--cfg``, ``--info``, ``--hydra-help`` or completion; Hydra must be ready."""
    hydra, overrides = _hydra(), list(overrides)
    if arguments.cfg:
        hydra.show_cfg(config_name, overrides, arguments.cfg, arguments.package, arguments.resolve)
    elif arguments.info:
        hydra.show_info(arguments.info, config_name, overrides)
    elif arguments.hydra_help:
        hydra.hydra_help(config_name, args_parser=parser, args=arguments)
    else:
        hydra.shell_completion(config_name, overrides)
