"""A profile: how strongly a code reacts to well-known distortions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from invlearn.auditing.data import AuditData
from invlearn.auditing.encoders import TIED, Encoder
from invlearn.auditing.reference import Reference
from invlearn.data.seeding import seeded_generator
from invlearn.errors import UserError
from invlearn.evaluation.calibration import Calibration

__all__ = ["JUDGED", "Distances", "Reaction", "candidates", "measure_distances", "profile"]

JUDGED = 1_000
"""Number of samples on which each distortion is tried."""

RESAMPLES = 200
"""Number of resamples for an interval."""

NOTHING, LITTLE = 0.02, 0.1
"""Changes up to which a code is unchanged: of an exact code, and of any code."""

RATE = 0.01
"""Share of strangers that are closer than the threshold for the same entity."""

VARIES = 0.5
"""Median distance within entities, relative to that of strangers, from which a code counts as variant."""

Distort = Callable[[Tensor, torch.Generator], Tensor]
"""Samples ``(n, d)`` to distorted ones."""


@dataclass(frozen=True)
class Distances:
    """Reference distances of a code."""

    strangers: float
    """Median distance of different entities."""
    same: float
    """Median distance of same entities, relative to that."""
    same_most: float
    """95% quantile of the distance of same entities, relative to that of strangers."""
    threshold: float
    """Distance below which two samples count as the same entity (1% of strangers do), relative to that of strangers."""

    @property
    def vary(self) -> bool:
        """Whether the code changes under the data's own distortion at least half as much as between strangers."""
        return self.same > VARIES

    @property
    def unchanged(self) -> float:
        """Change up to which the code counts as unchanged, relative to strangers.

        A trained code changes a little under the data's own distortion too, so this is its change under that, within
        limits. A variant code does not ignore that distortion: its changes are not small then, and say nothing.
        """
        return NOTHING if self.vary else min(max(NOTHING, min(self.same_most, self.threshold)), LITTLE)


def measure_distances(encoder: Encoder, data: AuditData) -> Distances:
    """Measure distances of codes of held-out pairs.

    Raises:
        UserError: Codes are not finite, or most different entities have equal ones.
    """
    encoded = partial(encoder.encode_held_out, unit=data.unit)

    def distances(pair: tuple[Tensor, Tensor]) -> Tensor:
        return (encoded(pair[0]) - encoded(pair[1])).norm(dim=1)

    same, different = distances(data.same), distances(data.different)
    strangers = float(different.median())
    least = TIED * float(different.max())
    if strangers <= least:
        tied = float((different <= least).double().mean())
        raise UserError(
            f"{encoder.name}: {tied:.0%} of pairs of different entities have equal codes; it tells too little"
        )
    is_same = torch.cat([torch.ones(len(same)), torch.zeros(len(different))]).bool()
    calibration = Calibration.count(torch.cat([same, different]), is_same, len(different))
    assert calibration is not None
    threshold = calibration.threshold(RATE).distance
    return Distances(
        strangers, *(float(value) / strangers for value in (same.median(), same.quantile(0.95), threshold))
    )


@dataclass(frozen=True)
class Reaction:
    """How a code reacts to a distortion."""

    distortion: str
    """Its name."""
    strength: float
    """Median distance of a sample's code from that of the distorted one, relative to that of strangers."""
    low: float
    """Lower end of its 95% interval."""
    high: float
    """Upper end."""
    verdict: Literal["ignored", "taken for the same", "told apart"]
    """``ignored`` like the data's own distortions; ``taken for the same``: closer than the threshold; or neither."""
    invariants: float | None
    """The same strength for the finest reliable invariants of the data; None if there are none."""
    orbit: float | None
    """True distance, relative to that of strangers; None if it is unknown."""

    @property
    def is_blind(self) -> bool:
        """Whether the code ignores a distortion that the data do not have."""
        known = self.orbit if self.orbit is not None else self.invariants
        return self.verdict == "ignored" and known is not None and known > LITTLE

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "blind": self.is_blind}


def profile(
    encoder: Encoder,
    data: AuditData,
    distances: Distances,
    reference: Reference | None,
    distortions: Mapping[str, Distort],
) -> tuple[list[Reaction], list[str]]:
    """The reaction to each distortion, the weakest first, and distortions under which codes are not finite."""
    x = data.x[:JUDGED]
    codes = encoder.encode(x)
    reactions, undefined = [], []
    for name, distort in distortions.items():
        distorted = distort(x, seeded_generator(data.seed, "distortion", name))
        changes = (encoder.encode(distorted) - codes).norm(dim=1) / distances.strangers
        if not bool(changes.isfinite().all()):  # of logarithms of negative samples, for one
            undefined.append(name)
            continue
        draws = torch.randint(len(x), (RESAMPLES, len(x)), generator=seeded_generator(data.seed, "resamples", name))
        medians = changes[draws].median(dim=1).values
        low, high = medians.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        orbit = data.orbit_distance(x, distorted)
        reactions.append(
            Reaction(
                name,
                float(changes.median()),
                low,
                high,
                _verdict(low, high, distances),
                None if reference is None else reference.change(x, distorted),
                None if orbit is None else float(orbit.median()),
            )
        )
    return sorted(reactions, key=lambda one: one.strength), undefined


