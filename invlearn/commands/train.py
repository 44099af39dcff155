"""``invlearn train``: compose a config, check it, and train."""

from __future__ import annotations

import io
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from omegaconf import DictConfig

from invlearn.config import as_plain, compose, conf_dir
from invlearn.errors import UserError
from invlearn.runs import RunDirectory, check_writable, write_atomically

if TYPE_CHECKING:
    from invlearn.training.experiment import Experiment
    from invlearn.training.trained import TrainedRun

# Hydra and torch are imported where they are used: help and completion must answer at once.

__all__ = ["main", "train"]


def train(config: DictConfig | Mapping[str, Any] | Sequence[str] = (), run_dir: str | Path | None = None) -> TrainedRun:
    """Train a run, or continue or extend the one that is already in ``run_dir``.

    Args:
        config: Overrides as on the command line, ``["dataset=twopart", "seed=3"]``, or a whole config.
        run_dir: The run directory; by default a new one under ``outputs/runs``, named by date and time.

    Returns:
        The trained run.

    Raises:
        UserError: The config is wrong, or ``run_dir`` holds another run.
    """
    from invlearn.training.experiment import Experiment
    from invlearn.training.run import run_experiment
    from invlearn.training.trained import load_run

    if not isinstance(config, Mapping | DictConfig):
        config = compose(list(config))
    experiment = Experiment.from_config(as_plain(config))
    directory = RunDirectory(run_dir or Path("outputs/runs") / datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f"))
    check_writable(directory.path)
    run_experiment(experiment, directory)
    draw_curves(directory)
    return load_run(directory.path)


def draw_curves(directory: RunDirectory) -> None:
    """Draw curves.png from metrics.csv, unless it is there already and newer."""
    from invlearn.plotting import plot_curves

    table = directory.path / "metrics.csv"
    if directory.curves.exists() and directory.curves.stat().st_mtime >= table.stat().st_mtime:
        return
    image = io.BytesIO()
    plot_curves(directory.metrics(), directory.title()).savefig(image, format="png")
    write_atomically(directory.curves, image.getvalue())


def main(argv: list[str]) -> int:
    """Run ``invlearn train`` with Hydra's command line: overrides, ``-m``, ``--cfg job``, ``--config-dir`` and so on.

    Everything a user can get wrong is found here, before Hydra creates a folder.
    """
    arguments = [word for word in argv if word != "--dry-run"]
    args = _parser().parse_intermixed_args(arguments)
    if args.help:
        from invlearn.commands.help import train_help

        print(train_help())
        return 0
    if not (args.cfg or args.info or args.shell_completion or args.hydra_help):
        experiments = _check(args.overrides, args.config_dir, args.config_name or "train", sweep=args.multirun)
        if len(arguments) < len(argv):
            from invlearn.commands.plan import describe

            print(describe([experiment for experiment, _ in experiments]))
            return 0
        if not args.multirun and (directory := _finished(*experiments[0])):
            print(f"{directory} is finished; nothing to do")
            _print_summary(directory)
            return 0
    # Hydra wants all flags on one side of the overrides.
    sys.argv = [sys.argv[0], *(word for word in arguments if word not in args.overrides), *args.overrides]
    _run_hydra()
    return 0


def _check(
    overrides: list[str], config_dir: str | None, config_name: str, *, sweep: bool
) -> list[tuple[Experiment, RunDirectory]]:
    """Compose and check every job of a command, with the folder each would write to."""
    from invlearn.training.experiment import Experiment, resolve_device

    checked = []
    for job in _jobs(overrides) if sweep else [overrides]:
        config = compose(job, config_dir=config_dir, config_name=config_name)
        experiment = Experiment.from_config(as_plain(config))
        resolve_device(experiment.settings.device)
        folder = config.hydra.sweep.dir if sweep else config.hydra.run.dir
        check_writable(Path(folder))
        checked.append((experiment, RunDirectory(folder)))
    return checked


def _jobs(overrides: list[str]) -> list[list[str]]:
    """The overrides of each job of a sweep, as Hydra's own sweeper splits them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    compose(overrides=[override for override in overrides if "=" not in override])  # names what is no override
    parsed = OverridesParser.create().parse_overrides(overrides)
    return [list(job) for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]


def _finished(experiment: Experiment, directory: RunDirectory) -> RunDirectory | None:
    from invlearn.training.run import is_finished

    return directory if is_finished(experiment, directory) else None


def _run_hydra() -> None:
    import hydra
    from hydra.core.hydra_config import HydraConfig

    @hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")
    def job(config: DictConfig) -> None:
        directory = RunDirectory(HydraConfig.get().runtime.output_dir)
        try:
            train(config, directory.path)
        except UserError as error:  # Hydra would print several lines and end with status 1
            print(f"invlearn: {error}", file=sys.stderr)
            sys.exit(2)
        _print_summary(directory)

    job()


def _print_summary(directory: RunDirectory) -> None:
    from invlearn.commands.summary import summary

    print(summary(directory))


def _parser() -> ArgumentParser:
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()

    def error(message: str) -> NoReturn:
        raise UserError(message)

    parser.error = error
    return parser
