"""A plain PyTorch loop: nn.Module, DataLoader, Adam, one run at a time."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.problem import Layer, Problem
from invlearn.losses import PairwiseLoss, SupervisedDFTLoss

__all__ = ["Network", "Peer", "examples_of", "invariance", "objective", "parameter_groups"]


class Network(nn.Module):
    """One replica's encoder or decoder in plain PyTorch."""

    def __init__(self, layers: list[Layer], eps: float, replica: int = 0):
        super().__init__()
        self.kinds = [layer.kind for layer in layers]
        self.eps = eps
        self.linears = nn.ModuleList()
        for layer in layers:
            linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[2], dtype=layer.weight.dtype)
            linear.weight.data.copy_(layer.weight[replica].T)
            linear.bias.data.copy_(layer.bias[replica, 0])
            self.linears.append(linear)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in)`` to ``(B, out)``."""
        for kind, linear in zip(self.kinds, self.linears, strict=True):
            hidden = linear(x)
            if kind == "selu":
                x = torch.selu(hidden)
            elif kind == "extended":
                even, odd = hidden.chunk(2, dim=1)
                norm = torch.sqrt(even**2 + odd**2 + self.eps)
                x = torch.cat([x, norm, even / norm, odd / norm, even * odd / norm**2], dim=1)
            else:
                x = hidden
        return x


def objective(problem: Problem, encoder: nn.Module, decoder: nn.Module, batch: list[Tensor], alpha: float) -> Tensor:
    """The loss of one replica on a batch."""
    loss = problem.experiment.loss
    if isinstance(loss, SupervisedDFTLoss):
        x, target = batch
        z = encoder(x)
        return nn.functional.mse_loss(decoder(z), x) + loss.weight * nn.functional.mse_loss(z, target)
    assert isinstance(loss, PairwiseLoss)
    x, x_prime, distance = batch
    both = torch.cat([x, x_prime])
    z = encoder(both)
    return nn.functional.mse_loss(decoder(z), both) + loss.weight * invariance(problem, z, distance, loss.delta, alpha)


def invariance(problem: Problem, z: Tensor, distance: Tensor, delta: float, alpha: float) -> Tensor:
    """The invariance term of codes, those of x first, then those of x'."""
    one, other = z[:, : problem.experiment.loss.invariant_features].chunk(2)
    code_distance_sq = (one - other).square().sum(1)
    difference = 1 / (delta + alpha * distance.square()) - 1 / (delta + alpha * code_distance_sq)
    return difference.square().mean()


def parameter_groups(problem: Problem, encoder: Network, decoder: Network) -> list[dict]:
    """Parameters with their learning rates relative to the schedule."""
    layers = problem.layers()
    linears = [*encoder.linears, *decoder.linears]
    return [
        {"params": list(linear.parameters()), "relative": layer.rate}
        for layer, linear in zip(layers, linears, strict=True)
    ]


def examples_of(problem: Problem, replica: int = 0) -> TensorDataset:
    """One replica's examples as a Dataset."""
    return TensorDataset(*(part[replica] for part in problem.examples))


class Peer:
    """One run."""

    def __init__(self, problem: Problem):
        torch.set_num_threads(problem.case.threads)
        assert problem.case.replicas == 1
        self.problem = problem
        eps = problem.experiment.config["model"].get("eps", 0.0)
        encoder, decoder = problem.networks()
        self.encoder, self.decoder = Network(encoder, eps), Network(decoder, eps)
        optimizer = problem.experiment.config["optimizer"]
        groups = parameter_groups(problem, self.encoder, self.decoder)
        self.optimizer = torch.optim.Adam(groups, betas=tuple(optimizer["betas"]))
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.alphas = None if problem.alphas is None else problem.alphas[:, 0].tolist()

    def epoch(self, index: int) -> tuple[float, Tensor]:
        """Train one epoch; its seconds and mean loss."""
        order = self.problem.order(index)[0].flatten().tolist()
        loader = DataLoader(examples_of(self.problem), batch_size=128, sampler=order, drop_last=True)
        step, losses = index * self.problem.experiment.steps_per_epoch, []
        start = time.perf_counter()
        for batch in loader:
            for group in self.optimizer.param_groups:
                group["lr"] = self.problem.rates[step] * group["relative"]
            alpha = self.alphas[step] if self.alphas else 0.0
            loss = objective(self.problem, self.encoder, self.decoder, batch, alpha)
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters, self.problem.experiment.trainer.clip)
            self.optimizer.step()
            losses.append(loss.detach())
            step += 1
        return time.perf_counter() - start, torch.stack(losses).mean(0, keepdim=True)
