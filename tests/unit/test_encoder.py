"""The invariant encoder: what it scales, splits, refuses, and how it comes apart into replicas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from invlearn.encoder import InvariantEncoder, Scaler
from invlearn.nn import AutoEncoder, ExtendedAutoEncoder, Stack, StandardAutoEncoder
from tests.support.errors import naming

DIM, CODE, INVARIANT = 5, 7, 3


def encoder_of(replicas: int = 1, dim: int = DIM, **settings) -> InvariantEncoder:
    generators = [torch.Generator().manual_seed(r) for r in range(replicas)]
    network = ExtendedAutoEncoder(dim, CODE, generators, depth=1, columns=6)
    settings = {"dim": DIM, **settings}
    return InvariantEncoder(network, invariant=INVARIANT, code=CODE, **settings)


def test_it_scales_then_encodes_then_splits() -> None:
    torch.manual_seed(0)
    encoder = encoder_of(scaler=Scaler(2.0, [1.0, 2, 3, 4, 5]))
    x = torch.randn(9, DIM, dtype=torch.float64)
    z = encoder.network.encode(((x - 2) / torch.arange(1, 6)).float()[None])[0]
    z_invariant, z_variant = encoder.encode(x)
    torch.testing.assert_close(z_invariant, z[:, :INVARIANT])
    torch.testing.assert_close(z_variant, z[:, INVARIANT:])
    reconstructed = encoder.decode(z_invariant, z_variant)
    torch.testing.assert_close(reconstructed, encoder.network.decode(z[None])[0].double() * torch.arange(1, 6) + 2)


def test_components_come_before_the_encoder_and_after_the_decoder() -> None:
    torch.manual_seed(0)
    network = StandardAutoEncoder(DIM, CODE, [torch.Generator()], rank=3)
    axes, mean = torch.linalg.qr(torch.randn(DIM, 3)).Q, torch.arange(5.0)
    assert network.components is not None
    network.components.set(0, mean, axes, torch.tensor(2.0))
    x = torch.randn(1, 9, DIM)
    seen = (x - mean) @ axes / 2
    torch.testing.assert_close(network.components(x), seen)
    torch.testing.assert_close(network.encode(x), network.encoder(seen))
    z = torch.randn(1, 9, CODE)
    torch.testing.assert_close(network.decode(z), 2 * network.decoder(z) @ axes.T + mean)
    torch.testing.assert_close(network.components(network.components.undo(seen)), seen)


def test_columns_of_a_frame_may_be_numbers() -> None:
    encoder = encoder_of(feature_names=list("01234"))
    x = np.random.default_rng(0).standard_normal((9, DIM))
    np.testing.assert_array_equal(encoder.encode(pd.DataFrame(x))[0], encoder.encode(x)[0])


def test_arrays_tensors_and_frames_give_the_same_codes() -> None:
    encoder = encoder_of(feature_names=list("abcde"), scaler=Scaler(1.0, 2.0))
    x = np.random.default_rng(0).standard_normal((3_000, DIM))  # more than one block
    of_array = encoder.encode(x)
    of_tensor = encoder.encode(torch.from_numpy(x))
    frame = pd.DataFrame(x, columns=list("abcde")).assign(other="x")[["other", *"edcba"]]
    of_frame = encoder.encode(frame)
    for array, tensor, column in zip(of_array, of_tensor, of_frame, strict=True):
        assert isinstance(array, np.ndarray)
        assert np.array_equal(array, tensor.numpy())
        assert np.array_equal(array, column)
    with pytest.raises(ValueError, match=naming(column="c")):
        encoder.encode(frame.drop(columns="c"))


def test_a_replica_is_that_slice_of_the_stack_and_shares_its_memory() -> None:
    stack = encoder_of(3)
    x = torch.randn(4, DIM)
    whole = stack.network.encode(x.expand(3, -1, -1))
    for replica in range(3):
        one = stack.replica(replica)
        assert one.replicas == 1
        torch.testing.assert_close(torch.cat(one.encode(x), dim=1), whole[replica])
        ours, theirs = next(one.network.parameters()), next(stack.network.parameters())
        assert ours.data_ptr() == theirs[replica].data_ptr()
    with pytest.raises(ValueError, match=naming(value=3, suggests="replica")):
        stack.encode(x)


@pytest.mark.parametrize(
    "x", [np.zeros((2, 4)), np.zeros(5), np.full((2, 5), np.nan), np.array([["a"] * 5]), np.full((1, 5), np.inf)]
)
def test_what_is_no_sample_is_refused(x: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\b(x|shape)\b"):
        encoder_of().encode(x)


def test_unit_codes_have_length_1_and_no_decoder() -> None:
    encoder = encoder_of(unit_code=True, trained=["encoder"])
    z_invariant, z_variant = encoder.encode(torch.randn(6, DIM))
    torch.testing.assert_close(z_invariant.norm(dim=1), torch.ones(6))
    with pytest.raises(ValueError, match="decode"):
        encoder.decode(z_invariant, z_variant)


def test_it_prints_its_layers_with_sizes() -> None:
    text = repr(encoder_of(2, scaler=Scaler(1.5, 2.0)))
    for size in ("invariant=3", "5, 17", "5, 6, replicas=2", "17, 7, replicas=2", "offset=1.5"):
        assert size in text


def test_ordinary_modules_become_a_stack() -> None:
    generators = [torch.Generator().manual_seed(r) for r in range(2)]

    def stack(out: int) -> Stack:
        return Stack(lambda: nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, out)), generators)

    network = AutoEncoder(stack(7), stack(5))
    x = torch.randn(2, 4, 5)
    z = network.encode(x)
    plain = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 7))
    for replica in range(2):
        plain.load_state_dict(
            {name.replace("__", "."): value[replica] for name, value in network.encoder.state_dict().items()}
        )
        torch.testing.assert_close(z[replica], plain(x[replica]))
    assert not torch.equal(z[0], z[1])
    z[0].sum().backward()
    gradients = [parameter.grad for parameter in network.encoder.parameters()]
    assert all(grad is not None and bool((grad[1] == 0).all()) for grad in gradients)
    with pytest.raises(ValueError, match="BatchNorm1d"):
        Stack(lambda: nn.BatchNorm1d(5), generators)


def test_dropout_is_for_training_alone(tiny: list[str]) -> None:
    generators = [torch.Generator().manual_seed(0)]
    stack = Stack(lambda: nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5)), generators)
    encoder = InvariantEncoder(AutoEncoder(stack, stack), dim=5, invariant=3, code=8).eval()
    x = torch.randn(6, 5)
    assert torch.equal(encoder.encode(x)[0], encoder.replica(0).encode(x)[0])
    encoder.train()
    assert not torch.equal(encoder.encode(x)[0], encoder.encode(x)[0])