def _verdict(low: float, high: float, distances: Distances) -> Literal["ignored", "taken for the same", "told apart"]:
    if high <= distances.unchanged:
        return "ignored"
    return "taken for the same" if low <= distances.threshold else "told apart"


def candidates(x: Tensor, shape: tuple[int, int] | None = None) -> dict[str, Distort]:
    """Distortions that any samples can have, and those of images or points.

    Args:
        x: Samples ``(n, d)``, which set the size of offsets and noise.
        shape: Rows and columns of an image; if one of them is 2 or 3, samples may be points with so many coordinates.
    """
    found = dict(_of_features(x))
    if shape is not None:
        found |= dict(_of_images(shape))
        if {2, 3} & set(shape):
            found |= dict(_of_points(float(x.std()), shape))
    return found


def _of_features(x: Tensor) -> Iterator[tuple[str, Distort]]:
    d, spread = x.shape[1], x.std(0)
    dropped, mean = max(1, d // 10), x.mean(0)

    def drop(x: Tensor, generator: torch.Generator) -> Tensor:
        chosen = torch.rand(x.shape, generator=generator).argsort(dim=1) < dropped
        return torch.where(chosen, mean, x)

    if d > 1:
        yield "circular shift", _circular_shift
        yield "mirror image", lambda x, _: x.flip(1)
        yield "any order of features", lambda x, g: x.gather(1, torch.rand(x.shape, generator=g).argsort(dim=1))
    yield "sign", lambda x, _: -x
    yield "scale by 1.2", lambda x, _: 1.2 * x
    yield "offset of 0.2 spreads", lambda x, _: x + 0.2 * spread.mean()
    for size in (0.05, 0.2):
        yield (
            f"noise of {size:g} spreads",
            lambda x, g, size=size: x + size * spread * torch.randn(x.shape, generator=g, dtype=x.dtype),
        )
    yield "1 feature set to its mean" if dropped == 1 else f"{dropped} features set to their means", drop


def _circular_shift(x: Tensor, generator: torch.Generator) -> Tensor:
    n, d = x.shape
    shift = torch.randint(1, d, (n, 1), generator=generator)
    return x.gather(1, (torch.arange(d) - shift) % d)


def _of_images(shape: tuple[int, int]) -> Iterator[tuple[str, Distort]]:
    rows, columns = shape

    def image(change: Callable[[Tensor], Tensor]) -> Distort:
        return lambda x, _: change(x.view(-1, rows, columns)).flatten(1)

    def shift(x: Tensor, generator: torch.Generator) -> Tensor:
        down = torch.randint(rows, (len(x), 1, 1), generator=generator)
        right = torch.randint(columns, (len(x), 1, 1), generator=generator)
        place = (torch.arange(rows)[:, None] - down) % rows * columns + (torch.arange(columns) - right) % columns
        return x.gather(1, place.flatten(1))

    yield "2-D circular shift", shift
    yield "one pixel to the right", image(lambda x: x.roll(1, 2))
    yield "left-right flip", image(lambda x: x.flip(2))
    yield "up-down flip", image(lambda x: x.flip(1))
    yield "half turn", image(lambda x: x.flip(1, 2))
    if rows == columns:
        yield "quarter turn", image(lambda x: x.rot90(1, (1, 2)))
        yield "transposition", image(lambda x: x.mT)


def _of_points(spread: float, shape: tuple[int, int]) -> Iterator[tuple[str, Distort]]:
    axis_first = shape[1] not in (2, 3)
    size = shape[0] if axis_first else shape[1]

    def points(change: Callable[[Tensor, torch.Generator], Tensor]) -> Distort:
        def distort(x: Tensor, generator: torch.Generator) -> Tensor:
            of = x.view(-1, *shape)
            moved = change(of.mT if axis_first else of, generator)
            return (moved.mT if axis_first else moved).flatten(1)

        return distort

    def rotate(x: Tensor, generator: torch.Generator) -> Tensor:
        q, r = torch.linalg.qr(torch.randn(len(x), size, size, generator=generator, dtype=x.dtype))
        q = q * r.diagonal(dim1=1, dim2=2).sign()[:, None]
        q[:, :, 0] *= torch.linalg.det(q)[:, None]
        return x @ q

    def translate(x: Tensor, generator: torch.Generator) -> Tensor:
        return x + spread * torch.randn(len(x), 1, size, generator=generator, dtype=x.dtype)

    def reorder(x: Tensor, generator: torch.Generator) -> Tensor:
        order = torch.rand(x.shape[:2], generator=generator).argsort(dim=1)
        return x.gather(1, order[:, :, None].expand_as(x))

    yield "rotation of the points", points(rotate)
    yield "reflection of the points", points(lambda x, _: x * torch.tensor([-1.0] + [1.0] * (size - 1)).to(x))
    yield "translation of the points", points(translate)
    yield "any order of the points", points(reorder)
    yield (
        "quarter turn about the last axis",
        points(lambda x, _: torch.stack([-x[..., 1], x[..., 0], *x.unbind(-1)[2:]], dim=-1)),
    )
