"""What every transformation family of conf/dataset must be: one more is tested as soon as its YAML is there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

import invlearn
from invlearn.config.build import build
from invlearn.config.folder import conf_dir
from invlearn.data import HasCompleteInvariant, SpectralFamily, Split, TransformationFamily, check_family
from invlearn.data.rotation3d import Rotation3D
from invlearn.data.seeding import seeded_generator

NAMES = [
    file.stem
    for file in sorted((conf_dir() / "dataset").glob("*.yaml"))
    if "\n_target_: invlearn.data." in file.read_text(encoding="utf-8")
]
COMPLETE = [
    "contrast",
    "dihedral",
    "mirror",
    "permcycle",
    "permutation",
    "rotation3d",
    "shift",
    "shift2d",
    "shiftscale",
    "signed_permcycle",
    "twopart",
]
"""Those with a complete invariant, which a family need not have."""
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def family_of(name: str, **settings: Any) -> TransformationFamily:
    node = OmegaConf.to_container(OmegaConf.load(conf_dir() / "dataset" / f"{name}.yaml"))
    assert isinstance(node, dict)
    sizes = {"size": 200, "valid_size": 100, "test_size": 100}
    family, _ = build("dataset", {**{str(key): value for key, value in node.items()}, **sizes, **settings})
    return family


def test_each_family_has_a_file() -> None:
    files = {inspect.getsourcefile(type(family_of(name))) for name in NAMES}
    assert len(files) == len(NAMES) >= 11


@pytest.mark.parametrize("name", NAMES)
def test_orbits_share_what_is_invariant(name: str) -> None:
    family = family_of(name)
    generator = seeded_generator(1)
    x, y = family.signals(50, generator), family.signals(50, generator)
    moved, moved_other = (family.act(family.sample(50, generator), signals) for signals in (x, y))
    assert not torch.allclose(moved, x)
    torch.testing.assert_close(family.invariant(moved), family.invariant(x))
    assert (family.orbit_distance(x, moved) < 1e-12).all()
    assert (family.orbit_distance(x, y) > 1e-3).all()
    torch.testing.assert_close(family.orbit_distance(x, moved_other), family.orbit_distance(x, y))
    torch.testing.assert_close(family.orbit_distance(y, x), family.orbit_distance(x, y))


@pytest.mark.parametrize("name", COMPLETE)
def test_orbits_share_a_complete_code_and_others_do_not(name: str) -> None:
    family = family_of(name)
    assert isinstance(family, HasCompleteInvariant)
    generator = seeded_generator(1)
    x, y = family.signals(50, generator), family.signals(50, generator)
    moved = family.act(family.sample(50, generator), x)
    code, other = family.complete_invariant(x), family.complete_invariant(y)
    torch.testing.assert_close(family.complete_invariant(moved), code)
    assert ((other - code).norm(dim=-1) > 1e-2 * code.std(0).norm()).all()


@pytest.mark.parametrize("name", COMPLETE)
def test_distances_and_codes_are_differentiable(name: str) -> None:
    family = family_of(name)
    assert isinstance(family, HasCompleteInvariant)
    generator = seeded_generator(3)
    x, y = family.signals(5, generator).requires_grad_(), family.signals(5, generator)
    step = 1e-6 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    for function in (lambda v: family.orbit_distance(v, y), family.complete_invariant):
        (slope,) = torch.autograd.grad(function(x).sum(), x)
        change = (function(x + step) - function(x - step)).sum() / 2
        torch.testing.assert_close((slope * step).sum(), change, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in COMPLETE if name not in ("permutation", "contrast")])
def test_a_complete_code_tells_apart_what_shares_the_invariant(name: str) -> None:
    family = family_of(name)
    x = family.signals(50, seeded_generator(4))
    impostor = _impostor(family, name, x)
    assert isinstance(family, HasCompleteInvariant)
    torch.testing.assert_close(family.invariant(impostor), family.invariant(x), rtol=1e-4, atol=1e-4)
    apart = family.orbit_distance(x, impostor) > 0.3
    assert apart.double().mean() > 0.7
    code, other = family.complete_invariant(x[apart]), family.complete_invariant(impostor[apart])
    assert ((code - other).norm(dim=-1) > 1e-2 * code.std(0).norm()).double().mean() > 0.9


def _impostor(family: TransformationFamily, name: str, x: torch.Tensor) -> torch.Tensor:
    """Signals of other orbits with the same invariants."""
    if isinstance(family, Rotation3D):
        return x * torch.tensor([1, 1, -1]).repeat(family.dim // 3)
    if name == "mirror":
        return torch.cat([x[:, -1:], x[:, 1:-1], x[:, :1]], dim=-1)
    assert isinstance(family, SpectralFamily)
    target = family.invariant(x)
    y = family.signals(len(x), seeded_generator(5)).requires_grad_()
    optimizer = torch.optim.LBFGS([y], max_iter=2_000, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def error() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (family.invariant(y) - target).square().sum()
        loss.backward()
        return loss

    optimizer.step(error)  # pyright: ignore[reportArgumentType]
    return y.detach()


@pytest.mark.parametrize("name", NAMES)
def test_a_mixing_hides_signals_and_changes_nothing_else(name: str) -> None:
    plain, mixed = family_of(name), family_of(name, mixing="random")
    matrix = mixed.mixing_matrix
    assert matrix is not None
    assert plain.mixing_matrix is None
    assert torch.linalg.cond(matrix) < 10.001
    for split in SPLITS:
        (x, x_prime, distance), pairs = plain.pairs(split, 7), mixed.pairs(split, 7)
        torch.testing.assert_close(pairs.x, x @ matrix.T)
        torch.testing.assert_close(pairs.x_prime, x_prime @ matrix.T)
        assert torch.equal(pairs.distance, distance)
        torch.testing.assert_close(mixed.unmix(pairs.x), x)
    torch.testing.assert_close(mixed.query_and_gallery(7)[0], plain.query_and_gallery(7)[0] @ matrix.T)
    torch.testing.assert_close(mixed.entities("test", 7).x, plain.entities("test", 7).x @ matrix.T)
    assert torch.equal(matrix, torch.as_tensor(family_of(name, mixing="random", seed=0).mixing_matrix))
    assert not torch.allclose(matrix, torch.as_tensor(family_of(name, mixing="random", seed=1).mixing_matrix))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("distance", ["spectral", "orbit", "binary"])
def test_distance_is_zero_exactly_on_orbits(name: str, distance: str) -> None:
    pairs = family_of(name, distance=distance).pairs("train", 0)
    assert (pairs.distance[0::2] == 0).all()
    assert (pairs.distance[1::2] > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_family_is_learned_in_closed_form_and_comes_back_with_its_run(name: str, tmp_path: Path) -> None:
    sizes = ["dataset.size=4000", "dataset.valid_size=1000", "dataset.test_size=1000", "dtype=float64"]
    run = invlearn.train([f"dataset={name}", "model=polynomial", "dataset.mixing=random", *sizes], tmp_path)
    found = invlearn.load_run(tmp_path).family
    assert isinstance(found, TransformationFamily)
    assert torch.equal(found.pairs("test", 0).x, family_of(name, mixing="random", test_size=1000).pairs("test", 0).x)
    scales = name in ("contrast", "shiftscale")  # which a normalisation removes, but not behind a mixing
    assert run.metrics["recall_at_1"] >= (0.1 if scales else 0.99)


@dataclass(frozen=True, kw_only=True)
class Signs(TransformationFamily):
    """Each sample, times a random sign."""

    def sample(self, n: int, generator: torch.Generator) -> Any:
        return torch.randint(2, (n, 1), generator=generator) * 2 - 1

    def act(self, g: Any, x: Tensor) -> Tensor:
        return x * g

    def invariant(self, x: Tensor) -> Tensor:
        return x.abs()

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor:
        return torch.minimum((x - x_prime).norm(dim=1), (x + x_prime).norm(dim=1))


def raising(family: Signs, g: Any, x: Tensor) -> Tensor:
    raise RuntimeError("a bug")


WRONG: dict[str, tuple[str, Callable[..., Any]]] = {
    "fewer features": ("act", lambda family, g, x: (x * g)[:, :-1]),
    "single precision": ("act", lambda family, g, x: (x * g).float()),
    "not finite": ("act", lambda family, g, x: x * g * float("nan")),
    "noise of its own": ("act", lambda family, g, x: x * g + torch.randn(len(x), 1)),
    "in place": ("act", lambda family, g, x: x.mul_(g)),
    "raises": ("act", raising),
    "one more": ("sample", lambda family, n, generator: torch.ones(n + 1, 1)),
    "another generator": ("sample", lambda family, n, generator: torch.randint(2, (n, 1)) * 2 - 1),
    "a single number": ("invariant", lambda family, x: x.abs().sum()),
    "not invariant": ("invariant", lambda family, x: x),
    "not of orbits": ("orbit_distance", lambda family, x, other: (x - other).norm(dim=1)),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_family_is_refused(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_family(Signs())
    method, wrong = WRONG[case]
    monkeypatch.setattr(Signs, method, wrong)
    with pytest.raises(ValueError, match=rf"^(\w+ or )?({method}|act)\b|{method}"):
        check_family(Signs())


@pytest.mark.parametrize("name", NAMES)
def test_our_own_pass_that_check(name: str) -> None:
    check_family(family_of(name))
