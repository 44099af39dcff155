"""``invlearn train``: compose a config, check it, and train."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from invlearn.config import as_plain
from invlearn.config.compose import compose, compose_sweep, conf_dir
from invlearn.errors import UserError, silence_output
from invlearn.runs.directory import RunDirectory, check_writable
from invlearn.runs.train import train

if TYPE_CHECKING:
    from invlearn.training.experiment import Experiment

# Hydra and torch are imported where they are used: help and completion must answer at once.

__all__ = ["check", "main", "report"]


def main(argv: list[str]) -> int:
    """Run ``invlearn train`` with Hydra's command line: overrides, ``-m``, ``--cfg job``, ``--config-dir`` and so on.

    Everything a user can get wrong is found here, before Hydra creates a folder.
    """
    arguments = [word for word in argv if word != "--dry-run"]
    args = _parser().parse_intermixed_args(arguments)
    if args.help:
        from invlearn.cli.help import train_help

        print(train_help())
        return 0
    if args.shell_completion or args.hydra_help:
        return _run_hydra(arguments, args.overrides)
    if args.config_path:
        raise UserError("--config-path would replace invlearn's own config; --config-dir DIR adds to it")
    if any(word.startswith("hydra/sweeper=") for word in args.overrides):
        raise UserError("hydra/sweeper: sweeps here are grids of given values; other sweepers are not supported")
    options = {"config_dir": args.config_dir, "config_name": args.config_name or "train"}
    if args.cfg and args.multirun:
        raise UserError("--cfg shows the config of one run; leave out -m")
    sweep = compose_sweep(args.overrides, **options) if args.multirun else None
    config = sweep.config if sweep else compose(args.overrides, **options)
    if args.cfg or args.info:
        return _run_hydra(arguments, args.overrides)
    if sweep is None and "grid" in config:
        raise UserError("a grid holds many runs; add -m")
    runs = [(job.config, job.folder) for job in sweep.jobs] if sweep else [(config, _run_folder(config))]
    checked = [check(*run, elsewhere=sweep is not None and sweep.is_queued) for run in runs]
    if len(arguments) < len(argv):
        from invlearn.cli.plan import describe_runs

        print(describe_runs([(folder, experiment) for (_, folder), (experiment, _) in zip(runs, checked, strict=True)]))
        return 0
    _report_data([experiment for experiment, finished in checked if not finished])
    if sweep:
        from invlearn.sweeps.run import run_sweep

        return run_sweep(sweep, checked)
    if checked[0][1]:
        directory = RunDirectory(runs[0][1])
        print(f"{directory} is finished; nothing to do")
        train(config, directory.path)  # draws the curves, should they be missing
        report(directory)
        return 0
    return _run_hydra(arguments, args.overrides)


def _report_data(experiments: Sequence[Experiment]) -> None:
    """Say what is in the user's own files before training on them."""
    reports = [getattr(experiment.dataset, "report", ()) for experiment in experiments]
    for line in dict.fromkeys(chain.from_iterable(reports)):
        _say(line)


def _say(line: str) -> None:
    """Print; if the reader of our output has gone, what is to be done is done all the same."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        silence_output()


def report(directory: RunDirectory) -> None:
    """Print what came out of a finished run."""
    from invlearn.cli.summary import summary

    print(summary(directory))


def check(config: DictConfig, folder: Path, *, elsewhere: bool = False) -> tuple[Experiment, bool]:
    """Check a run before anything is written: what it is, and whether it is already finished.

    Args:
        config: Its config.
        folder: Its run directory.
        elsewhere: Whether it will be trained on another machine, whose devices are not known here.

    Raises:
        UserError: Its config is wrong, or its folder holds another run or cannot be written to.
    """
    from invlearn.runs.session import is_finished
    from invlearn.training.experiment import Experiment, resolve_device
    from invlearn.training.fast import optimise_without_compiler

    optimise_without_compiler()
    experiment = Experiment.from_config(as_plain(config))
    if not elsewhere:
        resolve_device(experiment.settings.device)
    check_writable(folder)
    return experiment, is_finished(experiment, RunDirectory(folder))


def _run_folder(config: DictConfig) -> Path:
    try:
        return Path(config.hydra.run.dir)
    except OmegaConfBaseException as error:
        raise UserError(f"hydra.run.dir: {str(error).splitlines()[0]}") from error


def _run_hydra(arguments: list[str], overrides: list[str]) -> int:
    import hydra
    from hydra.core.hydra_config import HydraConfig

    finished: list[RunDirectory] = []
    errors: list[str] = []

    # Hydra would turn our errors into several lines and status 1, and would end a sweep at the first of them.
    @hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")
    def job(config: DictConfig) -> None:
        directory = RunDirectory(_from_here(Path(HydraConfig.get().runtime.output_dir)))
        try:
            _say(_what_starts(directory))
            train(config, directory.path)
            finished.append(directory)
        except UserError as error:
            errors.append(str(error))

    # Hydra wants all flags on one side of the overrides.
    sys.argv = [sys.argv[0], *(word for word in arguments if word not in overrides), *overrides]
    job()
    for directory in finished:
        report(directory)
    for error in errors:
        print(f"invlearn: {error}", file=sys.stderr)
    return 2 if errors else 0


def _what_starts(directory: RunDirectory) -> str:
    """That a run is trained, or from where it goes on."""
    from invlearn.training.checkpoint import load_checkpoint

    if directory.is_locked:
        return f"waiting for {directory}, which another process trains"
    if not directory.last_checkpoint.is_file():
        return f"training in {directory}"
    return f"continuing in {directory} after epoch {load_checkpoint(directory.last_checkpoint, 'cpu').get('epoch')}"


def _from_here(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _parser() -> ArgumentParser:
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()

    def error(message: str) -> NoReturn:
        raise UserError(f"train: {message}")

    parser.error = error
    return parser
