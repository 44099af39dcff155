"""``invlearn audit ENCODER [DATA]``: what an encoder ignores, and what it is blind to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invlearn.cli.arguments import Parser, shape
from invlearn.errors import UserError
from invlearn.system.output import show, warn

if TYPE_CHECKING:
    from invlearn.auditing.steps import Step

__all__ = ["main"]

KINDS = ("variant", "blind", "metamers", "uncalibrated")
OF_ATTACK = ("metamers", "uncalibrated")

PATIENCE = 5
"""Seconds from which on a step is announced."""


def main(argv: list[str]) -> int:
    """Audit, write the files, print the page; 1 if a finding named by ``--fail-on`` was made."""
    arguments = _parser().parse_intermixed_args(argv)
    if arguments.no_attack and (kinds := [kind for kind in arguments.fail_on if kind in OF_ATTACK]):
        raise UserError(f"audit: --fail-on {kinds[0]} needs the attack; leave out --no-attack")
    is_run = Path(arguments.encoder).is_dir()
    folder = arguments.output or (Path(arguments.encoder) / "audit" if is_run else Path("audit"))
    if folder.exists() and not folder.is_dir():
        raise UserError(f"-o {folder} is not a folder")

    from invlearn.auditing import audit
    from invlearn.auditing.page import page
    from invlearn.auditing.writing import write_audit
    from invlearn.training.internals import optimise_without_compiler

    optimise_without_compiler()
    found = audit(
        arguments.encoder,
        arguments.data or None,
        trust=arguments.trust,
        entity=arguments.entity,
        replica=arguments.replica,
        shape=arguments.shape,
        candidates=arguments.candidates,
        attack=not arguments.no_attack,
        targets=arguments.targets,
        starts=arguments.starts,
        tell=_tell,
    )
    names = write_audit(found, folder)
    show(page(found))
    show(f"in {folder}: {', '.join(names)}")
    failed = [kind for kind in found.failures() if kind in arguments.fail_on]
    if failed:
        warn(f"failed: {', '.join(failed)}")
        return 1
    for kind, reason in found.undecided().items():
        if kind in arguments.fail_on:
            raise UserError(f"audit: --fail-on {kind} cannot be decided: {reason}")
    return 0


def _tell(step: Step) -> None:
    """Say what comes next, if it takes long."""
    if step.seconds > PATIENCE:
        warn(str(step))


def _parser() -> Parser:
    parser = Parser(
        prog="invlearn audit",
        description="What an encoder ignores, what it is blind to, and whether its codes are complete.",
    )
    parser.add_argument(
        "encoder",
        metavar="ENCODER",
        help="a run, an .onnx or .pt2 file, or package.module:function of tensors, (n, d) to (n, k)",
    )
    parser.add_argument(
        "data",
        nargs="*",
        metavar="DATA",
        help="overrides, as in dataset=shift dataset.dim=10, or a file of samples; by default the data of the run",
    )
    parser.add_argument("--entity", metavar="COLUMN", help="column of the file that names the entity")
    parser.add_argument("--trust", action="append", default=[], metavar="NAME", help="code or .pt2 file that may run")
    parser.add_argument(
        "--replica", type=int, help="replica of a run; by default the one with the lowest validation loss"
    )
    parser.add_argument(
        "--shape",
        type=shape,
        metavar="HxW",
        help="rows and columns of samples that are images, as 28x28; if one of them is 2 or 3, as in 6x3, samples may "
        "be points too; adds distortions of these",
    )
    parser.add_argument(
        "--candidates", type=Path, metavar="FILE.py", help="defines candidates(x): {name: distorted samples}"
    )
    parser.add_argument("--no-attack", action="store_true", help="do not search for metamers")
    parser.add_argument("--targets", type=int, default=20, help="number of targets to attack (20)")
    parser.add_argument("--starts", type=int, default=20, help="starts per target (20)")
    parser.add_argument(
        "--fail-on",
        action="append",
        default=[],
        choices=KINDS,
        metavar="KIND",
        help=f"exit with status 1 if the audit finds this: {', '.join(KINDS)}; may be repeated",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="output folder; by default RUN/audit, or ./audit"
    )
    return parser
