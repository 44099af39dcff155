"""Names of the files of a run."""

from __future__ import annotations

__all__ = ["BEST", "CANDIDATES", "CARD", "FILES", "HYDRA", "LAST", "METRICS", "OWN", "REQUEST", "SUSPECTS"]

LAST = "checkpoints/last.pt"
"""The training state after the last finished epoch: it resumes the run, and can rebuild the other files."""

BEST = "checkpoints/best.pt"
"""Each replica's best parameters by validation loss, read by ``load_run``."""

METRICS = "metrics.csv"
"""A row per replica and epoch."""

HYDRA = (".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml")
"""Hydra's records of a run; invlearn does not read them."""

REQUEST = "request.yaml"
"""The config of a choice among models; the result is a run with its own config."""

CANDIDATES = "candidates"
"""Folder of the candidates of a choice."""

SUSPECTS = "suspects.csv"
"""Samples of a file of entities that do not fit their entity."""

CARD = "README.md"
"""The model card of an exported or reported run."""

FILES = ("config.yaml", "run.json", METRICS, "curves.png", "train.log", ".lock", REQUEST, SUSPECTS)
"""Files in the run directory itself."""

OWN = (*FILES, "checkpoints", ".hydra", CANDIDATES)
"""All names in a run directory."""
