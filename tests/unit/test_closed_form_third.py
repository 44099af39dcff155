"""Third order: forms of subspaces, what couples them, and codes that tell mirror images apart."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from invlearn.closed_form import Polynomial, Solved, SolvedNetwork, fit, observe, stacked
from invlearn.closed_form import codes as codes_of_forms
from invlearn.closed_form.coupling import couplings
from invlearn.closed_form.forms import Forms
from invlearn.closed_form.frames import find_frame
from invlearn.closed_form.third import removing_nothing_told
from invlearn.data import PermutationCycle, Shift, ShiftScale, TransformationFamily, TwoPart
from invlearn.data.seeding import seeded_generator
from tests.support.errors import naming
from tests.support.training import CPU, entity_samples


def shortened(family: type[TransformationFamily], dim: int, **settings) -> TransformationFamily:
    return family(dim=dim, size=4_000, valid_size=1_000, test_size=1_000, **settings)


def solved_for(family: TransformationFamily, **settings) -> Solved:
    return fit(Polynomial(**settings), observe(family, 0, CPU), family.pairs("valid", 0), 0)


def codes(solved: Solved, x: Tensor) -> Tensor:
    return stacked(Polynomial(), [solved]).requires_grad_(False).encode(x[None].double())[0]


def changed(solved: Solved, x: Tensor, y: Tensor) -> float:
    """Squared distance of the codes of x and y, over that of different samples."""
    z = codes(solved, x)
    return float((z - codes(solved, y)).square().sum() / (z - z.roll(1, 0)).square().sum())


def test_forms_are_products_of_coordinates_in_three_subspaces() -> None:
    generator = torch.Generator().manual_seed(0)
    frame, coefficients, x = (
        torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((5, 2, 3), (4, 2, 2, 2), (1, 6, 5))
    )
    places = torch.tensor([[0, 0, 1], [0, 1, 3], [2, 2, 3], [1, 2, 3]])
    y = torch.cat([x.new_tensor([1, 0]).expand(6, 1, 2), torch.einsum("nd,dwk->nkw", x[0], frame)], dim=1)
    expected = [
        torch.einsum("np,nq,ns,pqs->n", *(y[:, place] for place in three), of)
        for three, of in zip(places.tolist(), coefficients, strict=True)
    ]
    forms = Forms.of(frame, places, coefficients)
    torch.testing.assert_close(forms(x)[0], torch.stack(expected, dim=1))
    assert torch.autograd.gradcheck(forms.requires_grad_(False), x.requires_grad_(True))


@pytest.mark.parametrize("dim", [7, 12])
def test_frequencies_that_add_up_are_coupled(dim: int) -> None:
    x, x_prime, _ = Shift(dim=dim, size=4_000).pairs("train", 0)
    parts = find_frame(x[0::2], x_prime[0::2], torch.Generator().manual_seed(0)).parts
    spectra = [torch.fft.rfft(part, dim=0).abs().sum(1) for part in parts]
    frequency = [int(spectrum.argmax()) for spectrum in spectra]
    places = couplings(parts, x[0::2], x_prime[0::2], exact=True).places.tolist()
    found = {tuple(sorted(frequency[place - 1] for place in of)) for of in places if 0 not in of}
    expected = {
        three
        for three in itertools.combinations_with_replacement(range(1, dim // 2 + 1), 3)
        if three[0] + three[1] == three[2] or sum(three) == dim
    }
    assert found == expected
    assert sum(0 in of for of in places) == dim // 2 + 1  # each plane's length, and the mean


def test_each_subspace_is_in_some_form_however_many_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invlearn.closed_form.coupling.MOST", 20)
    x, x_prime, _ = Shift(dim=20, size=4_000).pairs("train", 0)
    parts = find_frame(x[0::2], x_prime[0::2], torch.Generator().manual_seed(0)).parts
    found = couplings(parts, x[0::2], x_prime[0::2], exact=True)
    assert len(found.places.unique(dim=0)) <= 21
    cubic = found.places[found.places[:, 0] > 0]
    assert {*found.places.flatten().tolist()} == set(range(len(parts) + 1))
    assert len(cubic.unique()) >= len(parts) - 2


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        pytest.param(shortened(Shift, 9), {"complete": True}, id="all monomials would fit"),
        pytest.param(shortened(PermutationCycle, 20), {"degree": 3}, id="degree 3 of many features"),
        pytest.param(shortened(TwoPart, 20), {"complete": True}, id="twopart"),
        pytest.param(shortened(ShiftScale, 20), {"complete": True}, id="shiftscale"),
        pytest.param(shortened(Shift, 19, distance="orbit"), {"degree": 3}, id="distances that it does not meet"),
    ],
)
def test_mirror_images_are_told_apart(family: TransformationFamily, settings: dict) -> None:
    solved = solved_for(family, **settings)
    x = family.pairs("test", 0).x
    order = torch.as_tensor(family.cycle) if isinstance(family, PermutationCycle) else torch.arange(family.dim)
    mirrored = x[:, order].flip(1)[:, order.argsort()]
    moved = family.act(family.sample(len(x), seeded_generator(0, "moved")), x)
    assert changed(solved, x, moved) < 1e-20
    assert changed(solved, x, mirrored) > 0.1
    distances = [torch.linalg.vector_norm(codes(solved, x) - codes(solved, y), dim=1) for y in (moved, mirrored)]
    assert float(distances[1].min()) > 1e6 * float(distances[0].max())


@pytest.mark.parametrize("even", [True, False])
def test_points_in_space_are_told_from_their_mirror_images(even: bool) -> None:
    generator = seeded_generator(0, "points")
    count, points = 500, 7
    x = torch.randn(count, 1, points, 3, generator=generator, dtype=torch.float64)
    turns, _ = torch.linalg.qr(torch.randn(count, 3, 3, 3, generator=generator, dtype=torch.float64))
    turns = turns * torch.linalg.det(turns).sign()[..., None, None]
    if not even:  # some of each entity are mirrored too
        turns = turns * torch.tensor([1.0, -1.0, 1.0])[:, None, None]
    dataset = entity_samples((x @ turns).flatten(2))
    solved = fit(Polynomial(complete=True), observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)
    assert changed(solved, dataset.samples[0::3], dataset.samples[2::3]) < 1e-20
    assert (changed(solved, dataset.samples, -dataset.samples) > 0.1) == even
    assert solved.forms is not None
    assert solved.forms.features == 28 + (35 if even else 0)  # inner products, and determinants


def test_planes_are_estimated_with_pairs_that_count_as_often_as_they_are_drawn(monkeypatch) -> None:
    counted = []
    monkeypatch.setattr(codes_of_forms, "estimates", lambda observed, scorer, seed: counted.append(scorer.counts) or [])
    dataset = entity_samples(torch.randn(20, 3, 12, generator=seeded_generator(0, "few"), dtype=torch.float64))
    pairs = dataset.pairs("valid", 0)
    fit(Polynomial(complete=True), observe(dataset, 0, CPU), pairs, 0)
    assert len(counted[0]) < len(pairs.x) / 2
    assert int(counted[0].sum()) == len(pairs.x)


def test_noisy_samples_are_told_from_noisy_mirror_images() -> None:
    generator = seeded_generator(0, "cycle")
    dim, entities = 20, 800
    signals = torch.rand(entities, 1, dim, generator=generator, dtype=torch.float64) * 2 - 1
    shifts = torch.randint(dim, (entities, 4, 1), generator=generator)
    x = signals.expand(-1, 4, -1).gather(2, (torch.arange(dim) - shifts) % dim)
    x = x + 0.03 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    dataset = entity_samples(x)
    solved = fit(Polynomial(degree=3, refit=0), observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)
    assert solved.forms is not None
    query, gallery = (
        codes(solved, part[:160]) for part in (x[:, 0], torch.cat([x[:160, 1], x[:160, 2].flip(1)])[:160])
    )
    mirrored = codes(solved, x[:160, 2].flip(1))
    nearest = torch.cdist(query, torch.cat([gallery, mirrored])).argmin(1)
    assert float((nearest == torch.arange(160)).double().mean()) > 0.9


@pytest.mark.parametrize(("kind", "expected"), [("noise", "none"), ("scale", "sphere"), ("scale and offset", "auto")])
def test_only_what_tells_nothing_is_removed_of_samples(kind: str, expected: str) -> None:
    generator = seeded_generator(0, kind)
    x = torch.randn(100, 1, 9, generator=generator, dtype=torch.float64)
    size, shift, noise = (torch.rand(100, 3, width, generator=generator, dtype=torch.float64) for width in (1, 1, 9))
    samples = {"noise": x + 0.1 * noise, "scale": x * 8**size, "scale and offset": x * 8**size + 40 * (shift - 0.5)}
    observed = observe(entity_samples(samples[kind]), 0, CPU)
    assert removing_nothing_told(Polynomial(complete=True), observed, 0).normalize == expected
    assert removing_nothing_told(Polynomial(degree=3), observed, 0).normalize == "auto"


def test_replicas_with_and_without_forms_make_one_stack() -> None:
    settings = [{"complete": True}, {"degree": 2}, {"degree": 3, "rank": 4}, {"complete": True, "components": 3}]
    dims = [shortened(Shift, 9), shortened(Shift, 9), shortened(Shift, 9), shortened(ShiftScale, 9)]
    solved = [solved_for(family, **given) for family, given in zip(dims, settings, strict=True)]
    assert [one.forms is not None for one in solved] == [True, False, False, True]
    x = torch.rand(1, 9, 9, dtype=torch.float64)
    together = stacked(Polynomial(), solved)
    found = together.encode(x.expand(4, -1, -1))
    for replica, one in enumerate(solved):
        alone = codes(one, x[0])
        torch.testing.assert_close(found[replica, :, : alone.shape[1]], alone)
        assert not found[replica, :, alone.shape[1] :].any()
    like = SolvedNetwork.like(Polynomial(), together.state_dict())
    like.load_state_dict(together.state_dict(), assign=True)
    torch.testing.assert_close(like.encode(x.expand(4, -1, -1)), found)
    assert not any("forms" in name for name in stacked(Polynomial(), [solved[1]]).state_dict())


@pytest.mark.parametrize("name", ["frame", "factors", "coefficients"])
def test_forms_of_other_shapes_are_refused(name: str) -> None:
    parameters = dict(stacked(Polynomial(), [solved_for(shortened(Shift, 6), complete=True)]).state_dict())
    with pytest.raises(ValueError, match="parameters"):
        SolvedNetwork.like(Polynomial(), {**parameters, f"encoder.forms.{name}": torch.zeros(3)})


@pytest.mark.parametrize("kind", ["few", "twice", "constant", "tiny", "alone", "one feature", "no distortion"])
def test_odd_samples_have_finite_codes(kind: str) -> None:
    generator = seeded_generator(0, "odd")
    signals = torch.randn(60, 6, generator=generator, dtype=torch.float64)
    x = torch.stack([signals.roll(shift, 1) for shift in range(4)], dim=1)
    odd = {
        "few": x[:12, :2],
        "twice": x.repeat(1, 1, 2),
        "constant": torch.cat([x, torch.ones(60, 4, 2)], dim=2),
        "tiny": 1e-30 * x,
        "alone": x[:, :1],
        "one feature": x[..., :1],
        "no distortion": x[:, :1].repeat(1, 4, 1),
    }
    dataset = entity_samples(odd[kind])
    solved = fit(Polynomial(complete=True), observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)
    assert bool(torch.isfinite(codes(solved, dataset.samples)).all())


def test_a_complete_code_is_of_degree_3() -> None:
    assert Polynomial(complete=True).degree == 3
    with pytest.raises(ValueError, match=naming(key="degree")):
        Polynomial(complete=True, degree=2)
    assert replace(Polynomial(complete=True), ridge=0.1).complete


def test_noisy_samples_with_wrong_labels_are_left_out() -> None:
    generator = seeded_generator(0, "wrong")
    dim, entities = 12, 300
    signals = torch.randn(entities, 1, dim, generator=generator, dtype=torch.float64)
    shifts = torch.randint(dim, (entities, 6, 1), generator=generator)
    x = signals.expand(-1, 6, -1).gather(2, (torch.arange(dim) - shifts) % dim)
    x = x + 0.02 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    x[::20, 0] = x[::20, 0].roll(1, 0)  # of another entity
    dataset = entity_samples(x)
    settings = Polynomial(complete=True)
    solved = fit(settings, observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)
    assert solved.forms is not None
    assert not solved.exact
    assert solved.left_out > 0
    first = fit(replace(settings, refit=0), observe(dataset, 0, CPU), dataset.pairs("valid", 0), 0)
    assert solved.best.valid_loss < first.best.valid_loss
