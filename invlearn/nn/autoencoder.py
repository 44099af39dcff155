"""The auto-encoder whose code is split into an invariant and a variant part (Section 2)."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from invlearn.nn.components import Components

__all__ = ["AutoEncoder"]


class AutoEncoder(nn.Module):
    """An encoder f and a decoder g, each a stack of replicas.

    Any two modules that map stacks to stacks work; :class:`invlearn.nn.Stack` stacks ordinary modules.

    Args:
        encoder: Maps samples ``(R, B, d)``, or their components, to codes ``(R, B, code)``.
        decoder: Maps codes ``(R, B, code)`` back.
        components: Projection of samples before the encoder, undone after the decoder; by default there is none.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, components: Components | None = None):
        super().__init__()
        self.components = components
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, x_RBD: Tensor) -> Tensor:
        """Codes z = f(x), ``(R, B, code)``."""
        return self.encoder(x_RBD if self.components is None else self.components(x_RBD))

    def decode(self, z_RBC: Tensor) -> Tensor:
        """Reconstructions g(z), ``(R, B, d)``."""
        decoded = self.decoder(z_RBC)
        return decoded if self.components is None else self.components.undo(decoded)

    def forward(self, x_RBD: Tensor) -> Tensor:
        """Reconstructions g(f(x)), ``(R, B, d)``."""
        return self.decode(self.encode(x_RBD))

    @property
    def starts_in_planes(self) -> bool:
        """Whether to start with planes found in the samples, rather than with random weights."""
        return False

    def start_in(self, replica: int, planes: Tensor, weights: Tensor | None, invariant: int) -> None:
        """Start a replica with planes.

        Args:
            replica: Index of the replica.
            planes: Two vectors for each plane, ``(K, 2, d)``, scaled so that the mean squared length of samples in it
                is 1; d is the number of input features of the encoder.
            weights: Weights of those lengths in the invariant code, if known, ``(K,)``.
            invariant: Width of that code.
        """
        raise NotImplementedError

    def fast_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that learn ``trainer.input_lr_factor`` times faster than the others; by default none."""
        return ()
