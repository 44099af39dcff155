"""JAX: a jitted scan over the epoch, vmap over replicas, optax's Adam."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.problem import Layer, Problem
from invlearn.losses import PairwiseLoss

__all__ = ["Peer"]


class Peer:
    """A stack of R replicas."""

    def __init__(self, problem: Problem):
        # XLA reads its flags when it starts.
        single = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = single if problem.case.threads == 1 else ""
        import jax
        import optax
        from jax import numpy as jnp

        jax.config.update("jax_enable_x64", problem.case.dtype == "float64")
        self.problem = problem
        networks = problem.networks()
        self.parameters = jax.tree.map(jnp.asarray, [[_arrays(layer) for layer in network] for network in networks])
        self.data = tuple(jnp.asarray(part.numpy()) for part in problem.examples)
        adam = optax.scale_by_adam(*problem.experiment.config["optimizer"]["betas"])
        self.state = jax.vmap(adam.init)(self.parameters)
        one_run = _epoch_of_one_run(problem, networks, adam)
        self.run = jax.jit(jax.vmap(one_run, in_axes=(0, 0, 0, 0, None, 1)), donate_argnums=(0, 1))

    def epoch(self, index: int) -> tuple[float, Tensor]:
        """Train one epoch; its seconds and mean loss."""
        steps = self.problem.experiment.steps_per_epoch
        now = slice(index * steps, (index + 1) * steps)
        rows = self.problem.order(index).numpy()
        dtype = np.dtype(self.problem.case.dtype)
        alphas = (
            self.problem.alphas
            if self.problem.alphas is not None
            else np.zeros((self.problem.experiment.total_steps, len(rows)))
        )
        rates = self.problem.rates[now].astype(dtype)
        start = time.perf_counter()
        self.parameters, self.state, values = self.run(
            self.parameters, self.state, self.data, rows, rates, alphas[now].astype(dtype)
        )
        losses = np.array(values)  # waits for the device
        return time.perf_counter() - start, torch.from_numpy(losses).mean(1)

    def fit(self, epochs: int) -> float:
        """Train so many epochs, with a validation loss after each; the last validation loss."""
        import jax

        problem = self.problem
        objective = _objective(problem, problem.networks())
        draws, loss = problem.experiment.draws("cpu"), problem.experiment.loss
        valid = tuple(part.numpy() for part in draws.examples(loss.sampler, "valid"))
        validate = jax.jit(jax.vmap(objective))
        alpha = problem.alphas[-1] if problem.alphas is not None else np.zeros(problem.case.replicas)
        value = np.nan
        for index in range(epochs):
            self.epoch(index)
            value = float(np.array(validate(self.parameters, valid, alpha.astype(problem.case.dtype)))[0])
        return value


def _arrays(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    return layer.weight.numpy(), layer.bias.numpy()


def _network(layers: list[Layer], eps: float) -> Callable:
    """A function from parameters and rows ``(B, in)`` to ``(B, out)``."""
    import jax
    from jax import numpy as jnp

    kinds = [layer.kind for layer in layers]

    def network(parameters, x):
        for kind, (weight, bias) in zip(kinds, parameters, strict=True):
            hidden = x @ weight + bias
            if kind == "selu":
                x = jax.nn.selu(hidden)
            elif kind == "extended":
                even, odd = jnp.split(hidden, 2, axis=1)
                norm = jnp.sqrt(even**2 + odd**2 + eps)
                cosine, sine = even / norm, odd / norm
                x = jnp.concatenate([x, norm, cosine, sine, cosine * sine], axis=1)
            else:
                x = hidden
        return x

    return network


def _objective(problem: Problem, networks: tuple[list[Layer], list[Layer]]) -> Callable:
    """A function from parameters, a batch and α to the loss."""
    from jax import numpy as jnp

    loss = problem.experiment.loss
    eps = problem.experiment.config["model"].get("eps", 0.0)
    encode, decode = (_network(layers, eps) for layers in networks)

    def supervised(parameters, batch, alpha):
        x, target = batch
        z = encode(parameters[0], x)
        return jnp.mean((decode(parameters[1], z) - x) ** 2) + loss.weight * jnp.mean((z - target) ** 2)

    def pairwise(parameters, batch, alpha):
        x, x_prime, distance = batch
        both = jnp.concatenate([x, x_prime])
        z = encode(parameters[0], both)
        one, other = jnp.split(z[:, : loss.invariant], 2)
        squared = ((one - other) ** 2).sum(1)
        difference = 1 / (loss.delta + alpha * distance**2) - 1 / (loss.delta + alpha * squared)
        return jnp.mean((decode(parameters[1], z) - both) ** 2) + loss.weight * jnp.mean(difference**2)

    return pairwise if isinstance(loss, PairwiseLoss) else supervised


def _epoch_of_one_run(problem: Problem, networks: tuple[list[Layer], list[Layer]], adam) -> Callable:
    """A function from parameters, Adam's state, data, rows, rates and alphas to the results of an epoch."""
    import jax
    import optax
    from jax import numpy as jnp

    objective = _objective(problem, networks)
    relative = [[(layer.rate, layer.rate) for layer in network] for network in networks]
    max_norm = problem.experiment.trainer.clip

    def one_run(parameters, state, data, rows, rates, alphas):
        def step(carry, now):
            parameters, state = carry
            rows, rate, alpha = now
            batch = tuple(part[rows] for part in data)
            value, gradient = jax.value_and_grad(objective)(parameters, batch, alpha)
            scale = jnp.minimum(1.0, max_norm / (optax.global_norm(gradient) + 1e-6))
            gradient = jax.tree.map(lambda leaf: leaf * scale, gradient)
            update, state = adam.update(gradient, state)
            parameters = jax.tree.map(lambda p, u, r: p - rate * r * u, parameters, update, relative)
            return (parameters, state), value

        (parameters, state), values = jax.lax.scan(step, (parameters, state), (rows, rates, alphas))
        return parameters, state, values

    return one_run
