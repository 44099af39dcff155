"""The audit of an encoder: what it ignores, what it is blind to, and whether its codes are complete."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from invlearn.auditing.algebra import MOST, Algebra, White, samples_needed, symmetries
from invlearn.auditing.data import AuditData
from invlearn.auditing.encoders import Encoder
from invlearn.auditing.generators import readable_basis, without_unseen
from invlearn.auditing.profile import JUDGED, Distances, Distort, Reaction, measure_distances, profile
from invlearn.auditing.reference import Reference, blind_moves, find_reference
from invlearn.auditing.steps import Step, Tell, of_finite, of_symmetries
from invlearn.auditing.trial import Trial, run_trial
from invlearn.auditing.verified import Finite, Generator, finite_symmetries, verified_generators

__all__ = ["FAILS", "KINDS", "Audit", "audit_encoder"]

KINDS = {
    "variant": "the code changes under the data's own distortion as much as between entities",
    "blind": "the code ignores a continuous symmetry or a known distortion that the data do not have",
    "metamers": "more than 1% of attacks succeed",
    "uncalibrated": "the attack could not be calibrated",
}
"""Findings that may count as failures."""

FAILS = 0.01
"""Success rate of attacks above which they are a finding."""

TRIED = 256
"""Number of samples on which directions that a code ignores are found."""

SHOWN = 64
"""Maximal number of generators that are described."""

ENTRIES = 2_000_000
"""Maximal number of entries of their matrices, unless there is one only."""


@dataclass(frozen=True, repr=False)
class Audit:
    """The results of an audit."""

    encoder: Encoder
    data: AuditData
    distances: Distances
    reactions: list[Reaction]
    undefined: list[str]
    """Distortions under which codes are not finite."""
    algebra: Algebra
    unseen: int
    """Number of directions that the code ignores completely."""
    generators: list[Generator]
    blind: int | None
    """Dimension of the code's linear symmetries that the data's invariants do not have; None if unknown."""
    finite: Finite
    reference: Reference | None
    trial: Trial | None

    def __repr__(self) -> str:
        return f"<Audit of {self.encoder.name}: {', '.join(self.failures()) or 'no failure'}>"

    def failures(self) -> list[str]:
        """Which of ``KINDS`` were found."""
        found = ["variant"] if self.distances.vary else []
        if self.blind or any(one.is_blind for one in self.reactions) or any(one.blind for one in self.finite.elements):
            found.append("blind")
        if self.trial is not None:
            if not self.trial.is_calibrated:
                found.append("uncalibrated")
            elif self.trial.outcome.success is not None and self.trial.outcome.success > FAILS:
                found.append("metamers")
        return found

    def undecided(self) -> dict[str, str]:
        """Which of ``KINDS`` the audit cannot tell, and why."""
        reasons = {}
        if self.reference is None and self.blind is None and self.data.family is None:
            reasons["blind"] = "no reliable invariants of the data were found"
        if self.trial is None:
            reasons |= dict.fromkeys(("metamers", "uncalibrated"), "there was no attack")
        elif not self.trial.is_calibrated:
            reasons["metamers"] = "the attack is not calibrated"
        elif self.trial.outcome.success is None:
            reasons["metamers"] = "the true distances of samples from a file are unknown"
        return {kind: reason for kind, reason in reasons.items() if kind not in self.failures()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in ``audit.json``."""
        linear, affine = self.algebra.linear, self.algebra.affine
        return {
            "encoder": {
                "name": self.encoder.name,
                "width": self.encoder.width,
                "derivatives": self.encoder.derivatives,
                "noise_floor": self.encoder.noise,
            },
            "data": {"name": self.data.name, "dim": self.data.dim},
            "failures": self.failures(),
            "undecided": list(self.undecided()),
            "distances": vars(self.distances),
            "profile": [one.to_dict() for one in self.reactions],
            "undefined": self.undefined,
            "algebra": {
                "dimension": self.algebra.dimension,
                "interval": [linear.low, linear.high],
                "offsets": self.algebra.offsets,
                "offsets_interval": [max(0, affine.low - linear.high), max(0, affine.high - linear.low)],
                "blind": self.blind,
                "unseen": self.unseen,
                "rank": len(self.algebra.white.back),
                "spectrum": linear.values[: self.algebra.dimension + 16].tolist(),
                "generators": [
                    {
                        "description": one.description,
                        "change": one.change if math.isfinite(one.change) else None,
                        "verified": one.verified,
                        "blind": one.blind,
                        "matrix": one.matrix.tolist(),
                    }
                    for one in self.generators
                ],
            },
            "finite": {
                "order": self.finite.order,
                "closed": self.finite.closed,
                "explained": self.finite.explained,
                "swaps": self.finite.swaps,
                "permutations": [one.to_dict() for one in self.finite.permutations],
                "others": [one.to_dict() for one in self.finite.elements if one.element.permutation is None],
            },
            "invariants": None
            if self.reference is None
            else {"degree": self.reference.degree, "width": self.reference.encoder.width, "same": self.reference.same},
            "metamers": None if self.trial is None else self.trial.to_dict(),
        }


