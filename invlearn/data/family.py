"""Transformation families: groups that act on signals, and the samples drawn from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from invlearn.data.batches import EntityBatch, Pairs
from invlearn.data.dataset import GALLERY, Split
from invlearn.data.mixing import random_mixing
from invlearn.data.seeding import seeded_generator

__all__ = ["TransformationFamily", "roll_rows", "shift_distance"]

SAMPLES_PER_ENTITY = 4
"""Images of each signal in a batch of entities."""


@dataclass(frozen=True, kw_only=True)
class TransformationFamily(ABC):
    r"""A group G acting on signals of R^d, named by an invariant m(x) that G never changes.

    Signals have features drawn independently and uniformly from [-1, 1]. Half of the pairs (x, x') are the same entity,
    x' = g·x; half are different entities, x' = g·y. g acts on both kinds, because otherwise the norm of x' could reveal
    the label.

    A family draws *samples*: plain signals, or signals behind a hidden linear map (``mixing``). The methods that a
    subclass defines (``sample``, ``act``, ``invariant``, ``orbit_distance``) take signals; ``unmix`` converts samples
    to signals. A family with a complete invariant also has ``complete_invariant``
    (``invlearn.data.HasCompleteInvariant``). All methods are batched, and those of one or two signals are
    differentiable almost everywhere.

    Args:
        dim: Number of features d of a signal, at least 2.
        distance: d* of different entities. ``spectral``: ‖m(x) - m(x')‖, the paper's (Section 5.1). ``orbit``: the
            smallest ‖x - g·x'‖ over the group (ours), which is 0 only on the same orbit; a mirrored signal has the same
            \|DFT\|. ``binary``: 1 (ours).
        size: Training examples.
        valid_size: Validation examples.
        test_size: Test examples.
        seed: ``None`` lets each replica draw its own data from its own seed; with a number all replicas share one draw.
        mixing: ``random`` hides signals behind one invertible linear map, drawn from ``seed`` (from 0 if that is
            ``None``); all replicas share the map. Distances d* are measured before the map.

    Raises:
        ValueError: A setting is out of range.
    """

    dim: int = 10
    distance: Literal["spectral", "orbit", "binary"] = "spectral"
    size: int = 60_000
    valid_size: int = 10_000
    test_size: int = 10_000
    seed: int | None = None
    mixing: Literal["none", "random"] = "none"

    def __post_init__(self) -> None:
        if self.dim < 2:
            raise ValueError(f"dim must be at least 2, got {self.dim}")
        for name in ("size", "valid_size", "test_size"):
            if getattr(self, name) < 2:
                raise ValueError(
                    f"{name} must be at least 2 (one same and one different pair), got {getattr(self, name)}"
                )

    @property
    def entities_per_epoch(self) -> int:
        """As many as pairs."""
        return self.size

    @property
    def redraws(self) -> bool:
        """Training examples stay the same."""
        return False

    def on(self, device: torch.device | str) -> TransformationFamily:
        """Itself: signals are drawn once, in double precision on the CPU."""
        return self

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> Any:
        """Draw ``n`` elements of the group, uniformly; each family chooses their type."""

    @abstractmethod
    def act(self, g: Any, x: Tensor) -> Tensor:
        """Apply ``n`` group elements to ``n`` signals ``(n, d)``, one each."""

    @abstractmethod
    def invariant(self, x: Tensor) -> Tensor:
        """The invariant m(x) of signals ``(*, d)``, ``(*, D)``; it need not separate all orbits."""

    @abstractmethod
    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """Smallest ‖x - g·x'‖ over the group, ``(n,)``, for ``(n, d)`` signals."""

    @cached_property
    def mixing_matrix(self) -> Tensor | None:
        """The matrix A that maps signals to samples, ``(d, d)`` in float64; None without a mixing."""
        if self.mixing == "none":
            return None
        return random_mixing(self.dim, seeded_generator(self.seed or 0, "mixing"))

    def mix(self, signals: Tensor) -> Tensor:
        """Samples ``(*, d)`` of signals ``(*, d)``."""
        return signals if self.mixing_matrix is None else signals @ self.mixing_matrix.T.to(signals)

    def unmix(self, samples: Tensor) -> Tensor:
        """Signals ``(*, d)`` of samples ``(*, d)``."""
        if self.mixing_matrix is None:
            return samples
        return samples @ torch.linalg.inv(self.mixing_matrix).T.to(samples)

    def signals(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n, d)`` signals, uniform on [-1, 1], in float64."""
        return torch.rand(n, self.dim, generator=generator, dtype=torch.float64) * 2 - 1

    def others(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw an entity different from each of the signals ``x``, ``(n, d)``."""
        return self.signals(len(x), generator)

    def true_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        """Distance d* between different entities, ``(n,)``, as set by ``distance``."""
        if self.distance == "spectral":
            return torch.linalg.vector_norm(self.invariant(x) - self.invariant(x_prime), dim=-1)
        if self.distance == "orbit":
            return self.orbit_distance(x, x_prime)
        return torch.ones(len(x), dtype=x.dtype)

    def sample_pairs(self, n: int, generator: torch.Generator) -> Pairs:
        """Draw ``n`` pairs of signals in float64, same and different entities in turn: any prefix is balanced too."""
        x = self.signals(n, generator)
        y = x.clone()
        y[1::2] = self.others(x[1::2], generator)
        x_prime = self.act(self.sample(n, generator), y)
        distance = torch.zeros(n, dtype=x.dtype)  # exactly 0 on an orbit, without the rounding errors of a formula
        distance[1::2] = self.true_distance(x[1::2], x_prime[1::2])
        return Pairs(x, x_prime, distance)

    def pairs(self, split: Split, seed: int) -> Pairs:
        """The pairs of a split, ``(size, d)``, drawn from ``seed`` and the split's own generator."""
        x, x_prime, distance = self.sample_pairs(self._size(split), seeded_generator(seed, "pairs", split))
        return Pairs(self.mix(x), self.mix(x_prime), distance)

    def check_entities(self) -> None:
        """Refuse a distance that cannot be computed from reference points of entities.

        Raises:
            ValueError: ``distance`` is ``orbit``.
        """
        if self.distance == "orbit":
            raise ValueError("dataset.distance=orbit has no distances in a batch of entities; try loss.pairs=drawn")

    def entities(self, split: Split, seed: int) -> EntityBatch:
        """Four images each of ``size`` signals, ``(size, 4, d)``, all of them different entities."""
        self.check_entities()
        generator = seeded_generator(seed, "groups", split)
        x = self.signals(self._size(split), generator)
        images = [self.act(self.sample(len(x), generator), x) for _ in range(SAMPLES_PER_ENTITY)]
        reference = self.invariant(x) if self.distance == "spectral" else x[:, :0]
        return EntityBatch(self.mix(torch.stack(images, dim=1)), torch.arange(len(x)), reference[:, None])

    def query_and_gallery(self, seed: int) -> tuple[Tensor, Tensor]:
        """Two random images g·x and g'·x each of 1,000 test entities, ``(1000, d)`` twice."""
        generator = seeded_generator(seed, "orbits", "test")
        x = self.signals(GALLERY, generator)
        query, gallery = (self.mix(self.act(self.sample(GALLERY, generator), x)) for _ in range(2))
        return query, gallery

    def _size(self, split: Split) -> int:
        return {"train": self.size, "valid": self.valid_size, "test": self.test_size}[split]


def roll_rows(x: Tensor, shift: Tensor) -> Tensor:
    """Shift every row of ``x``, ``(n, d)``, circularly by its own ``shift``, ``(n,)``, as ``torch.roll`` does.

    Example:
        >>> roll_rows(torch.tensor([[1, 2, 3, 4, 5]]), torch.tensor([2]))
        tensor([[4, 5, 1, 2, 3]])
    """
    d = x.shape[-1]
    return x.gather(-1, (torch.arange(d, device=x.device) - shift[:, None]) % d)


def shift_distance(x: Tensor, x_prime: Tensor) -> Tensor:
    """Smallest ‖x - roll(x', s)‖ over all shifts s, ``(n,)``, in O(n d log d).

    The best shift is the peak of the circular cross-correlation. The distance at this shift is computed directly,
    because the correlation would leave rounding errors in distances of 0.
    """
    correlation = torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(x_prime).conj(), n=x.shape[-1])
    return torch.linalg.vector_norm(x - roll_rows(x_prime, correlation.argmax(-1)), dim=-1)
