"""``invlearn resume RUN``: continue an unfinished run, or extend a finished one, with its own config."""

from __future__ import annotations

from typing import Any

from invlearn.cli.arguments import Parser
from invlearn.errors import UserError
from invlearn.runs.directory import RunDirectory
from invlearn.system.output import say

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Continue the run to its end; say so if there is nothing left to do."""
    parser = Parser(
        prog="invlearn resume", description="Continue an unfinished run, or extend a finished one, with its own config."
    )
    parser.add_run()
    parser.add_argument("--epochs", type=int, metavar="N", help="train for N epochs in all, more than before")
    parser.add_argument("--device", help="continue on another device: auto, cpu, cuda or cuda:N")
    arguments = parser.parse_intermixed_args(argv)
    directory = RunDirectory(arguments.run)
    config = _config_of(directory)
    if arguments.device is not None:
        config["device"] = arguments.device
    if arguments.epochs is not None:
        if not config["trainer"]:
            joined = "members" in config["model"]
            kind = "joined codes, which have" if joined else "a closed form, which has"
            advice = "; with model.join=false, model=auto keeps a single model" if joined else ""
            raise UserError(f"--epochs: {directory} is of {kind} no epochs{advice}")
        config["trainer"] = {**config["trainer"], "epochs": arguments.epochs, "minutes": None}

    from invlearn.cli.train import report
    from invlearn.runs.checking import is_finished
    from invlearn.runs.train import train_experiment
    from invlearn.training.choice import plan
    from invlearn.training.internals import optimise_without_compiler

    optimise_without_compiler()
    experiment = plan(config, trust=arguments.trust)
    if is_finished(experiment, directory):
        say([f"{directory} is finished; nothing to do"])
    train_experiment(experiment, directory, say)
    report(directory)
    return 0


def _config_of(directory: RunDirectory) -> dict[str, Any]:
    """The config of a run, after mending its files; for an unfinished choice, the config of the choice."""
    if not directory.has_checkpoint and directory.request() is None:
        directory.config()  # reports errors before torch is loaded

    from invlearn.runs.mending import mend, reopen

    say(reopen(directory))
    request = directory.request()
    if request is not None and not (directory.exists and directory.unfinished() is None):
        return request
    say(mend(directory))
    return directory.config()
