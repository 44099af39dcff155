"""``make bench``: all benchmarks, one after another; an hour on two idle cores."""

from __future__ import annotations

import argparse

from benchmarks import closed_form, gpu, paths, recipe, run, scaling, startup, whole

PARTS = {
    "steps": run,
    "paths": paths,
    "recipe": recipe,
    "whole": whole,
    "startup": startup,
    "scaling": scaling,
    "closed-form": closed_form,
    "gpu": gpu,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these of {', '.join(PARTS)}")
    parser.add_argument("-o", "--output", default=str(run.OUTPUT))
    options = parser.parse_args()
    if unknown := {*options.parts} - {*PARTS}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for name in options.parts or PARTS:
        PARTS[name].main(["--output", options.output])
