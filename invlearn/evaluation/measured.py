"""An encoder on held-out data: the inputs of metrics, each computed once, on demand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor

from invlearn.data import Batch, DrawnPairs, Draws, FourierCodes, Pairs, Split, Targets
from invlearn.data.indexed import IndexedPairs, distinct
from invlearn.data.spectrum import BLOCKS
from invlearn.encoder import InvariantEncoder
from invlearn.evaluation.coded import CodedSamples, Encode, common_values
from invlearn.evaluation.hits import hits_among, hits_at_1
from invlearn.losses import Loss, Outputs, Statistics
from invlearn.losses.functional import code_distance
from invlearn.nn import Gaps

__all__ = ["HELD_OUT_ROWS", "HeldOut", "Measured", "coded", "encode_stack", "filled_by", "hits_of"]

HELD_OUT_ROWS = 32_768
"""Rows of all replicas together per call of the network, when no gradient is needed."""

FILLED_ROWS = 8_192
"""Samples whose gaps are filled at a time."""

REPEATED = 2**23
"""Features of all samples together, from which each distinct one is encoded once: files repeat them in many pairs."""


class HeldOut:
    """Examples of a split to measure on, drawn on demand.

    Args:
        draws: Source of the examples.
        loss: The loss, which chooses its validation examples.
        split: The split.
        batch_size: Entities per batch, for a loss on batches of entities.
    """

    def __init__(self, draws: Draws, loss: Loss, split: Split, batch_size: int):
        self.draws, self.loss, self.batch_size = draws, loss, batch_size
        self.split: Split = split
        self._on_common_values: Pairs | None = None

    @cached_property
    def measures_loss(self) -> bool:
        """Whether the dataset has what the loss is validated on; otherwise pairs are measured."""
        try:
            self.loss.validation.check(self.draws.dataset)
        except ValueError:
            return False
        return True

    @cached_property
    def examples(self) -> Batch:
        """What the loss is validated on, else pairs."""
        return self.draws.examples(self.loss.validation if self.measures_loss else DrawnPairs(), self.split)

    @cached_property
    def pairs(self) -> Pairs:
        """Pairs, whatever the loss is validated on."""
        if isinstance(self.examples, Pairs):
            return self.examples
        pairs = self.draws.examples(DrawnPairs(), self.split)
        assert isinstance(pairs, Pairs)
        return pairs

    def on_common_values(self, gaps: Gaps | None) -> Pairs | None:
        """The pairs, filled where either sample lacks a value; None if the data have no gaps.

        Args:
            gaps: Fills gaps; the same in each call.
        """
        if self.draws.with_gaps is None or gaps is None:
            return None
        if self._on_common_values is None:
            pairs = self.draws.with_gaps.examples(DrawnPairs(), self.split)
            assert isinstance(pairs, Pairs)
            missing = ~common_values(pairs.x, pairs.x_prime)[0]
            parts = (part[0].masked_fill(missing, torch.nan) for part in (pairs.x, pairs.x_prime))
            x, x_prime = (_filled(gaps, part)[None] for part in parts)
            self._on_common_values = Pairs(x, x_prime, pairs.distance)
        return self._on_common_values

    @cached_property
    def indexed(self) -> IndexedPairs | None:
        """The pairs as indices of distinct samples; None if that does not save much."""
        x, x_prime, _ = self.pairs
        if len(x) > 1 or 2 * x.numel() < REPEATED:
            return None
        found = IndexedPairs.of(x[0], x_prime[0])
        return found if len(found.samples) < 2 * len(found.first) else None


class Measured:
    """A stack of R encoders on held-out examples.

    Args:
        held_out: The examples.
        encoder: The stack.
        statistics: Statistics of the training examples.
    """

    def __init__(self, held_out: HeldOut, encoder: InvariantEncoder, statistics: Statistics):
        self.held_out, self.loss, self.encoder = held_out, held_out.loss, encoder
        self.statistics = statistics
        self.state = self.loss.at(1.0, statistics)

    @cached_property
    def known(self) -> frozenset[str]:
        """Names in ``Metric.needs`` that are available without drawing pairs or a gallery."""
        there = {f"state:{name}" for name in self.state} | {f"term:{name}" for name in self.terms}
        there |= {f"block:{name}" for name in self.blocks}
        there |= {"targets"} if self.blocks else set()
        there |= {"decoder"} if self.loss.trains_decoder else set()
        there |= {"encoder"} if self.loss.trains_encoder else set()
        there |= {"pairs"} if self.loss.trains_encoder and isinstance(self.examples, Pairs) else set()
        return frozenset(there)

    @property
    def examples(self) -> Batch:
        """What the loss is validated on."""
        return self.held_out.examples

    @property
    def pairs(self) -> Pairs:
        """Pairs, ``(R, N, ...)`` or ``(1, N, ...)`` each."""
        return self.held_out.pairs

    @property
    def targets(self) -> Targets:
        """Signals with their codes."""
        assert isinstance(self.examples, Targets)
        return self.examples

    @property
    def blocks(self) -> tuple[str, ...]:
        """Blocks of a supervised code, in order."""
        sampler = self.loss.validation if self.held_out.measures_loss else None
        return BLOCKS[sampler.code] if isinstance(sampler, FourierCodes) else ()

    @cached_property
    def terms(self) -> dict[str, Tensor]:
        """The loss and its terms, ``(R,)`` each."""
        if not self.held_out.measures_loss:
            return {}
        with torch.no_grad(), evaluating(self.encoder):
            if self.loss.validation.kind != "entities":
                return self.loss.terms(self.outputs, self.examples, **self.state)
            batches = _split(self.examples, self.held_out.batch_size, self.encoder.replicas)
            least = self.loss.validation.smallest_batch
            whole = [batch for batch in batches if batch.x.shape[1] >= least] or batches
            terms = [self.loss.terms(self.loss.run(self.encoder, batch), batch, **self.state) for batch in whole]
            sizes = self.examples.x.new_tensor([batch.x.shape[1] for batch in whole])[:, None]
        return {
            name: (torch.stack([of_batch[name] for of_batch in terms]) * sizes).sum(0) / sizes.sum()
            for name in terms[0]
        }

    @cached_property
    def outputs(self) -> Outputs:
        """Outputs for all examples."""
        return self._run(self.examples)

    @property
    def x(self) -> Tensor:
        """The samples of all examples, ``(R, N, k, d)``."""
        return self.examples.arrange(self.examples.samples())

    @property
    def x_hat(self) -> Tensor:
        """Their reconstructions."""
        return self.outputs.x_hat

    @property
    def z(self) -> Tensor:
        """Codes of signals, ``(R, N, code)``."""
        return self.outputs.z.squeeze(2)

    @cached_property
    def pair_codes(self) -> tuple[Tensor, Tensor]:
        """Invariant codes of both samples of the pairs, ``(R, N, invariant)``."""
        if (found := self.held_out.on_common_values(self.encoder.gaps)) is not None:
            return encode_stack(self.encoder, found.x), encode_stack(self.encoder, found.x_prime)
        outputs = self.outputs if self.pairs is self.examples else self._run(self.pairs)
        z, z_prime = outputs.z_invariant.unbind(2)
        return z, z_prime

    @cached_property
    def code_distance(self) -> Tensor:
        """d̂ of the pairs, ``(R, N)``."""
        return code_distance(*self.pair_codes)

    @property
    def distance(self) -> Tensor:
        """d* of the pairs, ``(R, N)``."""
        return self.pairs.distance.expand(self.encoder.replicas, -1)

    @property
    def same(self) -> Tensor:
        """Which pairs are of one entity, ``(R, N)``."""
        return self.distance == 0

    @cached_property
    def hits(self) -> Tensor:
        """Whether each of some entities is found among them by another sample, ``(R, n)``."""
        return hits_of(self.encoder, self.held_out.draws)

    def _run(self, examples: Batch) -> Outputs:
        """Outputs for many examples, in chunks that keep the activations of all replicas small."""
        is_of_samples = isinstance(examples, Pairs) and type(self.loss).run is Loss.run  # another may need both samples
        if is_of_samples and (found := self.held_out.indexed):
            of_samples = self._run(Targets(found.samples[None], found.samples.new_empty(1, len(found.samples), 0)))
            index = torch.stack([found.first, found.second], dim=1)
            return Outputs(*(part[:, index, 0] if part.ndim > 2 else part for part in of_samples))
        rows = max(1, HELD_OUT_ROWS // self.encoder.replicas)
        with torch.no_grad(), evaluating(self.encoder):
            chunks = [self.loss.run(self.encoder, b) for b in _split(examples, rows, self.encoder.replicas)]
        return Outputs(*(torch.cat(parts, dim=1) for parts in zip(*chunks, strict=True)))


def _split(examples: Batch, rows: int, replicas: int) -> list[Batch]:
    """Examples in batches of so many, for each replica."""
    batches = []
    for start in range(0, examples.x.shape[1], rows):
        parts = [part[:, start : start + rows] for part in examples]
        batches.append(type(examples)(*(part.expand(replicas, *part.shape[1:]) for part in parts)))
    return batches


@contextmanager
def evaluating(encoder: InvariantEncoder) -> Iterator[None]:
    """Evaluation mode: dropout and the like are switched off."""
    training = encoder.training
    encoder.eval()
    try:
        yield
    finally:
        encoder.train(training)


def filled_by(encoder: InvariantEncoder) -> Encode:
    """Fills gaps of scaled samples ``(n, d)`` and encodes them by all replicas, in the precision of these."""

    def encode(x: Tensor) -> Tensor:
        x = x.to(encoder.device, encoder.dtype)
        return encode_stack(encoder, (x if encoder.gaps is None else _filled(encoder.gaps, x))[None])

    return encode


def _filled(gaps: Gaps, x: Tensor) -> Tensor:
    """Fill samples in their precision."""
    if not bool(torch.isnan(x).any()):
        return x
    return torch.cat([gaps(part, x.dtype) for part in x.split(FILLED_ROWS)])


def coded(encoder: InvariantEncoder, x: Tensor) -> CodedSamples:
    """Drawn samples ``(1, N, d)``, which may have gaps, or ``(R, N, d)``, with their codes."""
    return CodedSamples(filled_by(encoder), x[0], None if len(x) == 1 else encode_stack(encoder, x))


def hits_of(encoder: InvariantEncoder, draws: Draws) -> Tensor:
    """Whether each of some entities is found among them by another sample, ``(R, n)``; samples may have gaps.

    Args:
        encoder: The stack.
        draws: The draws of its replicas.
    """
    if draws.with_gaps is not None:
        queries, gallery = (coded(encoder, part) for part in draws.with_gaps.query_and_gallery())
        return hits_among(queries.search(gallery))
    return hits_at_1(*(encode_stack(encoder, part) for part in draws.query_and_gallery()))


def encode_stack(encoder: InvariantEncoder, x: Tensor) -> Tensor:
    """Invariant codes of scaled samples ``(R, N, d)`` or ``(1, N, d)`` by all replicas, ``(R, N, invariant)``."""
    index: Tensor | None = None
    if len(x) == 1 and x.numel() >= REPEATED:
        samples, index = distinct(x[0])
        x = samples[None]
    rows = max(1, HELD_OUT_ROWS // encoder.replicas)
    with torch.no_grad(), evaluating(encoder):
        chunks = [
            encoder.invariant_part(encoder.network.encode(chunk.expand(encoder.replicas, -1, -1)))
            for chunk in x.split(rows, dim=1)
        ]
    codes = torch.cat(chunks, dim=1)
    return codes if index is None or x.shape[1] == len(index) else codes[:, index]
