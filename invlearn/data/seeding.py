"""Random generators, one for each purpose."""

from __future__ import annotations

import hashlib

import torch

__all__ = ["derived_seed", "seeded_generator"]


def seeded_generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator that depends only on ``seed`` and ``purpose``.

    Every draw of invlearn names its purpose (``"train"`` data, ``"order"`` of epoch 7, ``"weights"``), so no draw can
    shift another, a resumed run needs no stored generator state, and CPU and GPU runs see the same numbers.

    Args:
        seed: Any integer.
        purpose: What is drawn, for example ``"order", 7``.

    Example:
        >>> a, b = seeded_generator(0, "weights"), seeded_generator(0, "order", 1)
        >>> bool(torch.rand((), generator=a) == torch.rand((), generator=b))
        False
    """
    return torch.Generator().manual_seed(derived_seed(seed, *purpose))


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A seed, 64 bits with a sign, that depends only on ``seed`` and ``purpose``."""
    digest = hashlib.sha256("/".join(map(str, (seed, *purpose))).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
