from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import invlearn
from invlearn.auditing.algebra import gap, symmetries
from invlearn.auditing.audit import Audit
from invlearn.auditing.data import AuditData
from invlearn.auditing.elements import Element, Signed, cycles_of, generated, signed_permutation
from invlearn.auditing.encoders import Encoder, probe
from invlearn.auditing.finite import SWAP, elements_of_pairs, swaps, variations
from invlearn.auditing.generators import describe, readable_basis
from invlearn.auditing.oracles import bispectrum, modulus
from invlearn.auditing.page import findings, page
from invlearn.auditing.profile import Distances, candidates
from invlearn.auditing.search import searched_elements
from invlearn.auditing.trial import calibrate
from invlearn.auditing.writing import write_audit
from invlearn.data import EntitySamples, PermutationCycle, Shift, TransformationFamily, TwoPart
from invlearn.errors import UserError
from tests.support.planted import PLANTED, gram, length, power_of_halves, random_network

SMALL: dict[str, Any] = {"size": 4_000, "valid_size": 500, "test_size": 4_000}


def samples(d: int, n: int = 6_000) -> Tensor:
    return Shift(dim=d).signals(n, torch.Generator().manual_seed(3))


def numbered(d: int) -> list[str]:
    return [str(index) for index in range(d)]


@pytest.mark.parametrize("d", [6, 18])
@pytest.mark.parametrize("name", PLANTED)
def test_planted_continuous_symmetries_are_found_and_none_is_invented(name, d):
    planted = PLANTED[name]
    x = samples(d)
    algebra = symmetries(probe(planted.function, x), x)
    assert algebra.dimension == algebra.linear.low == algebra.linear.high == planted.dimension(d)
    assert algebra.offsets == planted.offsets(d)


@pytest.mark.parametrize("derivatives", ["forward", "reverse", "differences"])
@pytest.mark.parametrize(("name", "dtype"), [("modulus", torch.float64), ("random network", torch.float64)])
def test_derivatives_agree(derivatives, name, dtype):
    x = samples(7, 40)
    exact = probe(PLANTED[name].function, x)
    encoder = Encoder(exact.function, name, dtype, derivatives, 1e-5, 1e-9, exact.width)
    mixing = torch.eye(exact.width, dtype=torch.float64)[:, :2]
    axes = torch.eye(7, dtype=torch.float64)[[2, 5]] * 3
    torch.testing.assert_close(encoder.jacobian(x), exact.jacobian(x), atol=1e-6, rtol=1e-6)
    expected = 3 * exact.jacobian(x)[:, :2, [2, 5]]
    torch.testing.assert_close(encoder.jacobian(x, axes, mixing), expected, atol=1e-6, rtol=1e-6)


def test_an_encoder_without_gradients_is_differentiated_by_differences():
    def opaque(x: Tensor) -> Tensor:
        return modulus(x.detach().float())

    x = samples(10)
    encoder = probe(opaque, x)
    assert (encoder.derivatives, encoder.dtype) == ("differences", torch.float64)
    assert 1e-6 < encoder.noise < 1e-2
    assert symmetries(encoder, x).dimension == 4


class Growing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, : 2 + len(x) % 3]


def of_batch(x: Tensor) -> Tensor:
    return x - x.mean(0)


def by_chance(x: Tensor) -> Tensor:
    return torch.dropout(x, 0.5, train=True)


def ending(x: Tensor) -> Tensor:
    raise SystemExit(0)


