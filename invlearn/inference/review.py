"""Pairs of rows whose answers are most informative, and the effect of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import squareform

from invlearn.errors import UserError
from invlearn.evaluation.coded import CodedSamples
from invlearn.evaluation.compared import ComparedPairs
from invlearn.evaluation.doubts import CLOSEST, Doubts, doubtful_labels, doubtful_pairs
from invlearn.evaluation.probability import DistanceModel
from invlearn.files import Table, open_table
from invlearn.inference.columns import Choice, columns_beside, numbered_labels
from invlearn.inference.decision import Rule
from invlearn.inference.embed import Source
from invlearn.inference.encoding import coded_chunks
from invlearn.inference.match import gather
from invlearn.inference.nearest import NearestRows, coded_samples
from invlearn.runs.trained import TrainedRun

__all__ = ["Answered", "answered", "review"]

NEIGHBOURS = 8
"""Number of nearest rows that a row is compared with."""

MOST = 1_000
"""Maximal number of rows that distances are fitted to."""


def review(
    run: TrainedRun,
    table: Source,
    *,
    entity: str | None = None,
    size: int = 200,
    prior: float | None = None,
    features: Choice = None,
    replica: int | None = None,
) -> pd.DataFrame:
    """Pairs of rows whose answers are most informative, the most informative first.

    Without labels these are pairs whose probability is near a half, and pairs of rows that both match a third row
    but not each other. With labels they are rows that do not fit their entity, each with the nearest row of that label
    that does, if there is one; rows without a label are ignored.

    Args:
        run: A trained run.
        table: The rows.
        entity: Column of labels to review; by default pairs are reviewed without labels.
        size: Maximal number of pairs.
        prior: Share of the rows that have a partner; by default it is estimated.
        features: Names of the features, or their prefix; by default as in training.
        replica: Replica that encodes; by default the one with the lowest validation loss.

    Returns:
        ``first_row`` and ``second_row``, from 1, ``reason`` (``label``, ``threshold``, ``contradiction``), ``score``,
        ``distance``, ``probability``, an empty ``answer``, and all columns of both rows as ``first_…`` and
        ``second_…``.

    Raises:
        UserError: The table cannot be used, the run has no probabilities, or a setting is out of range.
    """
    if size < 1:
        raise UserError(f"review: --size must be at least 1, got {size}")
    rule = Rule(prior=prior)
    rule.check(run, replica=replica)
    if run.calibration(replica).model is None:
        raise UserError(f"review: {run.directory} has no probabilities; train it again with more entities")
    opened = open_table(table)
    columns = columns_beside(run, opened, entity, features, command="review")
    if "row" in opened.columns:
        raise UserError(f"{opened}: a column is named row; its copies would be named as columns of the review")
    coded = gather(coded_chunks(run, opened, columns, replica=replica))
    n = len(coded.rows)
    if n < 2:
        raise UserError(f"{opened}: {n} rows; a review needs at least two")
    search = NearestRows(run.encoder(replica), coded)
    distances, indices = search.nearest(coded, min(NEIGHBOURS, n - 1), own=np.arange(n))
    decision = rule.decide(run, distances[:, 0], among=n - 1, replica=replica)
    if entity is not None:
        number = numbered_labels(coded.others[entity])
        if not (number >= 0).any():
            raise UserError(f"{opened}, column {entity}: no row has a label")
        doubts = _of_labelled(search.samples, number)
    else:
        between = _between(search.samples, indices[:, :CLOSEST])
        doubts = doubtful_pairs(decision.of_any(distances), indices, decision.of_any(between))
    doubts = doubts.most(size)
    apart = _apart(search.samples, doubts.first, doubts.second)
    return _queue(opened, coded.rows, doubts, apart, decision.of_any(apart))


def _of_labelled(samples: CodedSamples, number: np.ndarray) -> Doubts:
    """Doubts about labels, given as numbers; -1 stands for none."""
    labelled = np.flatnonzero(number >= 0)
    doubts = doubtful_labels(samples[torch.from_numpy(labelled)], number[labelled])
    return replace(doubts, first=labelled[doubts.first], second=labelled[doubts.second])


def _between(samples: CodedSamples, near: np.ndarray) -> np.ndarray:
    """Distances of the neighbours of each row from each other, ``(n, k, k)`` for neighbours ``(n, k)``."""
    found = np.zeros((*near.shape, near.shape[1]), dtype=np.float32)
    for one, other in combinations(range(near.shape[1]), 2):
        found[:, one, other] = found[:, other, one] = _apart(samples, near[:, one], near[:, other])
    return found


def _apart(samples: CodedSamples, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances of pairs of rows, ``(N,)``."""
    return samples.apart(torch.from_numpy(first), torch.from_numpy(second))[0].numpy()


