"""Codes of the rows of a file: what ``embed`` writes and ``match`` compares."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from invlearn.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from invlearn.files.columns import Checked
    from invlearn.files.table import Table
    from invlearn.runs.trained import TrainedRun

__all__ = ["Coded", "add_arguments", "coded_pieces", "columns_of", "columns_of_pairs"]


UNITS = 5
"""How many times as far from the mean as in training samples may be without a word."""

FEW = 10
"""Samples that are too few to tell."""


class Coded(NamedTuple):
    """Some rows of a file."""

    rows: np.ndarray
    """Their numbers, from 1."""
    others: pd.DataFrame
    """Their columns that are no features."""
    invariant: np.ndarray
    """Invariant codes of their samples, ``(n, C)`` where a row is one."""
    variant: np.ndarray
    """Variant codes."""


def add_arguments(parser: ArgumentParser) -> None:
    """Options of everything that encodes files."""
    parser.add_argument(
        "--features", metavar="COLUMNS", help="names with commas between, or a prefix; by default as in training"
    )
    parser.add_argument("--drop-missing", action="store_true", help="leave out rows in which a feature is missing")
    parser.add_argument("--replica", type=int, help="which replica encodes; by default the best by validation loss")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")


def columns_of(
    run: TrainedRun, table: Table, features: str | None, *, option: str = "--features", without: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Columns of a file that are features for a run, and those that are not.

    Args:
        run: The run.
        table: The file.
        features: Names or a prefix; None takes those of the run's own file, or all that hold numbers.
        option: What chooses them, for messages.
        without: Columns that are no features.

    Raises:
        UserError: They are not there, or not as many as the run's.
    """
    from invlearn.files import choose_columns

    dataset = run.experiment.dataset
    trained = getattr(dataset, "feature_columns", "auto")
    choice = trained if features is None else features.split(",") if "," in features else features
    if features is None and trained != "auto" and not set(trained) <= set(table.columns):
        missing = next(name for name in trained if name not in table.columns)
        raise UserError(f"{table}: there is no column {missing}, a feature of this run; --features names others")
    # One name alone is a column if there is one, and else a prefix.
    choice = [choice] if isinstance(choice, str) and choice in table.columns else choice
    chosen = choose_columns(table, choice, option, without=without)
    if isinstance(choice, str):  # a prefix says nothing of their order
        for names in (getattr(dataset, "feature_columns", ()), getattr(dataset, "x_prime", ())):
            if set(names) == set(chosen):
                chosen = [str(name) for name in names]
    if len(chosen) != dataset.dim:
        raise UserError(f"{table}: {len(chosen)} features, but the run has {dataset.dim}; choose them with {option}")
    return chosen, [name for name in table.columns if name not in chosen]


def columns_of_pairs(run: TrainedRun, table: Table, x: str, x_prime: str) -> tuple[list[str], list[str]]:
    """Columns of a file of pairs that are the features of x, and those of x', for a run.

    Args:
        run: The run.
        table: The file.
        x: Names with commas between, or a prefix.
        x_prime: Likewise; it may begin as ``x`` does.

    Raises:
        UserError: They are not there, or not as many as the run's.
    """
    if x == x_prime:
        raise UserError(f"--pairs: {x} names both samples")
    second, _ = columns_of(run, table, x_prime, option="--pairs")
    first, _ = columns_of(run, table, x, option="--pairs", without=second)
    return first, second


def _compare_units(run: TrainedRun, table: Table, samples: np.ndarray) -> None:
    """Say so where samples are of another size than those that were trained on."""
    if run.scale is None or run.config["dataset"].get("scaling") == "none" or len(samples) < FEW:
        return
    size = float(np.sqrt(np.square(run.scale.double(samples)).mean()))  # 1 in training
    if not 1 / UNITS < size < UNITS:
        print(
            f"invlearn: {table}: its values lie {size:.2g} times as far from the mean as those trained on did; "
            f"are they in the same units?",
            file=sys.stderr,
        )


def coded_pieces(
    run: TrainedRun,
    table: Table,
    features: Sequence[str],
    others: Sequence[str],
    *,
    drop_missing: bool,
    replica: int | None,
) -> Iterator[Coded]:
    """Encode a file piece by piece, in its order, while the next pieces are read: memory does not grow with the file.

    A row may hold several samples, one after the other; each has its code then.

    Args:
        run: The run.
        table: The file.
        features: Its columns that are features.
        others: Columns to go along.
        drop_missing: Leave out rows in which a feature is missing.
        replica: Which encodes.

    Raises:
        UserError: A feature is missing, text or infinite; it names file, row and column.
    """
    import torch

    from invlearn.files import checked_pieces

    hint = "; --drop-missing leaves such rows out"
    width, first = run.experiment.dataset.dim, True
    run.model(run.best_replica if replica is None else replica)  # once, before threads ask for it
    workers = os.cpu_count() or 1
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a core for each piece, rather than all for one
    waiting: deque[tuple[Checked, Future]] = deque()

    def encoded() -> Coded:
        piece, codes = waiting.popleft()
        return Coded(piece.rows, piece.others, *codes.result())

    try:
        with ThreadPoolExecutor(workers) as pool:
            for piece in checked_pieces(table, features, others, drop_missing=drop_missing, hint=hint):
                samples = piece.features.reshape(-1, width)
                if first:
                    _compare_units(run, table, samples)
                    first = False
                waiting.append((piece, pool.submit(run.encode, samples, replica=replica)))
                if len(waiting) > workers:
                    yield encoded()
            while waiting:
                yield encoded()
    finally:
        torch.set_num_threads(threads)
