"""A choice among models: each is a run of its own, and the best becomes the run."""

from __future__ import annotations

from contextlib import suppress

from invlearn.errors import UserError
from invlearn.runs.checking import is_finished
from invlearn.runs.comparison import Comparison, Tell, Train
from invlearn.runs.directory import RunDirectory
from invlearn.runs.final import promote, trained_on_all
from invlearn.system.signals import asked_to_end, signals_deferred, signals_raise
from invlearn.system.storage import check_writable
from invlearn.training.choice import Choice

__all__ = ["choose"]


def choose(choice: Choice, directory: RunDirectory, train: Train, tell: Tell = lambda lines: None) -> None:
    """Train each model of a choice in a folder of its own, and make the best one the run.

    Models trained before an interruption are kept, and their time counts.

    Args:
        choice: The models.
        directory: Directory of the run; the models stay in its folder ``candidates``.
        train: Trains one model.
        tell: Prints lines.

    Raises:
        UserError: The directory holds another run, or none of the models can be trained.
        BusyError: Another process is choosing.
    """
    if is_finished(choice, directory):
        return
    check_writable(directory.path)
    comparison = Comparison(choice, directory, train, tell)
    _ = comparison.parts  # a file that cannot be used, or divided, is found before anything is written
    directory.write_request(choice.config)
    with directory.locked(), signals_raise():
        if is_finished(choice, directory):  # by the process that held the lock until now
            return
        directory.remove_leftovers()
        try:
            _set_status(directory, "running")
            best = comparison.best()
            if choice.named.whole:
                source = trained_on_all(comparison, best)
            else:
                source = comparison.run_of(best.name, comparison.parts[0].fold)
            promote(comparison, best, source)
        except BaseException as error:
            if asked_to_end(error):
                error.__notes__ = [f"continue with: invlearn resume {directory}"]  # not for a single model
                with signals_deferred():
                    _set_status(directory, "interrupted")
            raise


def _set_status(directory: RunDirectory, status: str) -> None:
    """Change the status in the record that a sweep has written; without a sweep there is none before the end."""
    with suppress(UserError):
        directory.write_record({**directory.record(), "status": status})