def _queue(
    table: Table, rows: np.ndarray, doubts: Doubts, distance: np.ndarray, probability: np.ndarray
) -> pd.DataFrame:
    """The pairs with the columns of both rows."""
    ends = rows[doubts.first], rows[doubts.second]
    found = pd.DataFrame(
        {
            "first_row": ends[0],
            "second_row": ends[1],
            "reason": doubts.reason.astype(str),
            "score": doubts.score,
            "distance": distance,
            "probability": probability,
            "answer": "",
        }
    )
    shown = _rows(table, np.unique(np.concatenate(ends)))
    beside = [
        shown.loc[end].reset_index(drop=True).add_prefix(prefix)
        for end, prefix in zip(ends, ("first_", "second_"), strict=True)
    ]
    return pd.concat([found, *beside], axis=1)


def _rows(table: Table, numbers: np.ndarray) -> pd.DataFrame:
    """Some rows of a table, by their numbers; columns that are not numbers stay text."""
    text = [name for name in table.columns if name not in table.numeric]
    parts = []
    for chunk in table.chunks(table.columns, text=text):
        here = np.arange(chunk.first_row, chunk.first_row + len(chunk.frame))
        kept = np.isin(here, numbers)
        parts.append(chunk.frame[kept].set_axis(here[kept], axis=0))
    return pd.concat(parts)


@dataclass(frozen=True)
class Answered:
    """The effect of answers to a queue.

    Args:
        pairs: The answered pairs in the format of ``dataset=pairs``: features as ``x_…`` and ``x_prime_…``, and
            ``d``, 0 for the same and 1 for different entities.
        wrong: Rows with a wrong label, in a column ``row``, for ``dataset.leave_out``; empty without labels.
        log_loss: Log loss of the run's probabilities on the answers, in nats.
        shift: Correction of the log odds of the probabilities; None with labels, because that queue is a biased
            selection of pairs.
        shift_error: Its standard error.
        before: Model of distances with all labels; None without labels, or with too few.
        after: The same without the wrong labels.
    """

    pairs: pd.DataFrame
    wrong: pd.DataFrame
    log_loss: float
    shift: float | None
    shift_error: float | None
    before: DistanceModel | None
    after: DistanceModel | None


def answered(
    run: TrainedRun,
    table: Source,
    answers: Source,
    *,
    entity: str | None = None,
    features: Choice = None,
    replica: int | None = None,
) -> Answered:
    """Use the answers in a queue of ``review``, ``same`` or ``different`` in its column ``answer``.

    Args:
        run: The run.
        table: The rows that were reviewed.
        answers: The queue; pairs without an answer are ignored.
        entity: Column of labels, as in ``review``.
        features: As in ``review``.
        replica: As in ``review``.

    Raises:
        UserError: A table cannot be used, or an answer is neither ``same`` nor ``different``.
    """
    opened = open_table(table)
    columns = columns_beside(run, opened, entity, features, command="review")
    told = _told(open_table(answers), columns.features)
    _check_rows(told, opened, columns.features, str(answers) if isinstance(answers, str | Path) else "the answers")
    is_same = (told["answer"] == "same").to_numpy()
    p = np.clip(told["probability"].to_numpy(dtype=float), 1e-9, 1 - 1e-9)
    log_loss = float(-np.log(np.where(is_same, p, 1 - p)).mean())
    doubted = (told["reason"] == "label").to_numpy()
    wrong = pd.DataFrame({"row": told["first_row"][doubted & ~is_same].drop_duplicates().to_numpy(dtype=int)})
    sides = [
        told[[f"{end}_{name}" for name in columns.features]].set_axis(
            [f"{prefix}{name}" for name in columns.features], axis=1
        )
        for end, prefix in (("first", "x_"), ("second", "x_prime_"))
    ]
    pairs = pd.concat([*sides, pd.Series(1 - is_same.astype(int), index=told.index, name="d")], axis=1)
    if entity is None:
        return Answered(pairs, wrong, log_loss, *_shift(np.log(p / (1 - p)), is_same), None, None)
    coded = gather(coded_chunks(run, opened, columns, replica=replica))
    number = numbered_labels(coded.others[entity])
    labelled = number >= 0
    right = labelled & ~np.isin(coded.rows, wrong["row"])
    samples = coded_samples(run.encoder(replica), coded)
    models = (DistanceModel.fit(_compared(samples, number, kept)) for kept in (labelled, right))
    return Answered(pairs, wrong, log_loss, None, None, *models)


