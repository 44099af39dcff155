"""Every family against direct formulas."""

from __future__ import annotations

import cmath
import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from invlearn.data import PermutationCycle, Shift, ShiftScale, TransformationFamily, TwoPart
from invlearn.data.contrast import Contrast
from invlearn.data.dihedral import Dihedral
from invlearn.data.family import roll_rows, shift_distance
from invlearn.data.mirror import Mirror
from invlearn.data.permutation import Permutation
from invlearn.data.rotation3d import Rotation3D
from invlearn.data.seeding import seeded_generator
from invlearn.data.shift2d import Shift2D
from invlearn.data.signed_permcycle import SignedPermutationCycle
from invlearn.data.spectrum import dft
from tests.support.errors import names, naming

FAMILIES = [Shift, TwoPart, PermutationCycle, ShiftScale, Dihedral, Shift2D, SignedPermutationCycle]
"""Those with a spectrum."""

ELEMENTS = {
    Shift: 6,
    TwoPart: 9,
    PermutationCycle: 6,
    ShiftScale: 6,
    Dihedral: 12,
    Shift2D: 6,
    SignedPermutationCycle: 12,
    Mirror: 2,
    Permutation: 6,
}
"""Elements of the group at d = 6, up to scale."""

DIMS = [4, 10, 64]


def family_of(kind: type[TransformationFamily], dim: int, **settings) -> Any:
    if kind is Shift2D:
        settings["rows"] = 2
    if kind is Permutation:
        settings["coordinates"] = 2
    return kind(dim=dim, size=200, valid_size=100, test_size=100, **settings)


def slow_dft(x: list[float]) -> list[complex]:
    d = len(x)
    return [sum(x[j] * cmath.exp(-2j * math.pi * j * k / d) for j in range(d)) for k in range(d)]


