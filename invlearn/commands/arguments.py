"""The argument parser of the subcommands."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import NoReturn

from invlearn.errors import UserError

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

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{self.prog.removeprefix('invlearn ')}: {message}")