def _told(table: Table, features: Sequence[str]) -> pd.DataFrame:
    """The answered pairs of a queue."""
    needed = ["first_row", "second_row", "reason", "probability", "answer"]
    needed += [f"{end}_{name}" for end in ("first", "second") for name in features]
    table.require(needed, "--answers, a queue of invlearn review")
    frame = pd.concat([chunk.frame for chunk in table.chunks(needed, text=["reason", "answer"])], ignore_index=True)
    frame["answer"] = frame["answer"].fillna("").astype(str).str.strip().str.lower()
    known = frame["answer"].isin(["same", "different", ""])
    if not known.all():
        row = int(np.flatnonzero(~known)[0]) + 1
        raise UserError(f"{table.place(row)}: the answer is {frame['answer'][row - 1]!r}, not same or different")
    frame["probability"] = pd.to_numeric(frame["probability"], errors="coerce")
    if not (known := frame["probability"].between(0, 1)).all():
        raise UserError(f"{table.place(int(np.flatnonzero(~known)[0]) + 1)}, column probability: no probability")
    if not (frame["answer"] != "").any():
        raise UserError(f"{table}: no pair has an answer; write same or different into the column answer")
    return frame[frame["answer"] != ""]


def _check_rows(told: pd.DataFrame, table: Table, features: Sequence[str], name: str) -> None:
    """Refuse answers about rows of another table.

    Raises:
        UserError: A row is not in the table, or has other features there.
    """
    rows = {end: pd.to_numeric(told[f"{end}_row"], errors="coerce") for end in ("first", "second")}
    shown = _rows(table, pd.concat(rows.values()).dropna().to_numpy())
    for end, numbers in rows.items():
        theirs = (
            told[[f"{end}_{feature}" for feature in features]].apply(pd.to_numeric, errors="coerce").to_numpy(float)
        )
        ours = shown[list(features)].reindex(numbers).to_numpy(float)
        agree = numbers.isin(shown.index).to_numpy() & np.isclose(ours, theirs, rtol=1e-4, equal_nan=True).all(1)
        if not agree.all():
            index = told.index[int(np.flatnonzero(~agree)[0])]
            said = f"{told.loc[index, f'{end}_row']} is not a row of {table}"
            raise UserError(f"{name}, row {index + 1}, column {end}_row: {said}; is this the queue of another file?")


def _shift(log_odds: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """Shift of the log odds of largest likelihood, with a normal prior of deviation 2, and its standard error."""
    shift, curvature = 0.0, 1.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-(log_odds + shift)))
        curvature = float((p * (1 - p)).sum()) + 0.25
        step = (float((same - p).sum()) - 0.25 * shift) / curvature
        shift += max(-1.0, min(1.0, step))
    return shift, curvature**-0.5


def _compared(samples: CodedSamples, number: np.ndarray, kept: np.ndarray) -> ComparedPairs:
    """All pairs of up to 1,000 rows among some, given as a mask, entity by entity."""
    rows = np.flatnonzero(kept)
    rng = np.random.default_rng(0)
    order = rows[np.argsort(rng.permutation(number.max() + 1)[number[rows]], kind="stable")[:MOST]]
    entity = torch.from_numpy(number[order])
    distances = samples[torch.from_numpy(order)].within(entity)[0].double().numpy()
    return ComparedPairs.of_all(squareform(distances, checks=False), number[order])
