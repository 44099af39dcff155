"""The command line: finds the subcommand and turns errors into one line and a status. Imports no torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from invlearn.errors import Terminated, UserError, nearest, silence_output

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "train": "train a run: invlearn train dataset=twopart model=extended",
    "resume": "continue an unfinished run: invlearn resume RUN",
    "evaluate": "measure a trained run anew on its test data: invlearn evaluate RUN",
    "embed": "codes of the rows of a file: invlearn embed RUN new.csv -o codes.parquet",
    "match": "same or not, for two files: invlearn match RUN a.csv b.csv -o matches.csv",
    "export": "the encoder in one file: invlearn export RUN --format onnx",
    "figure": "draw a figure of the paper from finished runs: invlearn figure fig3 --preset quick",
    "claims": "the paper's claims beside the numbers of finished runs: invlearn claims --preset quick",
    "results": "one table of many runs, means over seeds: invlearn results outputs/sweeps/depths",
}
"""Each subcommand with a line of help; its code is ``invlearn.cli.<name>.main``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0; 2 for user errors, after one line on stderr; 130 after Ctrl-C; 143 after SIGTERM.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except UserError as error:
        print(f"invlearn: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Terminated) as stop:
        print("; ".join(["invlearn: interrupted", *getattr(stop, "__notes__", ())]), file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    except BrokenPipeError:
        silence_output()
        return 0


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"invlearn {version('invlearn')}")
        return 0
    if words[0] in ("-sc", "--shell-completion"):
        return _complete(words)
    if words[0] not in COMMANDS:
        raise UserError(f"{words[0]}: there is no such command{nearest(words[0], COMMANDS)}")
    return import_module(f"invlearn.cli.{words[0]}").main(words[1:])


def _usage() -> str:
    commands = "\n".join(f"  {name:10} {text}" for name, text in COMMANDS.items())
    return (
        "invlearn learns invariances from pairs of samples.\n\n"
        f"usage: invlearn COMMAND ...\n\n{commands}\n\n"
        "  invlearn COMMAND --help     more about a command\n"
        "  invlearn --version\n"
        '  eval "$(invlearn -sc install=bash)"     completion of commands, groups and keys'
    )


def _complete(words: list[str]) -> int:
    """Answer bash's completion: ours for the subcommand, Hydra's for what follows ``train``.

    Hydra's completer is called with the line in COMP_LINE and knows of no subcommands, so ours is taken out of it.
    """
    line = os.environ.get("COMP_LINE")
    if line is None:  # installing
        return import_module("invlearn.cli.train").main(words)
    program, _, rest = line.partition(" ")
    typed = rest.split()
    if not typed or (len(typed) == 1 and not line.endswith(" ")):
        print(" ".join(COMMANDS))
        return 0
    if typed[0] == "train" and not rest.rpartition(" ")[2].startswith("-"):  # Hydra's completer fails on flags
        os.environ["COMP_LINE"] = f"{program}{rest.lstrip().removeprefix('train')}"
        return import_module("invlearn.cli.train").main(words)
    return 0
