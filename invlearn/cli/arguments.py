"""The argument parser of the subcommands."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from invlearn.errors import UserError, nearest
from invlearn.runs.directory import RunDirectory
from invlearn.system.output import show, warn

if TYPE_CHECKING:
    import pandas as pd

    from invlearn.inference import Decision, Rule
    from invlearn.runs.trained import TrainedRun

__all__ = [
    "Parser",
    "names_or_prefix",
    "noting_replacement",
    "output_table",
    "rule_of",
    "shape",
    "warn_of_errors",
    "what_limits",
]


def names_or_prefix(value: str) -> str | list[str]:
    """The value of ``--features``: comma-separated names, or a prefix."""
    return value.split(",") if "," in value else value


def shape(value: str) -> tuple[int, int]:
    """Rows and columns, written as 28x28."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", value)
    if found is None:
        raise ArgumentTypeError(f"write it as 28x28, got {value}")
    return int(found[1]), int(found[2])


def rule_of(arguments: Namespace) -> Rule:
    """The rule given by the options of ``add_rule``."""
    from invlearn.inference import Rule

    return Rule(arguments.fpr, arguments.fnr, arguments.cost, arguments.threshold, arguments.prior)


def what_limits(decision: Decision, arguments: Namespace) -> Iterator[str]:
    """A line where the threshold is smaller than ``--fpr`` allows."""
    if decision.chosen and decision.chosen.is_capped:
        yield (
            f"--fpr {arguments.fpr:g} allows a larger distance, but beyond this one, "
            "distances are more frequent between entities than within them"
        )


def warn_of_errors(right: float, found: str) -> None:
    """Warn where most of what is found is expected to be wrong.

    Args:
        right: The share that is expected to be right.
        found: What is found, such as matches.
    """
    if right < 0.5:
        warn(f"most {found} are expected to be wrong; use a smaller --fpr, or a --cost of at least 1")


class Parser(ArgumentParser):
    """An ArgumentParser that takes no abbreviations, and whose errors are one line, like all others."""

    def __init__(self, *, prog: str, description: str):
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self._writes_table = False

    def add_run(self) -> None:
        """Add the run that a command uses, and the option to trust code that its config names."""
        self.add_argument("run", type=Path, metavar="RUN", help="a run directory, as in outputs/runs/...")
        self.add_argument(
            "--trust",
            action="append",
            default=[],
            metavar="NAME",
            help="a class or package of your own that the run's config may name, and whose code may run",
        )

    def add_encoding(self) -> None:
        """Add the options of commands that encode files."""
        self.add_argument(
            "--features",
            type=names_or_prefix,
            metavar="COLUMNS",
            help="comma-separated names, or a prefix; by default as in training",
        )
        self.add_argument(
            "--drop-missing",
            action="store_true",
            help="leave out rows with a missing value instead of filling it",
        )
        self.add_argument(
            "--replica", type=int, help="replica that encodes; by default the one with the lowest validation loss"
        )
        self.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")

    def add_output(self) -> None:
        """Add the options of what is written as a table."""
        self._writes_table = True
        self.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="CSV or Parquet")
        self.add_argument(
            "--escape-formulas",
            action="store_true",
            help="write ' before cells that a spreadsheet would take for a formula (they begin with =, +, - or @)",
        )

    def add_rule(self, rows: str, *, fpr: float = 0.01) -> None:
        """Add the options that say when two rows count as the same entity.

        Args:
            rows: Word for the rows.
            fpr: Default of ``--fpr``.
        """
        rule = self.add_mutually_exclusive_group()
        rule.add_argument(
            "--fpr",
            type=float,
            default=fpr,
            help=f"largest acceptable share of false matches among {rows} without a partner, or among different pairs; "
            f"above 0 and below 1 ({fpr:g})",
        )
        rule.add_argument(
            "--fnr", type=float, help="share of partners that may be missed, above 0 and below 1; instead of --fpr"
        )
        rule.add_argument(
            "--cost", type=float, help="cost of a false match if a missed partner costs 1, above 0; instead of --fpr"
        )
        rule.add_argument(
            "--threshold", type=float, help="code distance below which rows are the same, above 0; instead of --fpr"
        )
        self.add_prior(rows)

    def add_prior(self, rows: str) -> None:
        """Add the option of how many rows have a partner.

        Args:
            rows: What the rows are called.
        """
        self.add_argument(
            "--prior",
            type=float,
            help=f"share of the {rows} that have a partner, above 0 and at most 1; estimated by default",
        )

    def load(self, arguments: Namespace) -> TrainedRun:
        """The run of parsed arguments.

        Raises:
            UserError: It cannot be loaded, or the output is a table in an unknown format.
        """
        RunDirectory(arguments.run).config()  # says what is wrong before torch is loaded

        from invlearn.files import written_as
        from invlearn.runs.trained import load_run
        from invlearn.training.internals import optimise_without_compiler

        if self._writes_table:
            written_as(arguments.output)
        optimise_without_compiler()
        run = load_run(arguments.run, device=getattr(arguments, "device", "cpu"), trust=arguments.trust)
        if unfinished := run.directory.unfinished():
            warn(f"{run.directory} {unfinished}; this is its best epoch so far")
        return run

    def print_help(self, file: object = None) -> None:
        """Print the help like all other output."""
        show(self.format_help())

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting.

        Raises:
            UserError: Always.
        """
        options = [option for option in self._option_string_actions if option.startswith("--")]
        unknown = [word for word in message.split() if word.startswith("--") and word.rstrip(":") not in options]
        hint = nearest(unknown[0], options) if unknown else ""
        raise UserError(f"{self.prog.removeprefix('invlearn ')}: {message}{hint}")


@contextmanager
def noting_replacement(output: Path) -> Iterator[None]:
    """Print a line at the end if an existing file was replaced."""
    was_there = output.exists()
    yield
    if was_there:
        warn(f"{output} existed and was replaced")


@contextmanager
def output_table(arguments: Namespace) -> Iterator[Callable[[pd.DataFrame], None]]:
    """The table that the options of ``add_output`` name, open for writing."""
    from invlearn.files import table_writer

    options = {"escape_formulas": arguments.escape_formulas}
    with noting_replacement(arguments.output), table_writer(arguments.output, **options) as append:
        yield append
