"""The command line: finds the subcommand and turns errors into one line and a status. Imports no torch."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from invlearn.errors import Terminated, UserError, io_problem, nearest
from invlearn.system.garbage import collect_less
from invlearn.system.output import has_reader, open_streams, show, silence, warn
from invlearn.system.processes import launched, speaks
from invlearn.system.signals import signals_raise

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "train": "train a run: invlearn train dataset=twopart model=extended",
    "resume": "continue an unfinished run: invlearn resume RUN",
    "evaluate": "measure a trained run on its test data or on a file: invlearn evaluate RUN",
    "embed": "codes of the rows of a file: invlearn embed RUN new.csv -o codes.parquet",
    "match": "match the rows of two files, same or not: invlearn match RUN a.csv b.csv -o matches.csv",
    "cluster": "the entities of a file without labels: invlearn cluster RUN new.csv -o clusters.csv",
    "review": "list pairs worth a look, and use your answers: invlearn review RUN new.csv -o queue.csv",
    "export": "the encoder in one file: invlearn export RUN --format onnx",
    "report": "one page about a run, or a comparison of several: invlearn report RUN -o report.html",
    "audit": "what an encoder ignores, and what it is blind to: invlearn audit RUN",
    "figure": "draw a figure of the paper from finished runs: invlearn figure fig3 --preset quick",
    "claims": "check the paper's claims against finished runs: invlearn claims --preset quick",
    "results": "tabulate many runs, with means over seeds: invlearn results outputs/sweeps/depths",
}
"""Each subcommand with a line of help; its code is ``invlearn.cli.<name>.main``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0; 2 for user errors and system errors, after one line on stderr; 128 plus the number of a signal that ended it.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:  # else they are those of a calling program
        open_streams()
        collect_less()
        os.environ["MPLBACKEND"] = "agg"  # plots are files; the user's choice may not exist here
    try:
        with signals_raise():
            return _dispatch(words)
    except UserError as error:
        if speaks():
            warn(str(error))
        return 2
    except (KeyboardInterrupt, Terminated) as stop:
        if speaks():
            warn("; ".join(["interrupted", *getattr(stop, "__notes__", ())]))
        return 128 + (stop.number if isinstance(stop, Terminated) else signal.SIGINT)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and not has_reader(sys.stdout):
            silence(sys.stdout)
            return 0
        problem = _of_the_machine(error)
        if problem is None:
            raise
        warn(problem)
        return 2


NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "can't start new thread")
"""Messages of libraries, in errors without a class of their own, when the machine has no memory or processes left."""

OURS = frozenset({errno.EBADF, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST})
"""System errors that can only be bugs of invlearn."""


def _of_the_machine(error: Exception) -> str | None:
    """A problem of the machine, in one line; None for a bug."""
    if isinstance(error, UnicodeEncodeError):
        return (
            f"a name cannot be written in the encoding {error.encoding} of this terminal; PYTHONUTF8=1 makes it UTF-8"
        )
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, ImportError):
        message = " ".join(str(error).split())
        return f"out of memory: {message}" if "map segment" in message or "allocate memory" in message else None
    if isinstance(error, OSError):
        return io_problem(error) if error.errno not in OURS else None
    if isinstance(error, RuntimeError) and any(said in str(error) for said in NO_MEMORY):
        return f"out of memory: {str(error).strip().splitlines()[0]}"
    return None


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        show(_usage())
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        show(f"invlearn {version('invlearn')}")
        return 0
    if words[0] in ("-sc", "--shell-completion"):
        return _complete(words)
    if words[0] not in COMMANDS:
        raise UserError(f"{words[0]}: there is no such command{nearest(words[0], COMMANDS)}")
    if launched() > 1 and words[0] != "train":
        raise UserError(f"torchrun only works with train; start {words[0]} without it")
    try:
        os.getcwd()  # noqa: PTH109
    except OSError as error:
        raise UserError(f"the working directory cannot be used: {io_problem(error)}; change to another") from error
    return import_module(f"invlearn.cli.{words[0]}").main(words[1:])


def _usage() -> str:
    commands = "\n".join(f"  {name:10} {text}" for name, text in COMMANDS.items())
    return (
        "invlearn learns invariances from pairs of samples.\n\n"
        f"usage: invlearn COMMAND ...\n\n{commands}\n\n"
        "  invlearn COMMAND --help     help on a command\n"
        "  invlearn --version\n"
        '  eval "$(invlearn -sc install=bash)"     completion of commands, groups and keys'
    )


def _complete(words: list[str]) -> int:
    """Answer bash's completion: ours for the subcommand, Hydra's for the words after ``train``.

    Hydra's completer reads the line from COMP_LINE and has no subcommands, so ours is taken out of it.
    """
    line = os.environ.get("COMP_LINE")
    if line is None:  # installing
        return import_module("invlearn.cli.train").main(words)
    program, _, rest = line.partition(" ")
    typed = rest.split()
    if not typed or (len(typed) == 1 and not line.endswith(" ")):
        show(" ".join(COMMANDS))
        return 0
    if typed[0] == "train" and not rest.rpartition(" ")[2].startswith("-"):  # Hydra's completer fails on flags
        os.environ["COMP_LINE"] = f"{program}{rest.lstrip().removeprefix('train')}"
        return import_module("invlearn.cli.train").main(words)
    return 0
