"""``invlearn resume RUN``: continue an unfinished run with its own config."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from invlearn.runs import RunDirectory

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Continue the run to its end; say so if there is nothing left to do."""
    parser = ArgumentParser(prog="invlearn resume", description="Continue an unfinished run with its own config.")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory, as in outputs/runs/...")
    directory = RunDirectory(parser.parse_args(argv).run)
    config = directory.config()

    from invlearn.commands.summary import summary
    from invlearn.commands.train import train
    from invlearn.training.experiment import Experiment
    from invlearn.training.run import is_finished

    if is_finished(Experiment.from_config(config), directory):
        print(f"{directory} is finished; nothing to do")
    else:
        train(config, directory.path)
    print(summary(directory))
    return 0
