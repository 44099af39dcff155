"""``make bench``: all benchmarks, one after another; half an hour on two cores that have nothing else to do."""

from __future__ import annotations

import argparse

from benchmarks import gpu, paths, recipe, run, scaling

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", default=str(run.OUTPUT))
    output = parser.parse_args().output
    for part in (run, paths, recipe, scaling, gpu):
        part.main(["--output", output])
