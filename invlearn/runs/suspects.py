"""suspects.csv: the samples of a file of entities that do not fit their entity."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from invlearn.data import EntitySamples
from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError
from invlearn.evaluation.coded import CodedSamples
from invlearn.evaluation.measured import filled_by
from invlearn.evaluation.suspects import find_suspects, tells_apart
from invlearn.files import Prepared
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import SUSPECTS
from invlearn.system.lazy import pd
from invlearn.system.storage import read_inside
from invlearn.training.experiment import Experiment
from invlearn.training.loop import TrainingState
from invlearn.training.solving import Fitted

__all__ = ["no_suspects", "store_suspects", "suspects_table"]

MOST_BYTES = 2**31
"""Largest size of suspects.csv."""


def suspects_table(encoder: InvariantEncoder, data: Prepared, *, every: bool = False) -> pd.DataFrame:
    """The samples that do not fit their entity, the most suspicious first; none if codes do not separate entities.

    Args:
        encoder: A stack of one.
        data: Samples of entities, and where they come from.
        every: Whether to list all samples, with a column ``suspect`` that says which do not fit.

    Returns:
        Columns ``row`` of the file, ``entity`` in the file, ``distance`` to that entity, ``nearest`` other entity,
        ``nearest_distance`` and ``split``, which is ``left_out`` if the sample was left out of training.
    """
    origin, dataset = data.origin, data.dataset
    assert origin is not None
    assert isinstance(dataset, EntitySamples)
    samples = CodedSamples(filled_by(encoder), (dataset.with_gaps or dataset).at(slice(None)))
    codes = samples.codes[0]
    entity = origin.entity.to(codes.device)
    found = find_suspects(samples, entity, every=every)
    entities = torch.cat([chosen for split, chosen in dataset.splits.items() if split != "train"])
    held_out = torch.isin(dataset.entity, entities).to(codes.device)
    listed = found.listed & tells_apart(codes[held_out], entity[held_out])
    index = found.index.cpu().numpy()
    splits = np.full(len(origin.labels) + 1, "left_out", dtype=object)
    # If no entity is held out, all are trained on.
    for split, entities in sorted(dataset.splits.items(), key=lambda item: item[0] == "train"):
        splits[entities.numpy()] = split
    table = pd.DataFrame(
        {
            "row": origin.rows[index],
            "entity": origin.labels[origin.entity.numpy()[index]],
            "distance": found.distance.cpu().numpy(),
            "nearest": origin.labels[found.nearest.cpu().numpy()],
            "nearest_distance": found.nearest_distance.cpu().numpy(),
            "split": splits[dataset.entity.cpu().numpy()[index]],
        }
    )
    table["suspect"] = listed.cpu().numpy()
    return table if every else table[table.pop("suspect")]


def no_suspects(directory: RunDirectory) -> bytes:
    """The contents of suspects.csv without its rows."""
    return read_inside(directory.path, SUSPECTS, most=MOST_BYTES).partition(b"\n")[0] + b"\n"


def store_suspects(
    experiment: Experiment, state: TrainingState | Fitted, directory: RunDirectory, *, again: bool
) -> dict[str, Any]:
    """Write suspects.csv by the best replica; return its entries in run.json.

    Args:
        experiment: The run.
        state: The result of training, with the best parameters.
        directory: Its folder.
        again: Whether the run is only measured again; then it keeps an existing file.

    Returns:
        The number of samples, and of those that do not fit; nothing for pairs and families, or if nothing was learned.
    """
    data, best = experiment.data, int(state.best_loss.argmin())
    if data.origin is None or not experiment.loss.trains_encoder or not bool(state.best_epoch[best]):
        return {}
    count = _stored_count(directory) if again else None
    if count is None:
        table = suspects_table(state.encoder.replica(best), data)
        buffer = io.StringIO()
        table.to_csv(buffer, index=False, float_format="%.6g")
        directory.write(SUSPECTS, buffer.getvalue().encode(errors="backslashreplace"))
        count = len(table)
    return {"suspects": count, "samples": len(data.origin.rows)}


def _stored_count(directory: RunDirectory) -> int | None:
    """Number of rows of suspects.csv; None if it cannot be read."""
    with suppress(OSError, ValueError, UserError):
        return len(pd.read_csv(io.BytesIO(read_inside(directory.path, SUSPECTS, most=MOST_BYTES)), usecols=["row"]))
    return None
