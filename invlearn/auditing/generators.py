"""Readable generators: an algebra's basis, rotated to planes or to few features, and described in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from invlearn.auditing.algebra import White
from invlearn.data.seeding import seeded_generator

__all__ = ["describe", "readable_basis", "without_unseen"]

ALIKE = 0.05
"""Share of a generator's squared norm by which it may differ from its description."""

MOST_TURNED = 128
"""Maximal number of generators whose basis is rotated."""

COMBINATIONS = 200
"""Number of random combinations of generators; the one that separates planes best is taken."""

ROUNDS = 60
"""Steps of varimax."""


def without_unseen(basis: Tensor, unseen: Tensor) -> Tensor:
    """A basis of the symmetries outside the directions that the code ignores.

    Args:
        basis: Orthonormal moves in white coordinates, ``(K, r, r)``.
        unseen: Orthonormal directions that the code ignores, ``(r, m)``.
    """
    if not unseen.shape[1]:
        return basis
    rest = basis - unseen @ (unseen.T @ basis)
    rest = rest - (rest @ unseen) @ unseen.T
    _, sizes, rows = torch.linalg.svd(rest.flatten(1), full_matrices=False)
    return rows[sizes > 0.5].view(-1, *basis.shape[1:])


def readable_basis(basis: Tensor, white: White, seed: int = 0) -> Tensor:
    """Another basis of an algebra, in samples' coordinates ``(K, d, d)``, of length 1 each.

    A torus gets one generator for each plane that it rotates; another algebra gets sparse matrices, by varimax.

    Args:
        basis: Orthonormal moves in white coordinates, ``(K, r, r)``.
        white: These coordinates.
        seed: Seed of random combinations.
    """
    if not 1 < len(basis) <= MOST_TURNED:
        turned = white.matrix(basis)
    else:
        planes = _planes(basis, seed)
        turned = _sparse(white.matrix(basis)) if planes is None else white.matrix(planes)
    return turned / turned.flatten(1).norm(dim=1)[:, None, None].clamp(min=1e-300)


def _planes(basis: Tensor, seed: int) -> Tensor | None:
    """A rotation for each plane that commuting generators rotate, and the rest of the basis; None without a plane."""
    count = len(basis)
    commutators = torch.stack([one @ other - other @ one for one, other in pairwise([*basis, basis[0]])])
    if float(commutators.flatten(1).norm(dim=1).max()) > ALIKE:
        return None
    factors = torch.randn(COMBINATIONS, count, generator=seeded_generator(seed, "planes"), dtype=torch.float64)
    combinations = torch.einsum("ck,kij->cij", factors / factors.norm(dim=1, keepdim=True), basis)
    speeds = torch.linalg.eigvals(combinations).imag.sort(dim=1, descending=True).values[:, : count + 1]
    best = int((speeds[:, :-1] - speeds[:, 1:]).amin(1).argmax())  # separates planes by their speeds
    values, vectors = torch.linalg.eig(combinations[best])
    inverse = torch.linalg.pinv(vectors)
    turning = values.imag > 1e-3 * values.abs().max()
    planes = -2 * (vectors.T[turning][:, :, None] * inverse[turning][:, None]).imag
    planes = planes / planes.flatten(1).norm(dim=1)[:, None, None]
    flat = basis.flatten(1)
    lost = (planes.flatten(1) - planes.flatten(1) @ flat.T @ flat).square().sum(1)
    planes = planes[lost < ALIKE]
    if not len(planes):
        return None
    rows = torch.linalg.qr(planes.flatten(1).T).Q
    _, sizes, others = torch.linalg.svd(flat - flat @ rows @ rows.T, full_matrices=False)
    return torch.cat([planes, others[sizes > 0.5].view(-1, *planes.shape[1:])])  # a scale, for one


def _sparse(basis: Tensor) -> Tensor:
    """Varimax: the rotation of a basis that makes its entries large or nearly 0."""
    rows = torch.linalg.qr(basis.flatten(1).T).Q
    count = rows.shape[1]
    rotation = torch.linalg.qr(torch.randn(count, count, generator=seeded_generator(0, "varimax"), dtype=rows.dtype)).Q
    for _ in range(ROUNDS):
        turned = rows @ rotation
        target = turned.pow(3) - turned * turned.square().mean(0)
        u, _, v = torch.linalg.svd(rows.T @ target)
        rotation = u @ v
    return (rows @ rotation).T.view(count, *basis.shape[1:])


