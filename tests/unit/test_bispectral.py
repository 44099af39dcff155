"""Bispectral networks: their formula, what they find, and their loss."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

import invlearn
from invlearn.data import EntityBatch, Shift
from invlearn.data.family import roll_rows
from invlearn.data.seeding import seeded_generator
from invlearn.losses import Outputs
from invlearn.losses.bispectral import BispectralLoss
from invlearn.nn.bispectral import BispectralAutoEncoder, bispectral_features
from tests.support.errors import naming


def network(dim: int, *seeds: int, complete: bool = False) -> BispectralAutoEncoder:
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    width = bispectral_features(dim) + 2 * dim
    try:
        return BispectralAutoEncoder(dim, width, [seeded_generator(s) for s in seeds], complete=complete)
    finally:
        torch.set_default_dtype(default)


def with_fourier_rows(dim: int, *, complete: bool = False) -> BispectralAutoEncoder:
    found = network(dim, 0, complete=complete)
    rows = torch.fft.fft(torch.eye(dim, dtype=torch.float64))
    weight = torch.cat([rows.real.T, rows.imag.T], dim=1)[None]
    found.load_state_dict({"encoder.weight": 3 * weight})  # of any length
    return found


def test_the_code_is_the_formula() -> None:
    model, x = network(4, 0, 1), torch.randn(2, 3, 4, dtype=torch.float64)
    z = model.encode(x)
    for r, b in itertools.product(range(2), range(3)):
        rows = torch.complex(*(part[r].T for part in model.encoder.rows()))  # pyright: ignore
        torch.testing.assert_close(rows.abs().square().sum(1), torch.ones(4, dtype=torch.float64))
        linear = rows @ x[r, b].to(rows.dtype)
        beta = [
            linear[i] * linear[j] * ((rows[i] * rows[j]) @ x[r, b].to(rows.dtype)).conj()
            for i, j in itertools.combinations_with_replacement(range(4), 2)
        ]
        beta = torch.stack(beta) - torch.stack(beta).mean()
        expected = torch.view_as_real(beta / beta.abs().square().sum().sqrt()).flatten()
        torch.testing.assert_close(z[r, b], torch.cat([expected, linear.real, linear.imag]))


def test_it_starts_as_a_unitary_map_and_reconstructs() -> None:
    model, x = network(6, 0), torch.randn(1, 9, 6, dtype=torch.float64)
    torch.testing.assert_close(model(x), x)


def test_fourier_rows_are_invariant_and_tell_mirror_images_apart() -> None:
    model, x = with_fourier_rows(7), Shift(dim=7).signals(20, seeded_generator(0))
    of_code = slice(0, bispectral_features(7))
    z, shifted, mirrored = (
        model.encode(v[None])[0, :, of_code] for v in (x, roll_rows(x, torch.arange(20) % 7), x.flip(-1))
    )
    torch.testing.assert_close(shifted, z)
    assert ((mirrored - z).norm(dim=-1) > 0.1).all()


def test_a_complete_code_grows_with_the_sample_in_the_same_direction() -> None:
    unit, complete = with_fourier_rows(7), with_fourier_rows(7, complete=True)
    x = Shift(dim=7).signals(20, seeded_generator(0))[None]
    of_code = slice(0, bispectral_features(7))
    one, two, shifted = (complete.encode(v)[..., of_code] for v in (x, 2 * x, x.roll(3, -1)))
    torch.testing.assert_close(two, 2 * one)
    torch.testing.assert_close(shifted, one)
    torch.testing.assert_close(one / one.norm(dim=-1, keepdim=True), unit.encode(x)[..., of_code])


def test_a_complete_code_of_nothing_has_finite_gradients() -> None:
    x = torch.zeros(1, 2, 5, dtype=torch.float64, requires_grad=True)
    with_fourier_rows(5, complete=True).encode(x).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=naming(value=[130, 30], suggests="loss=bispectral")):
        BispectralAutoEncoder(10, 30, [seeded_generator(0)])


def test_the_loss_is_that_of_a_loop() -> None:
    generator = seeded_generator(1)
    z, x, x_hat = (torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    batch = EntityBatch(x, torch.arange(5).expand(2, -1), x[..., :0])
    result = BispectralLoss(4, weight=2.0).forward(Outputs(z, z, x_hat), batch)
    for r in range(2):
        apart = [(z[r, n, i] - z[r, n, j]).norm() for n in range(5) for i, j in itertools.combinations(range(3), 2)]
        expected = torch.stack(apart).mean() + 2 * (x[r] - x_hat[r]).square().mean()
        torch.testing.assert_close(result[r], expected)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=naming(key="weight", value=-1.0)):
        BispectralLoss(4, weight=-1.0)


@pytest.mark.parametrize("preset", [[], ["preset=complete"]])
def test_it_learns_shifts_from_samples(preset: list[str], tmp_path: Path) -> None:
    sizes = ["dataset.dim=5", "dataset.size=8000", "dataset.valid_size=800", "dataset.test_size=1000"]
    run = invlearn.train([*preset, "model=bispectral", *sizes, "trainer.epochs=6"], tmp_path)
    assert run.metrics["invariance_ratio"] < 1e-4
    assert run.metrics["recall_at_1"] > 0.99
    x = torch.randn(20, 5)
    z, z_variant = run.encode(x)
    assert z.shape == (20, 30)
    of_double, _ = run.encode(2 * x)
    torch.testing.assert_close(of_double, 2 * z if preset else z, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(run.decode(z, z_variant), x, rtol=1e-3, atol=1e-3)
