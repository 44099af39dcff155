"""The argument parser of the subcommands."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from invlearn.errors import UserError

if TYPE_CHECKING:
    from invlearn.runs.trained import TrainedRun

__all__ = ["Parser"]


class Parser(ArgumentParser):
    """An ArgumentParser whose errors are one line, like all others."""

    def add_run(self) -> None:
        """Add the run that a command works on, and whose code its config may name."""
        self.add_argument("run", type=Path, metavar="RUN", help="a run directory, as in outputs/runs/...")
        self.add_argument(
            "--trust",
            action="append",
            default=[],
            metavar="NAME",
            help="a class or package of your own that the run's config may name, and whose code may run",
        )

    def load(self, arguments: Namespace) -> TrainedRun:
        """The run of parsed arguments."""
        from invlearn.runs.trained import load_run
        from invlearn.training.fast import optimise_without_compiler

        optimise_without_compiler()
        run = load_run(arguments.run, device=getattr(arguments, "device", "cpu"), trust=arguments.trust)
        if unfinished := run.directory.unfinished():
            print(f"invlearn: {run.directory} {unfinished}; this is its best epoch so far", file=sys.stderr)
        return run

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{self.prog.removeprefix('invlearn ')}: {message}")
