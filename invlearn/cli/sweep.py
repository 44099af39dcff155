"""``invlearn train -m``: check every run of a sweep, then train the unfinished ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from invlearn.errors import DamagedError, ExtendedError
from invlearn.sweeps.plan import Job, Sweep, compose_sweep
from invlearn.system.output import say, show, warn

if TYPE_CHECKING:
    from invlearn.training.choice import Choice
    from invlearn.training.experiment import Experiment

__all__ = ["sweep"]


def sweep(overrides: Sequence[str], *, config_dir: str | None, config_name: str, dry_run: bool) -> int:
    """Compose a sweep, check all its runs before anything is written, and run it.

    Returns:
        0; 1 if runs failed, were not started, or left out because their files are damaged.
    """
    planned = compose_sweep(overrides, config_dir=config_dir, config_name=config_name)

    from invlearn.training.internals import optimise_without_compiler

    optimise_without_compiler()
    checked = _check(planned, keep_data=dry_run)
    status = 1 if checked.damaged else 0
    if not checked.jobs:
        return status
    if dry_run:
        from invlearn.cli.plan import describe_runs

        show(describe_runs([(job.folder, run) for job, (run, _) in zip(checked.jobs, checked.runs, strict=True)]))
        return status
    say(checked.report)

    from invlearn.sweeps.run import run_sweep

    return run_sweep(replace(planned, jobs=checked.jobs), checked.runs) or status


class _Checked(NamedTuple):
    """The runs of a sweep after their checks."""

    jobs: list[Job]
    """The runs, without those that are left out."""
    runs: list[tuple[Experiment | Choice, bool]]
    """The experiment of each, and whether it is finished."""
    report: dict[str, None]
    """Lines about the data of unfinished runs, in order."""
    damaged: list[DamagedError]
    """Why runs are left out."""


def _check(planned: Sweep, *, keep_data: bool) -> _Checked:
    """Check all runs, before anything is written; without ``keep_data`` only the data of one are in memory."""
    from invlearn.config import as_plain
    from invlearn.files import prepare
    from invlearn.runs.checking import check_run
    from invlearn.runs.directory import RunDirectory

    options = {"elsewhere": planned.is_queued, "prepare": _remembering(prepare)}
    checked = _Checked([], [], {}, [])
    for job in planned.jobs:
        try:
            run, finished = check_run(as_plain(job.config), RunDirectory(job.folder), **options)
        except ExtendedError as error:  # it has more epochs than the sweep asks for
            warn(f"not changed: {error}")
            continue
        except DamagedError as error:  # does not affect the others
            checked.damaged.append(error)
            continue
        if not keep_data:
            checked.report.update(dict.fromkeys(() if finished else run.report))
            run = run.without_data()
        checked.jobs.append(job)
        checked.runs.append((run, finished))
    for error in checked.damaged:
        warn(f"left out: {error}")
    return checked


def _remembering(prepare: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Keep the last file open, because consecutive runs of a sweep often use the same."""
    last: list[tuple[Any, Any]] = []

    def prepared(spec: Any) -> Any:
        if not last or last[0][0] != spec:
            last[:] = [(spec, prepare(spec))]
        return last[0][1]

    return prepared
