"""The argument parser of the subcommands."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import NoReturn

from invlearn.errors import UserError

__all__ = ["Parser"]


class Parser(ArgumentParser):
    """An ArgumentParser whose errors are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{self.prog.removeprefix('invlearn ')}: {message}")