def slow_invariant(family: TransformationFamily, x: list[float]) -> list[float]:
    d = len(x)
    if isinstance(family, TwoPart):
        return [abs(v) for half in (x[: d // 2], x[d // 2 :]) for v in slow_dft(half)]
    if isinstance(family, SignedPermutationCycle):
        once = [x[i] * sign for i, sign in zip(family.order.tolist(), family.signs.tolist(), strict=True)]
        return [abs(v) / 2 for v in slow_dft([*once, *(-v for v in once)])[1::2]]
    if isinstance(family, PermutationCycle):
        return [abs(v) for v in slow_dft([x[i] for i in family.order.tolist()])]
    if isinstance(family, Shift2D):
        rows = [slow_dft(x[: d // 2]), slow_dft(x[d // 2 :])]
        return [abs(a + sign * b) for sign in (1, -1) for a, b in zip(*rows, strict=True)]
    modulus = [abs(v) for v in slow_dft(x)]
    if isinstance(family, ShiftScale):
        norm = math.sqrt(sum(m * m for m in modulus))
        return [math.sqrt(d) * m / norm for m in modulus]
    return modulus


def slow_orbit(family: TransformationFamily, x: list[float]) -> list[list[float]]:
    """Every image of x, written with lists and remainders."""
    d = len(x)

    def rolls(v: list[float]) -> list[list[float]]:
        return [[v[(i - s) % len(v)] for i in range(len(v))] for s in range(len(v))]

    if isinstance(family, TwoPart):
        return [left + right for left, right in itertools.product(rolls(x[: d // 2]), rolls(x[d // 2 :]))]
    if isinstance(family, SignedPermutationCycle):
        order, signs = family.order.tolist(), family.signs.tolist()
        images = [x]
        for _ in range(2 * d - 1):
            image = [0.0] * d
            for position in range(d):
                wraps = -1 if position == d - 1 else 1
                to = (position + 1) % d
                image[order[to]] = images[-1][order[position]] * signs[position] * signs[to] * wraps
            images.append(image)
        return images
    if isinstance(family, PermutationCycle):
        order = family.order.tolist()
        images = []
        for steps in range(d):
            image = [0.0] * d
            for position in range(d):
                image[order[(position + steps) % d]] = x[order[position]]
            images.append(image)
        return images
    if isinstance(family, Shift2D):
        rows = zip(rolls(x[: d // 2]), rolls(x[d // 2 :]), strict=True)
        return [image for upper, lower in rows for image in (upper + lower, lower + upper)]
    if isinstance(family, Permutation):
        points = [x[i : i + family.coordinates] for i in range(0, d, family.coordinates)]
        return [list(itertools.chain(*order)) for order in itertools.permutations(points)]
    if isinstance(family, Mirror):
        return [x, x[::-1]]
    return [*rolls(x), *rolls(x[::-1])] if isinstance(family, Dihedral) else rolls(x)


@given(st.integers(2, 40), st.integers(0, 2**32))
def test_dft_is_the_sum(d: int, seed: int) -> None:
    x = torch.rand(d, generator=seeded_generator(seed), dtype=torch.float64) * 2 - 1
    torch.testing.assert_close(dft(x), torch.tensor(slow_dft(x.tolist()), dtype=torch.complex128))


@given(st.integers(2, 65), st.integers(0, 1000))
def test_real_bins_have_phase_zero_or_pi(d: int, seed: int) -> None:
    x = torch.randn(50, d, generator=seeded_generator(seed), dtype=torch.float64)
    phase = torch.angle(dft(x))[:, [0, d // 2] if d % 2 == 0 else [0]]
    assert ((phase == 0) | (phase == math.pi)).all()


@pytest.mark.parametrize("x", [[0.0, 0, 0, 0], [1.0, 1, 1, 1], [0.3, -0.3, 0.3, -0.3]])
def test_absent_frequencies_have_phase_zero(x: list[float]) -> None:
    spectrum = dft(torch.tensor(x) * 0.1)
    absent = torch.tensor([abs(v) < 1e-6 for v in slow_dft(x)])
    assert (spectrum[absent] == 0).all()
    assert (torch.angle(spectrum[absent]) == 0).all()


def test_shift_moves_to_the_right() -> None:
    x = torch.tensor([[1.0, 2, 3, 4, 5]])
    assert Shift(dim=5).act(torch.tensor([2]), x).tolist() == [[4, 5, 1, 2, 3]]
    assert torch.equal(roll_rows(x, torch.tensor([3])), torch.roll(x, 3, dims=-1))


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("dim", DIMS)
def test_invariant_is_the_formula_and_never_changes(kind: type[TransformationFamily], dim: int) -> None:
    family = family_of(kind, dim)
    generator = seeded_generator(1)
    x = family.signals(50, generator)
    moved = family.act(family.sample(50, generator), x)
    assert not torch.allclose(moved, x)
    torch.testing.assert_close(family.invariant(moved), family.invariant(x))
    expected = torch.tensor([slow_invariant(family, row) for row in x[:5].tolist()], dtype=torch.float64)
    torch.testing.assert_close(family.invariant(x[:5]), expected)


@pytest.mark.parametrize("kind", ELEMENTS)
def test_actions_are_those_of_the_group(kind: type[TransformationFamily]) -> None:
    family = family_of(kind, 6)
    generator = seeded_generator(2)
    x = family.signals(300, generator)
    moved = family.act(family.sample(300, generator), x)
    seen = set()
    for row, image in zip(x.tolist(), moved.tolist(), strict=True):
        scale = math.dist(image, [0] * 6) / math.dist(row, [0] * 6)
        assert 0.5 <= scale <= 2.0 if kind is ShiftScale else math.isclose(scale, 1)
        matches = [
            k for k, orbit in enumerate(slow_orbit(family, row)) if math.dist(image, [scale * v for v in orbit]) < 1e-9
        ]
        assert len(matches) == 1
        seen.update(matches)
    assert len(seen) == ELEMENTS[kind]  # every element comes up


@given(kind=st.sampled_from(FAMILIES), half=st.integers(1, 20), seed=st.integers(0, 1000), data=st.data())
def test_distance_is_zero_exactly_on_orbits(kind, half: int, seed: int, data: st.DataObject) -> None:
    distance = data.draw(st.sampled_from(["spectral", "orbit", "binary"]))
    pairs = family_of(kind, 2 * half, distance=distance).pairs("train", seed)
    assert (pairs.distance[0::2] == 0).all()
    assert (pairs.distance[1::2] > 0).all()


@pytest.mark.parametrize("kind", FAMILIES)
def test_spectral_distance_is_the_formula(kind: type[TransformationFamily]) -> None:
    family = family_of(kind, 6)
    x, x_prime, distance = (part[1:40:2] for part in family.pairs("test", 5))
    expected = [
        math.dist(slow_invariant(family, a), slow_invariant(family, b))
        for a, b in zip(x.tolist(), x_prime.tolist(), strict=True)
    ]
    torch.testing.assert_close(distance, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("kind", ELEMENTS)
def test_orbit_distance_is_the_minimum_over_the_orbit(kind: type[TransformationFamily]) -> None:
    family = family_of(kind, 6, distance="orbit")
    x, x_prime, distance = (part[1:40:2] for part in family.pairs("test", 5))
    if kind is ShiftScale:
        x, x_prime = (math.sqrt(6) * v / v.norm(dim=-1, keepdim=True) for v in (x, x_prime))
    expected = [
        min(math.dist(a, image) for image in slow_orbit(family, b))
        for a, b in zip(x.tolist(), x_prime.tolist(), strict=True)
    ]
    torch.testing.assert_close(distance, torch.tensor(expected, dtype=torch.float64))


def test_sign_flips_are_part_of_the_orbit() -> None:
    family = family_of(ShiftScale, 7, sign_flips=True)
    generator = seeded_generator(3)
    x = family.signals(200, generator)
    g = family.sample(200, generator)
    assert 50 < int((g.scale < 0).sum()) < 150
    assert (family.orbit_distance(x, family.act(g, x)) < 1e-12).all()
    assert (family_of(ShiftScale, 7).orbit_distance(x, -x) > 0.1).all()


def test_a_mirror_image_has_the_same_spectrum_but_another_orbit() -> None:
    x = Shift(dim=10).signals(100, seeded_generator(4))
    family = Shift(dim=10)
    assert torch.allclose(family.invariant(x), family.invariant(x.flip(-1)))
    assert (family.orbit_distance(x, x.flip(-1)) > 1e-3).all()


def test_shift_distance_is_exactly_zero_on_an_orbit() -> None:
    x = Shift(dim=33).signals(100, seeded_generator(5))
    assert (shift_distance(x, roll_rows(x, torch.arange(100) % 33)) == 0).all()


def test_half_of_the_different_pairs_of_twopart_agree_in_one_part() -> None:
    family = family_of(TwoPart, 8)
    x, x_prime, distance = (part[1::2] for part in family.pairs("train", 0))
    modulus, modulus_prime = family.invariant(x), family.invariant(x_prime)
    left = ((modulus - modulus_prime)[:, :4].abs() < 1e-9).all(1)
    right = ((modulus - modulus_prime)[:, 4:].abs() < 1e-9).all(1)
    assert (int(left.sum()), int(right.sum()), int((left & right).sum())) == (25, 25, 0)
    assert (distance > 0).all()


def test_different_pairs_of_shiftscale_do_not_differ_in_norm() -> None:
    x, x_prime, _ = family_of(ShiftScale, 10).pairs("train", 0)
    ratio = x_prime.norm(dim=1) / x.norm(dim=1)
    same, different = ratio[0::2].log().std(), ratio[1::2].log().std()
    assert 0.7 < float(same / different) < 1.1


def test_orbits_are_two_images_of_one_entity() -> None:
    for kind in FAMILIES:
        family = family_of(kind, 6)
        query, gallery = family.query_and_gallery(0)
        assert query.shape == gallery.shape == (1000, 6)
        torch.testing.assert_close(family.invariant(query), family.invariant(gallery))
        assert (query != gallery).any(1).float().mean() > 0.8
        assert not torch.equal(family.query_and_gallery(1)[0], query)


def test_splits_and_seeds_are_independent_draws() -> None:
    family = family_of(Shift, 5)
    draws = [family.pairs(split, seed).x[0, 0].item() for split in ("train", "valid", "test") for seed in (0, 1)]
    draws.append(family.spectra("train", 0).x[0, 0].item())
    assert len(set(draws)) == len(draws)
    assert torch.equal(family.pairs("train", 7).x, family.pairs("train", 7).x)
    assert len(family.pairs("train", 0).x) == 200
    assert len(family.pairs("test", 0).x) == 100


def test_rotations_are_uniform_and_the_nearest_is_found() -> None:
    family = Rotation3D(dim=12)
    generator = seeded_generator(6)
    g = family.sample(20_000, generator)
    torch.testing.assert_close(g @ g.mT, torch.eye(3, dtype=g.dtype).expand_as(g))
    torch.testing.assert_close(torch.linalg.det(g), torch.ones(len(g), dtype=g.dtype))
    # Uniform: E[trace] = 0 and E[trace²] = 1, the characters of a representation that is irreducible.
    trace = g.diagonal(dim1=1, dim2=2).sum(-1)
    assert abs(float(trace.mean())) < 0.03
    assert abs(float(trace.square().mean()) - 1) < 0.05
    x, x_prime = family.signals(2, generator)
    distance = family.orbit_distance(x[None], x_prime[None])
    tried = torch.linalg.vector_norm(x - family.act(g, x_prime.expand(len(g), -1)), dim=-1)
    assert distance <= tried.min() < 1.05 * distance
    mirrored = x.view(-1, 3) * torch.tensor([1, 1, -1])
    assert family.orbit_distance(x[None], mirrored.view(1, -1)) > 0.1


def test_contrast_is_factor_and_offset() -> None:
    family = Contrast(dim=6, min_scale=0.25, max_offset=3.0)
    x = family.signals(500, seeded_generator(0))
    g = family.sample(500, seeded_generator(1))
    assert 0.25 <= float(g.factor.min()) < 0.3
    assert 1.8 < float(g.factor.max()) <= 2
    assert -3 <= float(g.offset.min()) < -2.8
    assert 2.8 < float(g.offset.max()) <= 3
    expected = x * g.factor[:, None] + g.offset[:, None]
    torch.testing.assert_close(family.act(g, x), expected)
    assert (family.orbit_distance(x, expected) < 1e-12).all()
    assert (family.orbit_distance(x, -x) > 0.1).all()


def test_cycle_is_stored_and_can_be_given() -> None:
    drawn = PermutationCycle(dim=9, cycle_seed=3)
    given_back = PermutationCycle(dim=9, cycle=drawn.order.tolist())
    x = drawn.signals(10, seeded_generator(0))
    assert torch.equal(drawn.invariant(x), given_back.invariant(x))
    assert not torch.equal(drawn.order, PermutationCycle(dim=9, cycle_seed=4).order)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Shift(dim=1), names(key="dim", value=[2, 1])),
        (lambda: TwoPart(dim=7), names(key="dim", value=7, also=["even"])),
        (lambda: Shift(size=1), names(key="size", value=[2, 1])),
        (lambda: PermutationCycle(dim=3, cycle=[0, 1, 1]), names(key="cycle")),
        (lambda: ShiftScale(min_scale=0.0), names(key=["min_scale", "max_scale"], value=0)),
        (lambda: ShiftScale(min_scale=3.0), names(key=["min_scale", "max_scale"], value=0)),
        (lambda: Shift2D(dim=16, rows=3), names(key="rows", value=[16, 3])),
        (lambda: Rotation3D(dim=10), names(key="dim", value=[3, 10])),
        (lambda: Permutation(dim=18, coordinates=4), names(key="coordinates", value=[18, 4])),
        (lambda: Permutation(dim=3), names(key="coordinates", value=3)),
        (lambda: Contrast(dim=2), names(key="dim", value=[3, 2])),
        (lambda: Contrast(max_scale=0.1), names(key=["min_scale", "max_scale"], value=0.1)),
        (lambda: Contrast(max_offset=-1.0), names(key="max_offset", value=-1.0)),
    ],
)
def test_bad_settings_are_named(make, named: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=naming(**named)):
        make()
