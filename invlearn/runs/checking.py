"""Check what a command would do to a run directory, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from invlearn.config import GROUPS, SCALE, differences, listed
from invlearn.config.migrate import migrated
from invlearn.errors import DamagedError, ExtendedError, UserError
from invlearn.files import prepare
from invlearn.runs.checkpoint import config_in, load_checkpoint
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST, LAST
from invlearn.system.storage import check_writable
from invlearn.training.choice import Choice, plan
from invlearn.training.device import resolve_device
from invlearn.training.experiment import Experiment
from invlearn.training.parts import Prepare

__all__ = ["as_started", "check_run", "is_finished", "refuse_another"]


def check_run(
    config: Mapping[str, Any], directory: RunDirectory, *, elsewhere: bool = False, prepare: Prepare = prepare
) -> tuple[Experiment | Choice, bool]:
    """Build a run and find out whether it is already finished, before anything is written.

    Args:
        config: Its config, plain.
        directory: Its run directory.
        elsewhere: Whether it will be trained on another machine, whose devices are not known here.
        prepare: Opens files; it may share one among several runs.

    Raises:
        UserError: Its config is wrong, or its folder holds another run or cannot be written to.
    """
    experiment = plan(config, prepare=prepare)
    if not elsewhere:
        resolve_device(experiment.settings.device)
    check_writable(directory.path)
    return experiment, is_finished(experiment, directory)


def is_finished(experiment: Experiment | Choice, directory: RunDirectory) -> bool:
    """Whether a directory already holds the whole run; False if it is new or can be continued. Touches nothing.

    Raises:
        UserError: It holds a run of another config, files that are not a run, or a finished run that cannot be
            extended.
    """
    if not directory.path.exists():
        return False
    if not directory.path.is_dir():
        raise UserError(f"{directory} is not a folder")
    if isinstance(experiment, Choice):
        return _is_chosen(experiment, directory)
    if not directory.exists:
        if directory.has_checkpoint:
            directory.read()  # raises an error that says what is gone, and how to rewrite it
        ours = ("config.yaml", "run.json", "train.log")  # a run that was stopped before both files were written
        if any(entry.name not in ours and entry.name[0] != "." for entry in directory.path.iterdir()):
            raise UserError(f"{directory} has other files and no run; choose another hydra.run.dir")
        return False
    directory.check_links()
    record = directory.record()
    stored = _trained_with(directory)
    experiment = _lasting(experiment, stored)
    refuse_another(experiment, stored, str(directory))
    if record["status"] != "completed":
        if directory.best_checkpoint.is_file() and not directory.last_checkpoint.is_file():
            raise DamagedError(
                f"{directory} cannot be continued: its {LAST} is gone; move {BEST} away to train from the start"
            )
        return False
    finished = record.get("epochs") == experiment.epochs
    if finished:
        _check_best(directory)
    if not finished and directory.request() is not None:
        raise UserError(
            f"{directory} is the best of several models and cannot be extended; train that model alone: "
            f"model=NAME and trainer.epochs={experiment.epochs} with another hydra.run.dir"
        )
    if not finished and not directory.last_checkpoint.is_file():
        raise DamagedError(f"{directory} is finished and cannot be extended: its {LAST} is gone")
    return finished


def _is_chosen(choice: Choice, directory: RunDirectory) -> bool:
    stored = directory.request()
    if stored is None:
        if directory.exists:
            model = directory.config()["model"]["_target_"].rpartition(".")[2]
            raise UserError(f"{directory} has a run of {model} alone; choose another hydra.run.dir")
        if any(entry.name[0] != "." for entry in directory.path.iterdir()):
            raise UserError(f"{directory} has other files and no run; choose another hydra.run.dir")
        return False
    directory.check_links()
    refuse_another(choice, stored, str(directory))
    finished = directory.exists and directory.unfinished() is None
    if finished:
        _check_best(directory)
    return finished


def _check_best(directory: RunDirectory) -> None:
    """Raise an error that says what to do if a finished run has lost its parameters."""
    try:
        load_checkpoint(directory, BEST, "cpu")
    except DamagedError as error:
        raise DamagedError(f"{error}{directory.way_out(BEST)}") from error


def as_started(experiment: Experiment, directory: RunDirectory) -> Experiment:
    """The same with the number of epochs that ``trainer.minutes`` gave when the run was started.

    Raises:
        DamagedError: Its config cannot be read.
    """
    if experiment.trainer.minutes is None or not directory.exists:
        return experiment
    return _lasting(experiment, _trained_with(directory))


def _lasting(experiment: Experiment, stored: Mapping[str, Any]) -> Experiment:
    """The same with the number of epochs of a stored config, if ``trainer.minutes`` may have lowered it."""
    minutes, trainer = experiment.trainer.minutes, stored.get("trainer", {})
    if minutes is None:
        return experiment
    epochs = trainer.get("epochs")
    is_same = trainer.get("minutes") == minutes and isinstance(epochs, int) and epochs < experiment.epochs
    return experiment.lasting(epochs) if is_same else experiment


def _trained_with(directory: RunDirectory) -> dict[str, Any]:
    """The config of a run; one that is being extended has the earlier config until it has trained an epoch.

    Raises:
        DamagedError: It cannot be read.
    """
    stored, record = directory.read()
    if record["status"] == "completed":
        return stored
    with suppress(DamagedError):  # training reports it
        return migrated(config_in(load_checkpoint(directory, LAST, "cpu")) or stored)
    return stored


def refuse_another(experiment: Experiment | Choice, stored: Mapping[str, Any], where: str) -> None:
    """Refuse to continue a run of another config.

    Args:
        experiment: The experiment.
        stored: The stored config.
        where: The directory or file of the stored config.

    Raises:
        ExtendedError: The stored config only has more epochs, or no time limit.
        UserError: The configs differ; it names the keys.
    """
    config = experiment.config
    changed = differences(stored, config, experiment.at_default)
    epochs = stored.get("trainer", {}).get("epochs")
    if isinstance(experiment, Experiment) and isinstance(epochs, int):
        limit, wanted = changed.get("trainer.minutes", (None, None))
        if wanted is None:
            changed.pop("trainer.minutes", None)  # without a limit, only the epochs count
        is_longer = {
            "trainer.epochs": epochs > experiment.epochs,
            "trainer.minutes": limit is None and wanted is not None,
        }
        if any(is_longer.values()) and changed.keys() <= is_longer.keys():
            longer = {key: pair for key, pair in changed.items() if is_longer[key]}
            raise ExtendedError(f"{where} was trained for longer: {listed(longer, 'there', 'here')}")
        if epochs < experiment.epochs:
            changed.pop("trainer.epochs", None)  # a larger number extends the run
    path = config["dataset"].get("path")
    if "dataset.fingerprint" in changed and stored["dataset"].get("path") == path:
        raise UserError(f"{path} has changed since the run in {where} was started; choose another hydra.run.dir")
    if "dataset.fingerprint" in changed and "dataset._target_" not in changed:
        files = f"{stored['dataset'].get('path')} there, {path} here"
        raise UserError(f"{where} has a run of another file: {files}; choose another hydra.run.dir")
    if "dataset._target_" not in changed:
        for key in SCALE:
            if key in changed and ("dataset.fingerprint" in changed or _alike(*changed[key])):
                del changed[key]
    for group in GROUPS:  # another class has other keys
        if (name := f"{group}._target_") in changed:
            changed = {key: pair for key, pair in changed.items() if key == name or not key.startswith(f"{group}.")}
    if changed:
        raise UserError(f"{where} has a run of another config: {listed(changed, 'there', 'here')}")


def _alike(old: Any, new: Any) -> bool:
    """Whether two scales differ at most in their last digits."""
    return np.shape(old) == np.shape(new) and np.allclose(old, new, rtol=1e-6, atol=0)
