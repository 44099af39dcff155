"""Ordinary layers of PyTorch, which know nothing of replicas."""

from __future__ import annotations

from torch import Tensor, nn


class MLP(nn.Module):
    """One hidden layer with GELU on either side."""

    def __init__(self, dim: int, code_features: int, *, width: int = 64):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(dim, width), nn.GELU(), nn.Linear(width, code_features))
        self.decoder = nn.Sequential(nn.Linear(code_features, width), nn.GELU(), nn.Linear(width, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions."""
        return self.decoder(self.encoder(x))
