"""What a transformation family must be: a check of one that somebody has written."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from invlearn.data.family import TransformationFamily
from invlearn.data.seeding import seeded_generator

__all__ = ["check_family"]

SIGNALS = 16
"""Signals that a family is tried on."""

ROUNDING = 1e-6
"""Largest change of an invariant, relative to its size, that counts as rounding."""


def check_family(family: TransformationFamily) -> None:
    """Try a family on a few signals.

    Shapes and types must be right, draws must depend on the generator alone, and ``act`` must not change the invariant
    or the distance of orbits. Whether ``act`` is the action of a group is not checked.

    Args:
        family: The family.

    Raises:
        ValueError: It is not as it must be; the message names the method.
    """
    x = family.signals(SIGNALS, seeded_generator(0, "contract"))
    _check_tensor("signals", x, (SIGNALS, family.dim))
    moved, again = _moved(family, x), _moved(family, x)
    _check_tensor("act", moved, x.shape)
    if not torch.equal(moved, again):
        raise ValueError("sample or act gives something else with the same generator; draw from the given one alone")
    invariant, after = (_called(family, "invariant", part) for part in (x, moved))
    _check_tensor("invariant", invariant, (SIGNALS, None))
    if not torch.allclose(invariant, after, rtol=0, atol=ROUNDING * float(invariant.abs().max())):
        raise ValueError("invariant changes under act")
    near, far = (_called(family, "orbit_distance", x, other) for other in (moved, _moved(family, x.roll(1, 0))))
    _check_tensor("orbit_distance", near, (SIGNALS,))
    if float(near.max()) > ROUNDING * float(far.median()):
        raise ValueError("orbit_distance is not 0 between a signal and act of it")


def _moved(family: TransformationFamily, x: Tensor) -> Tensor:
    given = x.clone()
    moved = _called(family, "act", _called(family, "sample", len(x), seeded_generator(0, "contract", "group")), given)
    if not torch.equal(given, x):
        raise ValueError("act changes the signals that it is given; return new ones")
    return moved


def _called(family: TransformationFamily, method: str, *arguments: Any) -> Any:
    try:
        return getattr(family, method)(*arguments)
    except Exception as error:
        raise ValueError(f"{method} fails on {SIGNALS} signals: {type(error).__name__}: {error}") from error


def _check_tensor(method: str, value: Any, shape: tuple[int | None, ...]) -> None:
    """Finite numbers in double precision, of a shape in which None is any size."""
    expected = f"a tensor of shape ({', '.join('D' if size is None else str(size) for size in shape)}) in float64"
    if not isinstance(value, Tensor):
        raise ValueError(f"{method} must return {expected}, got {type(value).__name__}")
    fits = value.ndim == len(shape) and all(size in (None, own) for size, own in zip(shape, value.shape, strict=True))
    if not fits or value.dtype != torch.float64:
        raise ValueError(f"{method} must return {expected}, got {tuple(value.shape)} in {value.dtype}")
    if not bool(value.isfinite().all()):
        raise ValueError(f"{method} returns numbers that are not finite")