BAD: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "width changes": (Growing(), "width"),
    "NaN": (lambda x: (x - 5).log(), "finite"),
    "steps": (lambda x: (8 * x).round(), "not differentiable"),
    "other features": (lambda x: x @ torch.ones(3, 2, dtype=x.dtype), "features"),
    "stochastic": (by_chance, "dropout"),
    "of a batch": (of_batch, "batch"),
    "constant": (lambda x: 0 * x + 1, "same code"),
    "one number": (lambda x: x.sum(), "must map"),
    "no tensor": (lambda x: x.tolist(), "tensor"),
    "numpy": (lambda x: x.numpy(), "torch.from_numpy"),
    "Boolean": (lambda x: x > 0, "torch.bool"),
    "complex": (torch.fft.rfft, "torch.view_as_real"),
    "ends the process": (ending, "SystemExit"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_encoder_that_cannot_be_audited_is_named_with_the_reason(name):
    function, word = BAD[name]
    with pytest.raises(UserError, match=word) as error:
        probe(function, samples(10, 64), "mine")  # pyright: ignore[reportArgumentType]
    assert str(error.value).startswith("mine")
    assert "\n" not in str(error.value)


def test_an_encoder_that_fails_or_ends_the_process_later_is_named():
    def later(x: Tensor) -> Tensor:
        if len(x) > 64:
            raise SystemExit(0)
        return modulus(x)

    with pytest.raises(UserError, match=r"mine.*SystemExit"):
        probe(later, samples(10, 64), "mine").encode(samples(10, 100))


def test_codes_that_are_not_finite_for_a_few_samples_are_refused():
    def few(x: Tensor) -> Tensor:
        return torch.where(x[:, :1] > 0.95, torch.nan, modulus(x))

    data = Shift(dim=5, **SMALL)
    assert few(AuditData(data, "shifts", 0, numbered(5)).x[:32]).isfinite().all()
    with pytest.raises(UserError, match=r"few.* not finite"):
        invlearn.audit(few, data, attack=False)


def test_distortions_under_which_codes_are_not_finite_are_listed():
    def positive(x: Tensor) -> Tensor:
        return modulus((x + 1).log())

    family = Shift(dim=5, **SMALL)
    x = family.signals(10, torch.Generator().manual_seed(0))
    assert bool((x > -1).all())
    found = invlearn.audit(positive, family, attack=False)
    assert {"scale by 1.2", "noise of 0.2 spreads"} <= set(found.to_dict()["undefined"])
    json.dumps(found.to_dict(), allow_nan=False)
    assert "scale by 1.2" in page(found)


def test_an_encoder_that_changes_samples_in_place_does_no_harm():
    def in_place(x: Tensor) -> Tensor:
        return modulus(x.mul_(2))

    x = samples(6, 200)
    before = x.clone()
    encoder = probe(in_place, x)
    torch.testing.assert_close(encoder.encode(x), modulus(2 * before))
    assert x.equal(before)


def test_a_gap_is_a_jump_up_from_a_small_value():
    assert gap(torch.tensor([0.2, 0.3, 0.9]), 1e-7) == 0
    assert gap(torch.tensor([1e-9, 1e-8, 0.012, 0.02, 0.5]), 1e-7) == 4
    assert gap(torch.tensor([0.01, 0.02, 0.03, 0.04, 0.06]), 1e-7) == 0
    assert gap(torch.zeros(3), 1e-7) == 3


@pytest.mark.parametrize(
    ("function", "d", "expected"),
    [
        (modulus, 8, [f"phase of frequency {k}" for k in (1, 2, 3)]),
        (power_of_halves, 10, [f"phase of frequency {k} of {of}" for k in (1, 2) for of in ("0 to 4", "5 to 9")]),
        (gram, 12, ["the same 3 x 3 rotation of all 4 points (point by point)"] * 3),
        (length, 3, ["rotation of 0 and 1", "rotation of 0 and 2", "rotation of 1 and 2"]),
        (PLANTED["unit length"].function, 4, ["scale of all features"]),
        (
            lambda x: modulus(x) / length(x),
            6,
            ["phase of frequency 1", "phase of frequency 2", "scale of all features"],
        ),
    ],
)
def test_generators_are_recognised(function, d, expected):
    x = samples(d)
    algebra = symmetries(probe(function, x), x)
    basis = readable_basis(algebra.basis, algebra.white)
    assert sorted(describe(one, numbered(d)) for one in basis) == sorted(expected)
    for matrix in basis:  # and they leave the code alone for a finite time
        moved = x[:50] @ torch.matrix_exp(0.7 * matrix).T
        assert (function(moved) - function(x[:50])).abs().max() < 1e-6 or "scale" in describe(matrix, numbered(d))


def test_the_rotations_of_points_are_one_skew_block():
    x = samples(18)
    algebra = symmetries(probe(gram, x), x)
    for matrix in readable_basis(algebra.basis, algebra.white):
        blocks = matrix.view(6, 3, 6, 3).permute(0, 2, 1, 3)
        same = blocks.diagonal(dim1=0, dim2=1).permute(2, 0, 1)
        assert (same - same[0]).abs().max() < 1e-6
        assert (same[0] + same[0].T).abs().max() < 1e-6


def step(family: PermutationCycle) -> list[int]:
    """Where the value of each feature goes, one step along the cycle."""
    goes = [0] * family.dim
    order = family.order.tolist()
    for place, index in enumerate(order):
        goes[index] = order[(place + 1) % family.dim]
    return goes


def noisy(family: TransformationFamily, entities: int, noise: float) -> EntitySamples:
    generator = torch.Generator().manual_seed(7)
    x = family.signals(entities, generator)
    images = torch.stack([family.act(family.sample(entities, generator), x) for _ in range(4)], dim=1)
    images = images + noise * torch.randn(images.shape, generator=generator, dtype=images.dtype)
    parts = torch.arange(entities).split([entities * 8 // 10, entities // 10, entities // 10])
    return EntitySamples(
        samples=images.flatten(0, 1),
        entity=torch.arange(entities).repeat_interleave(4),
        splits=dict(zip(("train", "valid", "test"), parts, strict=True)),
        distance="binary",
        samples_per_entity=4,
        size=4_000,
        valid_size=1_000,
        test_size=1_000,
        seed=0,
    )


@pytest.mark.parametrize(("d", "noise"), [(7, 0.0), (20, 0.0), (10, 0.05)])
def test_the_hidden_cycle_is_recovered_from_pairs(d, noise):
    family = PermutationCycle(dim=d, **SMALL)
    data = AuditData(noisy(family, 1_000, noise) if noise else family, "pairs", 0, numbered(d))
    same = data.observed.same_pairs(2_000)
    elements, explained = elements_of_pairs(same.x, same.x_prime, data.parts)
    assert step(family) in [one.permutation for one in elements]
    group = generated(elements)
    assert group is not None
    assert len(group) == d == len(elements) + 1
    assert explained == 1 if not noise else explained > 0.8


@pytest.mark.parametrize("d", [5, 6])
def test_the_group_of_a_code_is_found_without_pairs(d):
    family = Shift(dim=d, **SMALL)
    data = AuditData(family, "shifts", 0, numbered(d))
    encoder = probe(bispectrum, data.x)
    codes = encoder.encode(data.x)
    strangers = float((codes[::2] - codes[1::2]).norm(dim=1).median())
    found = searched_elements(encoder, data.x, data.parts, strangers=strangers)
    moved = sorted(one.permutation or [] for one in found)
    assert moved == sorted([(place + shift) % d for place in range(d)] for shift in range(d))


def test_elements_that_do_not_recur_are_none():
    x = samples(6, 500)
    angles = torch.rand(500, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 6
    plane = torch.eye(6, dtype=torch.float64)[:, :2]
    u = torch.view_as_complex((x @ plane).contiguous()) * torch.polar(torch.ones_like(angles), angles)
    x_prime = x.clone()
    x_prime[:, :2] = torch.view_as_real(u)
    parts = [plane, *torch.eye(6, dtype=torch.float64)[:, 2:].split(1, dim=1)]
    assert elements_of_pairs(x, x_prime, parts) == ([], 0.0)


def test_what_a_scale_does_is_explained_by_no_element():
    x = samples(6, 500)
    factors = torch.logspace(-1, 1, 500, base=2, dtype=torch.float64)[:, None]
    elements, explained = elements_of_pairs(x, factors * x, list(torch.eye(6, dtype=torch.float64).split(2, dim=1)))
    assert elements == []
    assert explained < 0.5


def test_permutations_are_read_off_and_told_as_cycles():
    assert signed_permutation(torch.tensor([[0.05, -0.9], [1.1, 0.0]])) == ([1, 0], [1, -1])
    assert signed_permutation(torch.tensor([[0.7, 0.7], [-0.7, 0.7]])) is None
    assert cycles_of([1, 2, 0, 4, 3, 5]) == [[0, 1, 2], [3, 4]]


def signed(d: int, generator: torch.Generator) -> Element:
    signs = 2 * torch.randint(2, (d,), generator=generator) - 1
    return Element(Signed(torch.randperm(d, generator=generator).tolist(), signs.tolist()), "test")


@pytest.mark.parametrize("seed", range(10))
def test_signed_permutations_are_what_their_matrices_are(seed):
    generator = torch.Generator().manual_seed(seed)
    one, other, x = signed(6, generator), signed(6, generator), samples(6, 10)
    assert one(x).equal(x @ one.matrix.T)
    assert (one @ other).matrix.equal(one.matrix @ other.matrix)
    assert one.order == Element(one.matrix, "matrix").order
    assert signed_permutation(one.matrix) == one.map


def test_variations_of_many_features_are_no_matrices_and_only_neighbours_are_swapped():
    assert len(swaps(141)) == 141 * 140 // 2
    tried = list(variations([], [], 784))
    assert not [one for one in tried if isinstance(one.map, Tensor)]
    assert sum(one.source == SWAP for one in tried) == len(swaps(784)) == 783


def test_many_single_directions_are_flipped_in_few_combinations():
    directions = [torch.stack([one, one], dim=1) for one in torch.eye(64, dtype=torch.float64)]
    tried = [one for one in variations([], directions, 64) if one.source == "sign of single directions"]
    assert len(tried) == 64 + 64 * 63 // 2


@pytest.mark.parametrize("d", [5, 10])
def test_the_attack_is_calibrated(d):
    oracles = {one.oracle: one for one in calibrate(d, 8, 8, seed=0)}
    assert all(one.passed for one in oracles.values())
    assert oracles["modulus of the DFT"].success > 0.95
    assert oracles["bispectrum"].success == 0


@pytest.fixture(scope="module")
def of_modulus() -> Audit:
    return invlearn.audit(modulus, Shift(dim=8, **SMALL), targets=6, starts=6)


@pytest.fixture(scope="module")
def of_bispectrum() -> Audit:
    return invlearn.audit(bispectrum, PermutationCycle(dim=8, cycle=list(range(8)), **SMALL), targets=6, starts=6)


def test_the_modulus_is_convicted(of_modulus):
    found = of_modulus.to_dict()
    assert found["algebra"]["dimension"] == found["algebra"]["blind"] == 3
    assert all(one["verified"] and one["blind"] for one in found["algebra"]["generators"])
    assert found["metamers"]["calibrated"]
    assert found["metamers"]["success"] > 0.95
    assert found["failures"] == ["blind", "metamers"]
    profile = {one["distortion"]: one for one in found["profile"]}
    assert profile["mirror image"]["verdict"] == "ignored"
    assert profile["mirror image"]["blind"]
    assert profile["circular shift"]["verdict"] == "ignored"
    assert not profile["circular shift"]["blind"]
    assert profile["any order of features"]["verdict"] == "told apart"
    blind = {one["source"]: one["blind"] for one in found["finite"]["permutations"]}
    assert blind == {"pairs": False, "mirror image": True, "mirror image along the cycle": True}
    assert found["finite"]["explained"] == 1


def test_the_bispectrum_is_acquitted(of_bispectrum):
    found = of_bispectrum.to_dict()
    assert found["algebra"]["dimension"] == found["algebra"]["blind"] == found["algebra"]["offsets"] == 0
    assert found["metamers"]["success"] == 0
    assert found["metamers"]["ended"] > 0.9
    assert found["finite"]["closed"]
    assert found["finite"]["order"] == 8
    cycles = [one["cycles"] for one in found["finite"]["permutations"]]
    assert [[0, 1, 2, 3, 4, 5, 6, 7]] in cycles
    assert found["failures"] == []


def variant_network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(12, 32), nn.Tanh(), nn.Linear(32, 8))


def test_what_a_variant_code_does_under_the_data_s_distortion_is_no_measure_of_what_it_ignores():
    found = invlearn.audit(variant_network(), Shift(dim=12, **SMALL), attack=False)
    assert found.distances.same > 0.5
    assert found.failures() == ["variant"]
    assert "Variant" in findings(found)[0]
    noise = next(one for one in found.reactions if one.distortion == "noise of 0.2 spreads")
    assert 0.05 < noise.strength < found.distances.threshold
    assert noise.verdict == "taken for the same"


def test_directions_that_are_not_verified_are_not_blind():
    def steep(x: Tensor) -> Tensor:  # at a few samples, which dominate the squares of derivatives
        return torch.cat([x, 4 * torch.tanh(150 * x[:, :1])], dim=1)

    found = invlearn.audit(steep, Shift(dim=6, **SMALL), attack=False)
    assert found.algebra.dimension > 0
    assert not any(one.verified or one.blind for one in found.generators)
    assert found.blind == 0
    assert found.failures() == ["variant"]


def test_a_code_is_never_unchanged_where_it_moves_as_much_as_others_in_truth():
    assert Distances(strangers=1, same=0.3, same_most=0.45, threshold=0.4).unchanged == 0.1
    assert Distances(strangers=1, same=0.03, same_most=0.06, threshold=0.4).unchanged == 0.06
    assert Distances(strangers=1, same=0.6, same_most=0.9, threshold=0.4).unchanged == 0.02
    assert Distances(strangers=1, same=0, same_most=0, threshold=0.4).unchanged == 0.02


def test_a_page_lists_all_blind_elements_and_no_order_of_some_of_infinitely_many(of_modulus, of_bispectrum):
    found = invlearn.audit(modulus, Shift(dim=12, **SMALL), attack=False)
    section = page(found).partition("## Finite symmetries")[2]
    blind = [one for one in found.finite.elements if one.blind]
    assert len(found.finite.elements) > 12 > len(blind)
    assert section.count("| yes |") == len(blind)
    assert "group" not in section
    assert "group of 8" in page(of_bispectrum).partition("## Finite symmetries")[2]


def test_a_page_names_the_findings_first(of_modulus, of_bispectrum):
    assert any("mirror image" in line for line in findings(of_modulus))
    assert not any("Blind" in line for line in findings(of_bispectrum))
    text = page(of_modulus)
    assert text.index("Blind") < text.index("## Profile") < text.index("(0 1 2 3 4 5 6 7)")


def test_what_is_written_is_strict_json_and_pictures(of_modulus, tmp_path: Path):
    names = write_audit(of_modulus, tmp_path / "audit")
    assert {"audit.json", "audit.md", "metamers.csv", "generators.png"} <= set(names)
    assert json.loads((tmp_path / "audit" / "audit.json").read_text()) == of_modulus.to_dict()
    for name in names:
        if name.endswith(".png"):
            assert (tmp_path / "audit" / name).read_bytes().startswith(b"\x89PNG")
            assert f"({name})" in (tmp_path / "audit" / "audit.md").read_text()


def test_metamers_of_own_samples_have_no_verdict_but_are_shown():
    found = invlearn.audit(modulus, noisy(Shift(dim=6), 300, 0.01), targets=4, starts=6)
    assert found.trial is not None
    assert found.trial.outcome.success is None
    assert found.trial.from_known is not None
    assert len(found.trial.most_telling) == 4
    assert float(found.trial.from_known[found.trial.most_telling].min()) > 1
    assert found.data.family is None
    assert list(found.undecided()) == ["metamers"]


def table(entities: int = 60) -> pd.DataFrame:
    data = noisy(Shift(dim=6), entities, 0.01)
    frame = pd.DataFrame(data.samples.numpy(), columns=[f"f{index}" for index in range(6)])
    return frame.assign(who=data.entity.numpy(), text="a")


def test_a_data_frame_is_audited_as_its_file(tmp_path: Path):
    table().to_csv(tmp_path / "mine.csv", index=False)
    sources = (table(), tmp_path / "mine.csv")
    one, other = (invlearn.audit(modulus, source, entity="who", attack=False).to_dict() for source in sources)
    assert one.pop("data")["dim"] == other.pop("data")["dim"] == 6
    assert one == other


SHIFTS = ["dataset=shift", "dataset.dim=12"]
MISTAKES: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "a dictionary": ([modulus, {"dataset": "shift"}], {}, "dict"),
    "numbers": ([modulus, [1, 2]], {}, "list"),
    "a shape in words": ([modulus, SHIFTS], {"shape": "3x4"}, "shape.*'3x4'"),
    "another shape": ([modulus, SHIFTS], {"shape": (3, 5)}, "shape.*12"),
    "nothing": ([None, SHIFTS], {}, "None"),
    "a class": ([Growing, SHIFTS], {}, r"Growing\(\)"),
    "a data frame alone": ([modulus, pd.DataFrame({"a": [1.0], "b": [2.0]})], {}, "entity"),
    "code that is not trusted": (["tests.support.planted:length", SHIFTS], {"trust": "tests.other"}, "trust='tests"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_python_is_named_in_one_line(name):
    given, options, word = MISTAKES[name]
    with pytest.raises(UserError, match=word) as error:
        invlearn.audit(*given, attack=False, **options)
    assert "\n" not in str(error.value)


def test_one_name_can_be_trusted_without_a_list():
    found = invlearn.audit("tests.support.planted:modulus", Shift(dim=5, **SMALL), trust="tests.support", attack=False)
    assert found.blind == 2


def test_a_shape_with_a_side_of_three_may_be_of_points_too():
    x = samples(12, 50)
    generator = torch.Generator().manual_seed(0)
    after_point = candidates(x, shape=(4, 3))["rotation of the points"](x, generator)
    torch.testing.assert_close(gram(after_point), gram(x))
    by_axis = candidates(x, shape=(3, 4))["rotation of the points"](x, generator)
    turned, before = (samples.unflatten(1, (3, 4)).mT.flatten(1) for samples in (by_axis, x))
    torch.testing.assert_close(gram(turned), gram(before))
    assert "left-right flip" in candidates(x, shape=(4, 3))
    assert "rotation of the points" not in candidates(samples(16, 50), shape=(4, 4))


def test_each_step_is_told_with_the_time_that_a_slow_encoder_takes():
    def slow(x: Tensor) -> Tensor:
        time.sleep(0.01)
        return modulus(x)

    steps = []
    start = time.perf_counter()
    invlearn.audit(slow, Shift(dim=5, **SMALL), targets=2, starts=2, tell=steps.append)
    lasted = time.perf_counter() - start
    of = {step.name: step.seconds for step in steps}
    assert of["profile"] >= 0.1
    assert of["4 attacks"] >= 1
    assert sum(of.values()) < 10 * lasted
    assert "seconds" in str(steps[0])


def test_symmetries_that_the_data_have_are_not_blind():
    # A code of the length alone, of data whose distortion is the sign: all rotations are blind, the sign is not.
    found = invlearn.audit(power_of_halves, TwoPart(dim=6, **SMALL), attack=False).to_dict()
    assert found["algebra"]["dimension"] == found["algebra"]["blind"] == 2
    assert all(not one["blind"] for one in found["finite"]["permutations"] if one["source"] == "pairs")
    assert found["metamers"] is None


@pytest.mark.parametrize("name", ["raw", "three components", "random network", "unit length"])
def test_no_permutation_is_invented_where_a_code_has_none(name):
    found = invlearn.audit(PLANTED[name].function, Shift(dim=12, **SMALL), attack=False).to_dict()
    assert "variant" in found["failures"]  # distances within entities are no measure of rounding then
    assert found["finite"]["permutations"] == []


def test_an_audit_is_the_same_again():
    one, other = (invlearn.audit(random_network, Shift(dim=5, **SMALL), targets=3, starts=4) for _ in range(2))
    assert one.to_dict() == other.to_dict()
