"""``invlearn train -m``: check every run of a sweep, then train the unfinished ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from invlearn.errors import DamagedError, ExtendedError
from invlearn.sweeps.plan import compose_sweep
from invlearn.system.output import say, show, warn

__all__ = ["sweep"]


def sweep(overrides: Sequence[str], *, config_dir: str | None, config_name: str, dry_run: bool) -> int:
    """Compose a sweep, check all its runs before anything is written, and run it.

    Returns:
        0; 1 if runs failed, were not started, or left out because their files are damaged.
    """
    planned = compose_sweep(overrides, config_dir=config_dir, config_name=config_name)

    from invlearn.config import as_plain
    from invlearn.files import prepare
    from invlearn.runs.checking import check_run
    from invlearn.runs.directory import RunDirectory
    from invlearn.training.internals import optimise_without_compiler

    optimise_without_compiler()
    options = {"elsewhere": planned.is_queued, "prepare": _remembering(prepare)}
    jobs, checked, damaged = [], [], []
    for job in planned.jobs:
        try:
            checked.append(check_run(as_plain(job.config), RunDirectory(job.folder), **options))
            jobs.append(job)
        except ExtendedError as error:  # it has more epochs than the sweep asks for
            warn(f"not changed: {error}")
        except DamagedError as error:  # does not affect the others
            damaged.append(error)
    planned = replace(planned, jobs=jobs)
    for error in damaged:
        warn(f"left out: {error}")
    if not jobs:
        return 1 if damaged else 0
    if dry_run:
        from invlearn.cli.plan import describe_runs

        show(describe_runs([(job.folder, run) for job, (run, _) in zip(planned.jobs, checked, strict=True)]))
        return 1 if damaged else 0
    say(dict.fromkeys(line for run, finished in checked if not finished for line in run.data.report))

    from invlearn.sweeps.run import run_sweep

    status = run_sweep(planned, [(run.without_data(), finished) for run, finished in checked])
    return 1 if damaged else status


def _remembering(prepare: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Keep the last file open, because consecutive runs of a sweep often use the same."""
    last: list[tuple[Any, Any]] = []

    def prepared(spec: Any) -> Any:
        if not last or last[0][0] != spec:
            last[:] = [(spec, prepare(spec))]
        return last[0][1]

    return prepared