def audit_encoder(
    encoder: Encoder,
    data: AuditData,
    distortions: Mapping[str, Distort],
    *,
    attack: bool = True,
    targets: int = 20,
    starts: int = 20,
    tell: Tell = lambda step: None,
) -> Audit:
    """Audit an encoder.

    Args:
        encoder: The encoder.
        data: The data.
        distortions: Candidates for the profile.
        attack: Whether to search for metamers, if there are several features.
        targets: Number of targets of the attack.
        starts: Number of starts per target.
        tell: Called with each step before it starts.
    """
    pairs = len(data.same[0]) + len(data.different[0])
    tell(Step("distances within and between entities", encoder.seconds(2 * pairs, 4)))
    distances = measure_distances(encoder, data)
    tell(Step("the data's invariants"))
    reference = find_reference(data)
    count = len(distortions) + 1
    tell(Step("profile", encoder.seconds(count * min(JUDGED, len(data.x)), count)))
    reactions, undefined = profile(encoder, data, distances, reference, distortions)
    directions = min(data.dim, MOST)
    samples = samples_needed(directions, min(encoder.width, directions), len(data.x)) + TRIED
    tell(of_symmetries(encoder, samples, directions))
    algebra = symmetries(encoder, data.x, data.seed)
    unseen = _unseen(encoder, data.x, algebra.white)
    search = not algebra.dimension
    tell(of_finite(encoder, data.dim, [part.shape[1] for part in data.parts], search=search))
    finite, cycle = finite_symmetries(encoder, data, distances, reference, search=search)
    shown = max(1, min(SHOWN, ENTRIES // data.dim**2))
    basis = readable_basis(without_unseen(algebra.basis, unseen)[:shown], algebra.white)
    generators = verified_generators(
        encoder, data, distances, basis, algebra.white, reference=reference, cycle=cycle, is_finite=finite.is_of_data
    )
    blind = _blind(data, algebra, generators, finite, reference)
    trial = None
    if attack and data.dim > 1:  # no signals of one feature calibrate it
        trial = run_trial(encoder, data, distances, algebra, targets=targets, starts=starts, tell=tell)
    return Audit(
        encoder,
        data,
        distances,
        reactions,
        undefined,
        algebra,
        unseen.shape[1],
        generators,
        blind,
        finite,
        reference,
        trial,
    )


def _blind(
    data: AuditData, algebra: Algebra, generators: Sequence[Generator], finite: Finite, reference: Reference | None
) -> int | None:
    """Number of continuous symmetries that the data do not have; None if it is unknown."""
    blind = algebra.dimension
    if not finite.is_of_data:
        if reference is None:
            return None
        blind = blind_moves(reference, algebra.basis, algebra.white, data.x)
    if not blind or not generators:
        return blind
    # Derivatives that are small at most samples may add up to a step.
    return round(blind * sum(one.verified for one in generators) / len(generators))


def _unseen(encoder: Encoder, x: Tensor, white: White) -> Tensor:
    """White directions along which a code never changes, ``(r, m)``."""
    _, slopes = encoder.finite_jacobian(x[:TRIED], white.back)
    values, axes = torch.linalg.eigh((slopes.mT @ slopes).mean(0))
    return axes[:, values <= max(1e-7, encoder.noise) ** 2 * values.mean()]
