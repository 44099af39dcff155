"""The metamer attack as a trial: targets and starts, oracles that calibrate it, and its outcome."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from invlearn.auditing.algebra import Algebra
from invlearn.auditing.data import AuditData
from invlearn.auditing.encoders import Encoder, Function, probe
from invlearn.auditing.metamers import Metamers, attack
from invlearn.auditing.oracles import ORACLES
from invlearn.auditing.profile import Distances
from invlearn.auditing.steps import Step, Tell, of_attack
from invlearn.data import Shift, TransformationFamily
from invlearn.data.seeding import seeded_generator

__all__ = ["CALIBRATED", "Calibrated", "Outcome", "Trial", "calibrate", "run_trial"]

FAR = 0.1
"""True distance, relative to that of strangers, from which a metamer is of another entity."""

CONVICTED, ACQUITTED, ENDING = 0.99, 0.01, 0.8
"""Least success of attacks on an incomplete oracle, largest on a complete one, and least share that must end."""

BY_CHANCE = 3.0
"""Standard deviations by which success on an incomplete oracle may fall short of its expected value."""

CALIBRATED = 128
"""Maximal number of features of the signals that the attack is calibrated on; more take hours."""

SIGNALS = 2_000
"""Number of signals that measure the distance of strangers."""


class Outcome(NamedTuple):
    """Shares of attacks."""

    ended: float
    """Share that ended on the code."""
    success: float | None
    """Share that ended there and are of another entity; None if the truth is unknown."""
    matched: float | None = None
    """Share that ended below the threshold for the same entity."""


class Calibrated(NamedTuple):
    """The result of the attack on an oracle."""

    oracle: str
    ended: float
    success: float
    passed: bool


@dataclass(frozen=True)
class Trial:
    """An attack on a code, and the metamers that it found."""

    oracles: list[Calibrated]
    outcome: Outcome
    targets: Tensor
    """Target of each attack in the features' own units, as all samples here, ``(m, d)``."""
    starts: int
    """Number of attacks on each target; they follow one another."""
    found: Metamers
    apart: Tensor | None
    """True distance of each metamer from its target, relative to that of strangers, ``(m,)``."""
    from_known: Tensor | None
    """If that is unknown: distance from the nearest known sample of the target's entity, relative to distances within
    entities, ``(m,)``."""

    @property
    def most_telling(self) -> Tensor:
        """Indices of attacks that ended on the code, one for each target, those farthest from their target first."""
        far = self.apart if self.apart is not None else self.from_known
        assert far is not None
        order = torch.where(self.found.ended, far, -1.0).argsort(descending=True)
        kept: dict[int, int] = {}
        for index in order[: int(self.found.ended.sum())].tolist():
            kept.setdefault(index // self.starts, index)
        return torch.tensor(list(kept.values()), dtype=torch.long)

    @property
    def is_calibrated(self) -> bool:
        """Whether all oracles give the known answer."""
        return all(one.passed for one in self.oracles)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "attacks": len(self.targets),
            "calibrated": self.is_calibrated,
            **self.outcome._asdict(),
            "oracles": [one._asdict() for one in self.oracles],
        }


def calibrate(dim: int, targets: int, starts: int, seed: int) -> list[Calibrated]:
    """Attack codes with a known answer: of signals with the same number of features, under shifts.

    Args:
        dim: Features d.
        targets: Number of targets.
        starts: Number of starts per target.
        seed: Seed of the signals.
    """
    family = Shift(dim=dim)
    generator = seeded_generator(seed, "calibration")
    x = family.signals(SIGNALS, generator)
    apart = float(family.orbit_distance(x[::2], x[1::2]).median())
    chosen, begins = _targets_and_starts(x, targets, starts, generator)
    far = float((family.orbit_distance(chosen, _of_equal_modulus(chosen, generator)) > FAR * apart).double().mean())
    short = BY_CHANCE * math.sqrt(far * (1 - far) / len(chosen))
    convicted = min(CONVICTED, far - short)  # in few dimensions some metamers lie near the orbit by chance
    results = []
    for oracle in ORACLES:
        encoder = probe(oracle.function, x, oracle.name)
        codes = encoder.encode(x)
        strangers = float((codes[::2] - codes[1::2]).norm(dim=1).median())
        found = attack(encoder, encoder.encode(chosen), begins, strangers=strangers, scale=x.std(0))
        needed = None if oracle.is_complete else convicted
        results.append(_judged(oracle.name, found, family.orbit_distance(chosen, found.x) / apart, needed))
    parts = []
    for target, start in zip(chosen.split(starts), begins.split(starts), strict=True):
        encoder = Encoder(_distance_to(target[:1], family), "orbit", torch.float64, "forward", 1e-5, 1e-9, 1)
        parts.append(attack(encoder, encoder.encode(target), start, strangers=apart, scale=x.std(0)))
    found = Metamers(torch.cat([part.x for part in parts]), torch.cat([part.distance for part in parts]))
    return [*results, _judged("distance to the orbit", found, family.orbit_distance(chosen, found.x) / apart)]


