"""A Slurm of one node for the tutorial on sweeps, where a build can start one; elsewhere joblib's processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sphinx.application import Sphinx

CLUSTER = Path(__file__).parents[2] / "tests" / "slurm_cluster.sh"


def setup(app: Sphinx) -> dict[str, bool]:
    """Start it before pages are read, and stop it when the build ends, however it ends."""
    app.connect("builder-inited", _start)
    app.connect("build-finished", _stop)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _start(_: Sphinx) -> None:
    os.environ["LAUNCHER"] = "joblib"
    if os.geteuid() == 0 and all(map(shutil.which, ("slurmctld", "slurmd", "munged"))):
        folder = tempfile.mkdtemp(prefix="slurm")
        os.environ["SLURM_CONF"] = f"{folder}/slurm.conf"
        subprocess.run(["sh", CLUSTER, "start", folder], check=True, timeout=120)
        os.environ["LAUNCHER"] = "slurm"


def _stop(_: Sphinx, __: Exception | None) -> None:
    if os.environ.pop("LAUNCHER") == "slurm":
        folder = Path(os.environ.pop("SLURM_CONF")).parent
        subprocess.run(["sh", CLUSTER, "stop", str(folder)], check=True, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
