"""A run from Python: ``invlearn train`` without its output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from invlearn.config import as_plain
from invlearn.config.compose import compose
from invlearn.errors import DamagedError, UserError
from invlearn.runs.directory import RunDirectory
from invlearn.system.output import warn

if TYPE_CHECKING:
    from invlearn.runs.trained import TrainedRun
    from invlearn.training.choice import Choice
    from invlearn.training.experiment import Experiment

__all__ = ["train", "train_experiment"]


def train(config: DictConfig | Mapping[str, Any] | Sequence[str] = (), run_dir: str | Path | None = None) -> TrainedRun:
    """Train a run, or continue or extend the one that is already in ``run_dir``.

    Args:
        config: Overrides as on the command line, ``["dataset=twopart", "seed=3"]``, or a whole config.
        run_dir: The run directory; by default ``hydra.run.dir``, a new folder under ``outputs/runs``.

    Returns:
        The trained run.

    Raises:
        UserError: The config is wrong, or ``run_dir`` holds another run.
    """
    from invlearn.runs.trained import load_run
    from invlearn.training.choice import plan

    if isinstance(config, str):
        raise UserError(f"overrides must be a list, as in ['dataset=twopart'], got {config!r}")
    if not isinstance(config, Mapping | DictConfig):
        config = compose(list(config))
    if run_dir is None:
        run_dir = OmegaConf.select(config, "hydra.run.dir") if isinstance(config, DictConfig) else None
    directory = RunDirectory(run_dir or compose().hydra.run.dir)
    experiment = plan(as_plain(config))
    train_experiment(experiment, directory)
    return load_run(directory.path, trust=experiment.targets)


def train_experiment(
    experiment: Experiment | Choice, directory: RunDirectory, tell: Callable[[Iterable[str]], None] = lambda lines: None
) -> None:
    """Train a checked experiment or choice, and draw its curves.

    Args:
        experiment: One experiment, or several to choose among.
        directory: Its run directory.
        tell: Prints the outcome of each candidate of a choice.

    Raises:
        UserError: The directory holds another run, every replica diverged, or no model can be trained.
    """
    from invlearn.runs.session import run_experiment
    from invlearn.training.choice import Choice

    if isinstance(experiment, Choice):
        from invlearn.runs.choosing import choose

        choose(experiment, directory, partial(run_experiment, compare=False), tell)
        return
    run_experiment(experiment, directory)
    if not directory.curves.exists():
        from invlearn.runs.drawn import draw_curves

        try:
            draw_curves(directory)
        except DamagedError as error:  # of a finished run, which does not need it
            warn(f"curves.png cannot be drawn: {error}")
