"""``invlearn train``: compose a config, check it, and train."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from invlearn.config import as_plain
from invlearn.config.auto import with_default_model
from invlearn.config.compose import compose_one, errors_explained, readable, searching
from invlearn.config.hydra import argument_parser, hydra_ready, run_in_folder, show_hydra
from invlearn.errors import DamagedError, UserError
from invlearn.runs.directory import RunDirectory
from invlearn.system.output import say, show
from invlearn.system.processes import follow, joined, launched, speaks

if TYPE_CHECKING:
    from invlearn.nn import Gaps
    from invlearn.training.choice import Choice
    from invlearn.training.experiment import Experiment

# torch is imported where it is used, because help and completion must be fast.

__all__ = ["main", "report"]


def main(argv: list[str]) -> int:
    """Run ``invlearn train`` with Hydra's command line: overrides, ``-m``, ``--cfg job``, ``--config-dir`` and so on.

    Everything a user can get wrong is found here, before Hydra creates a folder.
    """
    parser = _parser()
    words = [word for word in argv if word != "--dry-run"]
    args = parser.parse_intermixed_args(words)
    dry_run = len(words) < len(argv)
    if args.help:
        from invlearn.cli.help import train_help

        _ = searching(args.config_dir)  # which refuses what is no folder
        show(train_help(args.config_dir))
        return 0
    if args.config_path:
        raise UserError("--config-path would replace invlearn's own config; --config-dir DIR adds to it")
    if any(word.startswith("hydra/sweeper=") for word in args.overrides):
        raise UserError("hydra/sweeper: only grid sweeps are supported")
    if args.cfg and args.multirun:
        raise UserError("--cfg shows the config of one run; leave out -m")
    options = {"config_dir": args.config_dir, "config_name": args.config_name or "train"}
    if args.cfg or args.info or args.shell_completion or args.hydra_help:
        overrides = [*searching(args.config_dir), *with_default_model(readable(args.overrides))]
        with hydra_ready(), errors_explained(args.overrides, args.config_dir):
            show_hydra(args, parser, options["config_name"], overrides)
        return 0
    if args.multirun:
        if launched() > 1:
            raise UserError("torchrun shares one run among processes; leave out -m")
        from invlearn.cli.sweep import sweep

        return sweep(args.overrides, **options, dry_run=dry_run)
    with hydra_ready():
        config = compose_one(args.overrides, **options)
        if "grid" in config:
            raise UserError("a grid has many runs; add -m")
        return _train(config, dry_run=dry_run)


def _train(config: DictConfig, *, dry_run: bool) -> int:
    with joined():
        return _lead(config, dry_run=dry_run) if speaks() else _follow()


def _follow() -> int:
    """The work of every process but the first: only its part of the computation."""
    from invlearn.files import prepare
    from invlearn.training.device import resolve_device
    from invlearn.training.experiment import Experiment
    from invlearn.training.learner import learn

    def prepared(task: tuple[Mapping[str, Any], Gaps | None]) -> Callable[[], object]:
        config, gaps = task  # as resolved and fitted by the first process
        experiment = Experiment.from_config(config)
        resolve_device(experiment.settings.device)
        return partial(learn, experiment.on(prepare(experiment.spec, gaps=gaps)))

    return 0 if follow(prepared) else 2


def _check_shared(experiment: Experiment | Choice) -> None:
    if launched() > 1 and not experiment.solver:
        raise UserError("torchrun: only closed forms are shared among processes; train networks without it")


def _lead(config: DictConfig, *, dry_run: bool) -> int:
    directory = RunDirectory(_folder(config))
    from invlearn.runs.checking import check_run
    from invlearn.training.internals import optimise_without_compiler

    optimise_without_compiler()
    experiment, finished = check_run(as_plain(config), directory)
    _check_shared(experiment)
    if dry_run:
        from invlearn.cli.plan import describe_runs

        show(describe_runs([(directory.path, experiment)]))
        return 0
    from invlearn.runs.train import train_experiment

    if finished:
        say([f"{directory} is finished; nothing to do"])
        train_experiment(experiment, directory)  # draws missing curves
    else:
        say(experiment.report)
        say([_what_starts(directory)])
        directory.part_hard_links()
        run_in_folder(config, partial(train_experiment, experiment, directory, say))
    report(directory)
    return 0


def report(directory: RunDirectory) -> None:
    """Print the results of a finished run."""
    from invlearn.runs.summary import summary

    say([summary(directory)])


def _folder(config: DictConfig) -> Path:
    try:
        return Path(config.hydra.run.dir)
    except OmegaConfBaseException as error:
        raise UserError(f"hydra.run.dir: {str(error).splitlines()[0]}") from error


def _what_starts(directory: RunDirectory) -> str:
    """A line that a run starts, or from where it continues."""
    from invlearn.runs.checkpoint import load_checkpoint
    from invlearn.runs.layout import LAST

    if directory.is_locked:
        return f"waiting for {directory}, which another process trains"
    if not directory.last_checkpoint.is_file():
        return f"training in {directory}"
    try:
        return f"continuing in {directory} after epoch {load_checkpoint(directory, LAST, 'cpu').get('epoch')}"
    except DamagedError:  # training reports the details
        return f"continuing in {directory}"


def _parser() -> ArgumentParser:
    parser = argument_parser()
    parser.allow_abbrev = False

    def error(message: str) -> NoReturn:
        raise UserError(f"train: {message}")

    parser.error = error
    return parser
