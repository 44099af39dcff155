"""The input of a section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from invlearn.errors import UserError
from invlearn.evaluation.calibration import Calibration, Threshold
from invlearn.files import Prepared
from invlearn.inference.embed import Source
from invlearn.reporting.divisions import divisions_of
from invlearn.reporting.evidence import Evidence
from invlearn.reporting.pictures import Painter
from invlearn.runs.trained import TrainedRun

__all__ = ["Context", "Contexts", "Options", "are_asked_the_same"]


@dataclass(frozen=True)
class Options:
    """The user's options.

    Args:
        shape: Rows and columns of samples that are images.
        color: Column that colours the map of codes; by default the entity.
        layout: How codes are laid out on the map.
    """

    shape: tuple[int, int] | None = None
    color: str | None = None
    layout: Literal["pca", "tsne"] = "pca"


class Context:
    """A run, and unseen data.

    Args:
        run: The run.
        options: The user's options.
        source: The file to use instead of the run's own test data.
        data: Its samples.
    """

    def __init__(
        self, run: TrainedRun, options: Options, *, source: Source | None = None, data: Prepared | None = None
    ):
        self.run, self.options, self.source, self.data = run, options, source, data
        self.record: Mapping[str, Any] = run.directory.record()
        self.missing: str | None = None
        """Why there is no evidence."""

    @property
    def name(self) -> str:
        """The run's folder, as given."""
        return str(self.run.directory)

    @property
    def short(self) -> str:
        """The last part of its name."""
        return self.run.directory.path.absolute().name

    @property
    def looked_at(self) -> str:
        """The data on which the run is measured, in words."""
        if self.source is None:
            return "its test split" if self.run.experiment.holds_out else "the test split of models that held one out"
        return str(self.source) if isinstance(self.source, str | Path) else "the data frame"

    @cached_property
    def evidence(self) -> Evidence | None:
        """The run's results on unseen samples; None without such samples, or without a trained encoder."""
        if not self.run.experiment.loss.trains_encoder:
            self.missing = "the run has no trained encoder"
            return None
        try:
            return Evidence(divisions_of(self.run, self.data))
        except UserError as error:
            self.missing = str(error)
            return None

    @cached_property
    def painter(self) -> Painter:
        """Draws samples."""
        assert self.evidence is not None
        return Painter(self.evidence.drawn, self.options.shape)

    @cached_property
    def calibration(self) -> Calibration | None:
        """The run's calibration; None if it has none."""
        try:
            return self.run.calibration()
        except UserError:
            return None

    @cached_property
    def threshold(self) -> Threshold | None:
        """The threshold of ``match`` for two rows at its default rate."""
        return None if self.calibration is None else self.calibration.threshold(0.01)

    @cached_property
    def metrics(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Metrics of the best replica, and those of a constant."""
        if self.data is None:
            best = self.record.get("replicas", [{}])[self.record.get("best_replica", 0)]
            return best.get("metrics", {}), best.get("constants", {})
        metrics, constants = self.run.evaluate(self.data)
        return metrics[self.run.best_replica], constants[self.run.best_replica]


Contexts = Mapping[str, Context]
"""Runs by short, distinct names."""


def are_asked_the_same(runs: Contexts) -> bool:
    """Whether all search the same unseen samples, up to rounding, because each run has its own scale."""
    evidence = [context.evidence for context in runs.values()]
    first, *others = [each.question for each in evidence if each is not None] or [[]]
    return None not in evidence and all(
        len(first) == len(other)
        and all(
            a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-5 * float(a.abs().max()))
            for a, b in zip(first, other, strict=True)
        )
        for other in others
    )