def _distance_to(target: Tensor, family: TransformationFamily) -> Function:
    return lambda x: family.orbit_distance(target.expand_as(x), x)[:, None]


def _judged(name: str, found: Metamers, distance: Tensor, convicted: float | None = None) -> Calibrated:
    """The result of attacks on an oracle.

    Args:
        name: The oracle's name.
        found: The ends of attacks.
        distance: True distances there, relative to that of strangers.
        convicted: Success that attacks on an incomplete oracle must reach; on a complete one it must be near 0.
    """
    far = distance > FAR
    ended, success = float(found.ended.double().mean()), float((found.ended & far).double().mean())
    passed = ended >= ENDING and (success <= ACQUITTED if convicted is None else success >= convicted)
    return Calibrated(name, ended, success, passed)


def run_trial(
    encoder: Encoder,
    data: AuditData,
    distances: Distances,
    algebra: Algebra,
    *,
    targets: int,
    starts: int,
    tell: Tell = lambda step: None,
) -> Trial:
    """Attack a code.

    Args:
        encoder: The encoder.
        data: Samples, and their true distances where these are known.
        distances: Reference distances of the code.
        algebra: The code's symmetries, which move some of the starts.
        targets: Number of targets.
        starts: Number of starts per target.
        tell: Called with each step before it starts.
    """
    tell(Step("calibration of the attack"))
    oracles = calibrate(min(data.dim, CALIBRATED), targets, starts, data.seed)
    tell(of_attack(encoder, targets * starts, data.dim))
    generator = seeded_generator(data.seed, "attack")
    x, entity = (data.x, None) if data.family else data.labelled()
    chosen, begins = _targets_and_starts(x, targets, starts, generator, algebra)
    found = attack(
        encoder, encoder.encode(chosen), begins, strangers=distances.strangers, scale=x.std(0).clamp(min=1e-9)
    )
    apart = data.orbit_distance(chosen, found.x)
    success = None if apart is None else float((found.ended & (apart > FAR)).double().mean())
    matched = float((found.distance < distances.threshold).double().mean())
    outcome = Outcome(float(found.ended.double().mean()), success, matched)
    from_known = None if entity is None else _from_known(found.x, x, entity, starts)
    found = replace(found, x=found.x * data.unit)
    return Trial(oracles, outcome, chosen * data.unit, starts, found, apart, from_known)


def _from_known(metamers: Tensor, x: Tensor, entity: Tensor, starts: int) -> Tensor:
    """Distance of metamers from the nearest known sample of their entity, relative to distances within entities."""
    nearest, within = [], []
    for target, found in enumerate(metamers.split(starts)):
        known = x[entity == entity[target]]
        nearest.append(torch.cdist(found, known).amin(1))
        within.append(torch.cdist(x[[target]], known)[0].sort().values[1:2])
    return torch.cat(nearest) / torch.cat(within).median().clamp(min=1e-300)


def _targets_and_starts(
    x: Tensor, targets: int, starts: int, generator: torch.Generator, algebra: Algebra | None = None
) -> tuple[Tensor, Tensor]:
    """Targets, repeated for each of their starts, and the starts: other samples, mirror images, and equal spectra.

    If a code has symmetries, targets moved by them are starts too.
    """
    targets = min(targets, len(x))
    chosen = x[:targets].repeat_interleave(starts, dim=0)
    begins = x[torch.randint(targets, max(len(x), targets + 1), (len(chosen),), generator=generator) % len(x)]
    kind = torch.arange(len(chosen)) % 4
    noise = 0.1 * x.std(0) * torch.randn(chosen.shape, generator=generator, dtype=x.dtype)
    begins = torch.where((kind == 1)[:, None], chosen.flip(1) + noise, begins)
    begins = torch.where((kind == 2)[:, None], _of_equal_modulus(chosen, generator), begins)
    if algebra is not None and algebra.dimension:
        basis = algebra.basis[:64]
        factors = torch.randn(len(chosen), len(basis), generator=generator, dtype=x.dtype)
        moves = torch.matrix_exp(torch.einsum("nk,kij->nij", factors, basis))
        moved = (moves @ (chosen @ algebra.white.to)[:, :, None])[..., 0] @ algebra.white.back
        begins = torch.where((kind == 3)[:, None], moved, begins)
    return chosen, begins


def _of_equal_modulus(x: Tensor, generator: torch.Generator) -> Tensor:
    """Samples with the same moduli of the DFT as ``x``, ``(n, d)``, and random phases, or signs where bins are real."""
    d = x.shape[1]
    spectrum = torch.fft.rfft(x)
    turns = torch.exp(2j * math.pi * torch.rand(spectrum.shape, generator=generator, dtype=x.dtype))
    real = [0, d // 2] if d % 2 == 0 else [0]
    turns[:, real] = turns[:, real].real.sign().to(turns.dtype)
    return torch.fft.irfft(spectrum * turns, n=d)
