"""How to use the run."""

from __future__ import annotations

import shlex

from invlearn.reporting.blocks import Code, Section, Text
from invlearn.reporting.context import Context

__all__ = ["usage"]


def usage(context: Context) -> Section | None:
    """Commands, and the same from Python."""
    if not context.run.experiment.loss.trains_encoder:
        return None
    run = shlex.quote(context.name)
    commands = [f"invlearn embed {run} new.csv -o codes.parquet"]
    commands += [f"invlearn match {run} a.csv b.csv -o matches.csv"] if context.calibration else []
    evaluate = f"invlearn evaluate {run}" + ("" if context.run.experiment.holds_out else " held_out.csv")
    commands += [evaluate, f"invlearn export {run} --format onnx", f"invlearn audit {run}"]
    program = f"import invlearn\n\nrun = invlearn.load_run({context.name!r})\nz_invariant, z_variant = run.encode(x)"
    return Section(
        "How to use it",
        [
            Text("Codes of new samples, partners in another file, an encoder that works without invlearn:"),
            Code("\n".join(commands)),
            Text("The same from Python, where x is an array of samples, one in each row:"),
            Code(program),
        ],
    )
