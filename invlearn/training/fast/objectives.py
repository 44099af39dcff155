"""Hand-derived gradients of the losses of ``invlearn.losses``, on top of those of the networks.

Called with a batch, an objective fills every parameter's gradient and returns the terms of the loss, ``(R,)`` each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from invlearn.losses import Loss, PairwiseLoss, Statistics, SupervisedDFTLoss
from invlearn.losses.functional import closeness, pair_targets, squared_distances
from invlearn.nn import AutoEncoder
from invlearn.training.fast.passes import Memory, NetworkPass

__all__ = ["HandDerived", "hand_derived"]

AnyLoss = TypeVar("AnyLoss", bound=Loss)


class HandDerived(ABC, Generic[AnyLoss]):
    """A loss and the passes of both networks.

    Args:
        loss: The loss.
        model: Its trained parameters have gradients.
        batch: Examples B of a batch.
        samples: Number of samples of a batch.
    """

    def __init__(self, loss: AnyLoss, model: AutoEncoder, batch: int, samples: int):
        self.loss, self.batch = loss, batch
        memory = Memory(next(model.parameters()), samples)
        if loss.trains_encoder:
            self.encoder = NetworkPass(list(model.encoder.children()), memory)
        if loss.trains_decoder:
            self.decoder = NetworkPass(list(model.decoder.children()), memory)
            self.squares = torch.empty_like(self.decoder.y)

    @abstractmethod
    def __call__(self, batch: Any, statistics: Statistics) -> dict[str, Tensor]:
        """Fill the gradients for a batch ``(R, B, ...)``; the terms of the loss, ``(R,)`` each."""

    def reconstruct(self, z: Tensor, x: Tensor) -> Tensor:
        """Mean squared error of g(z), ``(R,)``; its gradients with respect to z and to the decoder's parameters."""
        decoder = self.decoder
        decoder.x.copy_(z)
        decoder.forward()
        torch.sub(decoder.y, x, out=decoder.y_grad)
        error = torch.mul(decoder.y_grad, decoder.y_grad, out=self.squares).mean((1, 2))
        decoder.y_grad.mul_(2 / x[0].numel())
        decoder.backward(to_input=self.loss.trains_encoder)
        return error


class _Pairwise(HandDerived[PairwiseLoss]):
    """With c(q) = 1/(δ + αq) and r = c(d̂²) - c(d*²), the gradient of ℓ = r² with respect to z is -4αrc² (z - z')."""

    def __init__(self, loss: PairwiseLoss, model: AutoEncoder, batch: int, samples: int):
        super().__init__(loss, model, batch, samples)
        self.x, self.x_prime = self.encoder.x.split(batch, dim=-1)
        self.z_inv, self.z_inv_prime = self.encoder.y[:, : loss.invariant_features].split(batch, dim=-1)
        self.z_grad, self.z_prime_grad = self.encoder.y_grad[:, : loss.invariant_features].split(batch, dim=-1)
        self.difference = torch.empty_like(self.z_inv, memory_format=torch.contiguous_format)
        self.products = torch.empty_like(self.difference)

    def __call__(self, batch: Any, statistics: Statistics) -> dict[str, Tensor]:
        loss, encoder = self.loss, self.encoder
        self.x.copy_(batch[0].mT)
        self.x_prime.copy_(batch[1].mT)
        encoder.forward()
        reconstruction = self.reconstruct(encoder.y, encoder.x)
        encoder.y_grad.copy_(self.decoder.x_grad)

        alpha = statistics["alpha"][:, None]
        torch.sub(self.z_inv, self.z_inv_prime, out=self.difference)
        code_distance_sq = torch.mul(self.difference, self.difference, out=self.products).sum(1)
        ours = closeness(code_distance_sq, loss.delta, alpha)
        residual = ours - closeness(batch[2].square(), loss.delta, alpha)
        slope = residual * ours.square_() * (alpha * (-4 * loss.weight / self.batch))
        torch.mul(self.difference, slope[:, None], out=self.products)
        self.z_grad.add_(self.products)
        self.z_prime_grad.sub_(self.products)
        encoder.backward(to_input=False)
        invariance = residual.square_().mean(1)
        return {"loss": reconstruction + loss.weight * invariance, "loss_invariance": invariance}


class _PairwiseInBatch(HandDerived[PairwiseLoss]):
    """The same over all pairs with weights w: the gradient of Σ w r² with respect to z_i is Σ_j S_ij (z_i - z_j).

    S = -8αwrc² is symmetric, since a pair counts in both orders.
    """

    def __call__(self, batch: Any, statistics: Statistics) -> dict[str, Tensor]:
        x, entity, reference = batch
        loss, encoder, k = self.loss, self.encoder, x.shape[2]
        encoder.x.copy_(x.flatten(1, 2).mT)
        encoder.forward()
        reconstruction = self.reconstruct(encoder.y, encoder.x)
        encoder.y_grad.copy_(self.decoder.x_grad)

        alpha = statistics["alpha"][:, None, None]
        weights, distance_sq = pair_targets(entity, reference, k)
        z = encoder.y[:, : loss.invariant_features]
        z = z - z.mean(-1, keepdim=True)
        ours = closeness(squared_distances(z.mT), loss.delta, alpha)
        residual = ours - closeness(distance_sq, loss.delta, alpha)
        slope = (weights * residual).mul_(ours.square_()).mul_(alpha * (-8 * loss.weight))
        grad = encoder.y_grad[:, : loss.invariant_features]
        grad.addcmul_(z, slope.sum(-1)[:, None]).sub_(z @ slope)
        encoder.backward(to_input=False)
        invariance = residual.square_().mul_(weights).sum((1, 2))
        return {"loss": reconstruction + loss.weight * invariance, "loss_invariance": invariance}


class _SupervisedDFT(HandDerived[SupervisedDFTLoss]):
    def __call__(self, batch: Any, statistics: Statistics) -> dict[str, Tensor]:
        x, target = batch[0].mT, batch[1].mT
        loss = self.loss
        if not loss.trains_encoder:
            return {"loss": self.reconstruct(target, x)}
        encoder = self.encoder
        encoder.x.copy_(x)
        encoder.forward()
        total = self.reconstruct(encoder.y, encoder.x) if loss.trains_decoder else 0.0
        weight = loss.weight if loss.trains_decoder else 1.0
        residual = encoder.y.sub_(target)
        scale = 2 * weight / target[0].numel()
        if loss.trains_decoder:
            torch.add(self.decoder.x_grad, residual, alpha=scale, out=encoder.y_grad)
        else:
            torch.mul(residual, scale, out=encoder.y_grad)
        encoder.backward(to_input=False)
        return {"loss": total + weight * residual.square_().mean((1, 2))}


def hand_derived(loss: Loss, model: AutoEncoder, batch: int, samples: int) -> HandDerived[Any] | None:
    """A loss with its gradients; None if they are not implemented here.

    Args:
        loss: The loss.
        model: The model; its trained parameters have gradients.
        batch: Examples B of a batch.
        samples: Samples per example.
    """
    if type(loss) is PairwiseLoss and loss.pairs == "batch":
        return _PairwiseInBatch(loss, model, batch, batch * samples)
    if type(loss) is PairwiseLoss:
        return _Pairwise(loss, model, batch, 2 * batch)
    if type(loss) is SupervisedDFTLoss:
        return _SupervisedDFT(loss, model, batch, batch)
    return None
