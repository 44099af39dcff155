"""The final results of a run: metrics and baselines of every replica, and its calibration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invlearn.data import DrawnPairs, Draws, HasLabels, Pairs
from invlearn.data.distances import EXACT
from invlearn.encoder import InvariantEncoder
from invlearn.evaluation.calibration import Calibration
from invlearn.evaluation.compared import ComparedPairs
from invlearn.evaluation.measured import HeldOut, Measured, coded, encode_stack
from invlearn.evaluation.metric import Metric
from invlearn.evaluation.metrics import METRICS
from invlearn.evaluation.probability import DistanceModel
from invlearn.evaluation.suspects import wrong_labels
from invlearn.losses import Statistics
from invlearn.losses.agreement import distance_to_entity, is_far
from invlearn.losses.functional import code_distance

__all__ = ["calibrate", "compared_pairs", "compute_baselines", "compute_metrics", "evaluate", "rightly_labelled"]

CALIBRATED = 2_048
"""Maximal number of validation samples for calibration."""

TRAINED_ON = 16_384
"""Maximal number of training samples among which the true entities of wrong labels are searched."""


def compute_metrics(measured: Measured, *, every_epoch: bool = False) -> dict[str, Tensor]:
    """All metrics that apply, or those computed after every epoch, ``(R,)`` or ``(1,)`` each."""
    return {
        name: metric.compute(measured)
        for name, metric in METRICS.items()
        if (metric.every_epoch or not every_epoch) and _applies(metric, measured, drawn=every_epoch)
    }


def compute_baselines(measured: Measured) -> dict[str, Tensor]:
    """Metrics of the best constant prediction, where they are meaningful."""
    return {
        name: metric.baseline(measured)
        for name, metric in METRICS.items()
        if metric.baseline and _applies(metric, measured) and set(metric.facts) <= set(measured.statistics)
    }


def _applies(metric: Metric, measured: Measured, *, drawn: bool = False) -> bool:
    """Whether a metric's requirements are met; with ``drawn``, only by the examples that the loss is validated on."""
    more = {"pairs", "gallery"} if measured.loss.trains_encoder and not drawn else set()
    return (measured.known | more).issuperset(metric.needs)


def evaluate(
    held_out: HeldOut, encoder: InvariantEncoder, statistics: Statistics
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Metrics of each replica, and those of a constant prediction.

    Args:
        held_out: The examples to measure on.
        encoder: The whole stack.
        statistics: Statistics of the training examples.

    Returns:
        Two lists of R dicts of floats (``collapsed``: bool); None for a metric that does not apply.
    """
    measured = Measured(held_out, encoder, statistics)
    values = {**measured.terms, **compute_metrics(measured)}
    blank = dict.fromkeys(METRICS)
    baselines = _rows(compute_baselines(measured), encoder.replicas)
    return [{**blank, **row} for row in _rows(values, encoder.replicas)], baselines


def calibrate(draws: Draws, encoder: InvariantEncoder) -> list[Calibration | None]:
    """Code distances below which two samples count as the same entity, for each replica, from validation data.

    They come from all pairs of samples if their entities are known, else from given pairs.

    Args:
        draws: Source of the validation data.
        encoder: The whole stack; its encoder was trained.
    """
    return [Calibration.fit(pairs) for pairs in compared_pairs(draws, encoder)]


def compared_pairs(draws: Draws, encoder: InvariantEncoder) -> Iterator[ComparedPairs]:
    """The pairs that each replica is calibrated on, with their code distances.

    Samples whose label is convincingly wrong are left out; their true entities may be training entities.

    Args:
        draws: Source of the validation data.
        encoder: The whole stack.
    """
    if isinstance(draws.dataset, HasLabels):
        if draws.with_gaps is None:
            x, entity = draws.labelled("valid", most=CALIBRATED)
            codes = encode_stack(encoder, x)
            distances = (torch.cdist(z, z, compute_mode=EXACT) for z in codes)
        else:
            x, entity = draws.with_gaps.labelled("valid", most=CALIBRATED)
            samples = coded(encoder, x)
            codes, distances = samples.codes, samples.within(entity[0])

        @cache
        def trained_on() -> Tensor:
            return encode_stack(encoder, draws.labelled("train", most=TRAINED_ON)[0])

        for replica, (z, d, e) in enumerate(zip(codes, distances, entity.expand(len(codes), -1), strict=True)):
            yield rightly_labelled(z, d, e, lambda replica=replica: trained_on()[replica])
    else:
        pairs = (draws.with_gaps or draws).examples(DrawnPairs(), "valid")
        assert isinstance(pairs, Pairs)
        if draws.with_gaps is None:
            found = code_distance(*(encode_stack(encoder, part) for part in (pairs.x, pairs.x_prime)))
        else:
            x, x_prime = (coded(encoder, part) for part in (pairs.x, pairs.x_prime))
            found = x.apart(x.rows, x.rows, x_prime)
        same = (pairs.distance == 0).expand(encoder.replicas, -1)
        for distances, of_one in zip(found, same, strict=True):
            samples = np.arange(2 * len(distances)).reshape(2, -1)
            is_same = of_one.cpu().numpy()
            entities = np.where(is_same, samples[0], samples)
            yield ComparedPairs(distances.double().cpu().numpy(), is_same, entities, samples, int((~is_same).sum()))


def rightly_labelled(codes: Tensor, distances: Tensor, entity: Tensor, others: Callable[[], Tensor]) -> ComparedPairs:
    """All pairs of samples, except those whose label is convincingly wrong.

    Args:
        codes: Codes of samples, sorted by entity, ``(n, C)``.
        distances: Their distances, ``(n, n)``.
        entity: Number of the entity of each, ``(n,)``.
        others: Returns codes of samples of other entities, ``(m, C)``, which may be the true entities of wrong labels;
            it is called only if a sample does not agree with its entity.
    """
    pairs = _all_pairs(distances, entity)
    far = is_far(distance_to_entity(codes, entity, lambda first, second: distances[first, second]))
    if bool(far.any()) and (model := DistanceModel.fit(pairs)):
        right = ~wrong_labels(codes, entity, others(), model, far=far)
        pairs = pairs if bool(right.all()) else _all_pairs(distances[right][:, right], entity[right])
    return pairs


def _all_pairs(distances: Tensor, entity: Tensor) -> ComparedPairs:
    first, second = torch.triu_indices(*distances.shape, offset=1, device=distances.device)
    return ComparedPairs.of_all(distances[first, second].cpu().numpy(), entity.cpu().numpy())


def _rows(values: dict[str, Tensor], replicas: int) -> list[dict[str, Any]]:
    """A dict of ``(R,)`` or ``(1,)`` tensors as one dict of numbers per replica; None for NaN and infinity."""
    columns = {name: value.expand(replicas).tolist() for name, value in values.items()}
    return [
        {name: numbers[replica] if math.isfinite(numbers[replica]) else None for name, numbers in columns.items()}
        for replica in range(replicas)
    ]
