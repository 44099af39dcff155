"""Codes of the rows of a table, chunk by chunk."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from invlearn.encoder import InfiniteCodeError, InvariantEncoder
from invlearn.errors import UserError
from invlearn.evaluation.coded import KNOWN
from invlearn.files import Missing, Table, checked_chunks, told_gaps
from invlearn.inference.columns import Columns
from invlearn.runs.trained import TrainedRun
from invlearn.system.output import warn

if TYPE_CHECKING:
    import pandas as pd

    from invlearn.files.columns import Checked

__all__ = ["Coded", "CodedTable", "coded_chunks"]

UNITS = 5
"""Warn if samples are this many times larger or smaller than the training samples."""

MOST = 8
"""Chunks encoded at the same time: each takes memory."""

FEW = 10
"""Fewest samples for that warning."""


class Coded(NamedTuple):
    """Some rows of a table."""

    rows: np.ndarray
    """Their numbers, from 1."""
    others: pd.DataFrame
    """Their columns that are not features."""
    invariant: np.ndarray
    """Invariant codes of their samples, ``(n, C)`` where a row is one."""
    variant: np.ndarray
    """Variant codes."""
    samples: np.ndarray | None = None
    """The samples ``(n, d)``, NaN where a value is missing, if they are kept."""
    scaled: np.ndarray | None = None
    """The same, scaled and in the network's precision; None if they cannot have gaps."""

    def at(self, index: np.ndarray | slice) -> Coded:
        """Some of the rows, if each is one sample."""
        parts = self.rows[index], self.others.iloc[index], self.invariant[index], self.variant[index]
        return Coded(*parts, *(None if part is None else part[index] for part in (self.samples, self.scaled)))


class CodedTable:
    """The chunks of a table, which can be iterated repeatedly; the first is encoded in advance.

    Args:
        chunks: Starts a new iteration.

    Attributes:
        first: The first chunk.
    """

    def __init__(self, chunks: Callable[[], Iterator[Coded]]):
        self._again = chunks
        self._begun: Iterator[Coded] | None = chunks()
        self.first = next(self._begun)

    def __iter__(self) -> Iterator[Coded]:
        begun, self._begun = self._begun, None
        if begun is None:
            yield from self._again()
        else:
            yield self.first
            yield from begun


def coded_chunks(
    run: TrainedRun,
    table: Table,
    columns: Columns,
    *,
    drop_missing: bool = False,
    replica: int | None = None,
    keep_samples: bool = False,
) -> Iterator[Coded]:
    """Encode a table chunk by chunk, in its order, while the next chunks are read, in constant memory.

    A row may have several samples, one after the other; each gets its own code.

    Args:
        run: The run.
        table: The table.
        columns: Its features, and the columns to copy.
        drop_missing: Leave out rows with a missing value instead of filling it.
        replica: Replica that encodes; by default the one with the lowest validation loss.
        keep_samples: Whether to return samples with their codes.

    Raises:
        UserError: A feature is text or infinite, or missing where the run cannot fill it, or a code is not finite; the
            message names file and row.
    """
    encoder, filled, of, sparse = run.encoder(replica), 0, 0, 0
    missing: Missing = "drop" if drop_missing else "keep" if encoder.gaps else "refuse"
    hint, count = "; --drop-missing leaves out all rows with a missing value", len(columns.features) // encoder.dim
    chunks = checked_chunks(table, *columns, missing=missing, hint=hint, samples=count)
    for chunk, (invariant, variant) in _encoded(encoder, table, chunks):
        samples = chunk.features.reshape(-1, encoder.dim)
        if not of and run.config["dataset"].get("scaling") != "none":  # of the first chunk
            _compare_units(encoder, table, samples)
        gaps = np.isnan(samples)
        filled, of = filled + int(gaps.sum()), of + samples.size
        sparse += int((gaps.mean(axis=1) > 1 - KNOWN).sum())
        scaled = _scaled(encoder, samples) if missing == "keep" else None
        yield Coded(chunk.rows, chunk.others, invariant, variant, samples if keep_samples else None, scaled)
    if filled:
        warn(f"{table}: missing: {told_gaps(filled, of, encoder.dim)}")
    if sparse:
        warn(f"{table}: {sparse:,} samples have less than half of their values; they will hardly match any other")


def _scaled(encoder: InvariantEncoder, samples: np.ndarray) -> np.ndarray:
    x = torch.tensor(samples, device=encoder.device)
    return (x if encoder.scaler is None else encoder.scaler(x)).to("cpu", encoder.dtype).numpy()


def _encoded(
    encoder: InvariantEncoder, table: Table, chunks: Iterator[Checked]
) -> Iterator[tuple[Checked, tuple[np.ndarray, np.ndarray]]]:
    """Chunks with the codes of their samples, in order; one chunk per core at a time."""
    workers, threads = min(os.cpu_count() or 1, MOST), torch.get_num_threads()
    waiting: deque[tuple[Checked, Future[tuple[np.ndarray, np.ndarray]]]] = deque()

    def oldest() -> Iterator[tuple[Checked, tuple[np.ndarray, np.ndarray]]]:
        chunk, codes = waiting.popleft()
        try:
            found = codes.result()
        except InfiniteCodeError as error:
            row = chunk.rows[error.sample * encoder.dim // chunk.features.shape[1]]
            raise UserError(
                f"{table.place(int(row))}: its code is not finite; are the values in the units of training?"
            ) from error
        torch.set_num_threads(threads)  # restore torch's setting for the caller
        yield chunk, found
        torch.set_num_threads(1)

    try:
        with ThreadPoolExecutor(workers) as pool:
            torch.set_num_threads(1)  # a core for each chunk, rather than all for one
            for chunk in chunks:
                waiting.append((chunk, pool.submit(encoder.encode, chunk.features.reshape(-1, encoder.dim))))
                if len(waiting) > workers:
                    yield from oldest()
            while waiting:
                yield from oldest()
    finally:
        torch.set_num_threads(threads)


def _compare_units(encoder: InvariantEncoder, table: Table, samples: np.ndarray) -> None:
    """Warn if samples are much larger or smaller than the training samples."""
    if encoder.scaler is None or len(samples) < FEW:
        return
    scaled = encoder.scaler(torch.from_numpy(samples).to(encoder.device))
    size = float(scaled.square().nanmean().sqrt())  # 1 in training
    if not 1 / UNITS < size < UNITS:
        warn(
            f"{table}: its values are {size:.2g} times as far from the mean as the training values; "
            f"are they in the same units?"
        )