def describe(matrix: Tensor, names: Sequence[str], cycle: Sequence[int] | None = None) -> str:
    """A generator in words.

    Args:
        matrix: ``(d, d)``, of length 1.
        names: Names of the features.
        cycle: Features in the order of a cycle along which a permutation moves them, if one was found.
    """
    d = len(matrix)
    kind = _scale(matrix)
    if kind:
        return kind
    row, column = divmod(int(matrix.abs().argmax()), d)
    pair = torch.zeros_like(matrix)
    pair[row, column], pair[column, row] = matrix[row, column], matrix[column, row]
    if row != column and _is_near(matrix, pair) and _is_near(pair, -pair.T):
        first, second = sorted((row, column))
        return f"rotation of {names[first]} and {names[second]}"
    return _blocks(matrix) or _phases(matrix, names, cycle) or _rank(matrix)


def _is_near(matrix: Tensor, other: Tensor) -> bool:
    return float((matrix - other).square().sum()) < ALIKE * float(matrix.square().sum())


def _scale(matrix: Tensor) -> str | None:
    """One factor for all features, or for the directions of a subspace."""
    if not _is_near(matrix, matrix.T):
        return None
    values = torch.linalg.eigvalsh((matrix + matrix.T) / 2)
    moved = values.abs() > values.abs().max() / 2
    level = values[moved].mean()
    if float((values - torch.where(moved, level, 0.0)).square().sum()) > ALIKE * float(values.square().sum()):
        return None
    count = int(moved.sum())
    return "scale of all features" if count == len(matrix) else f"scale in {count} dimension{'s' * (count > 1)}"


def _blocks(matrix: Tensor) -> str | None:
    """The same small rotation of all points, whether a sample holds point after point or axis after axis."""
    d = len(matrix)
    for size in (2, 3):
        count = d // size
        if d % size or count < 2:
            continue
        for shape, order in (((count, size), "point by point"), ((size, count), "axis by axis")):
            of_points = matrix.view(*shape, *shape)
            if order == "axis by axis":
                of_points = of_points.permute(1, 0, 3, 2)
            block = of_points.diagonal(dim1=0, dim2=2).mean(-1)
            same = torch.einsum("ij,ab->iajb", torch.eye(count, dtype=matrix.dtype), block)
            if _is_near(of_points, same) and _is_near(block, -block.T):
                return f"the same {size} x {size} rotation of all {count} points ({order})"
    return None


def _phases(matrix: Tensor, names: Sequence[str], cycle: Sequence[int] | None) -> str | None:
    """The phase of one frequency, of all features, of a half, or along a cycle."""
    d, half = len(matrix), len(matrix) // 2
    places = [(list(range(d)), "")]
    if d % 2 == 0:
        halves = (range(half), range(half, d))
        places += [(list(part), f" of {names[part[0]]} to {names[part[-1]]}") for part in halves]
    if cycle is not None:
        places.append((list(cycle), " along the cycle"))
    for order, where in places:
        index = torch.tensor(order)
        part = matrix[index][:, index]
        n = len(order)
        place = torch.arange(n)
        column = part[(place[:, None] + place) % n, place[:, None]].mean(0)
        circulant = column[(place[:, None] - place) % n]
        whole = torch.zeros_like(matrix)
        whole[index[:, None], index] = circulant
        if not _is_near(matrix, whole):
            continue
        power = torch.fft.rfft(column).abs().square()
        frequency = int(power.argmax())
        if float(power[frequency]) > (1 - ALIKE) * float(power.sum()) and 0 < frequency < n / 2:
            return f"phase of frequency {frequency}{where}"
        return f"a mixture of shifts{where}"
    return None


def _rank(matrix: Tensor) -> str:
    values = torch.linalg.svdvals(matrix)
    rank = int((values > math.sqrt(ALIKE) * values[0]).sum())
    kind = "rotation in" if _is_near(matrix, -matrix.T) else "linear map of rank"
    return f"a {kind} {rank}" + (" dimensions" if kind.endswith("in") else "")
