"""Names of the files of a run."""

from __future__ import annotations

__all__ = ["BEST", "CANDIDATES", "CARD", "FILES", "HYDRA", "LAST", "METRICS", "OWN", "REQUEST", "SUSPECTS"]

LAST = "checkpoints/last.pt"
"""The training state after the last finished epoch: what resuming reads, and what other files can be made of."""

BEST = "checkpoints/best.pt"
"""Each replica's best parameters by validation loss: what ``load_run`` reads."""

METRICS = "metrics.csv"
"""A row per replica and epoch."""

HYDRA = (".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml")
"""What Hydra records of a run; nothing here reads it."""

REQUEST = "request.yaml"
"""The config of a choice among models; what became of it is a run, with a config of its own."""

CANDIDATES = "candidates"
"""Folder of the runs that were chosen among."""

SUSPECTS = "suspects.csv"
"""Samples of a file of entities that do not fit their entity."""

CARD = "README.md"
"""The model card, of runs that were exported or reported on."""

FILES = ("config.yaml", "run.json", METRICS, "curves.png", "train.log", ".lock", REQUEST, SUSPECTS)
"""Files at its top."""

OWN = (*FILES, "checkpoints", ".hydra", CANDIDATES)
"""What lies in a run directory."""
