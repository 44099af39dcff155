"""A run on samples of entities, which several commands are tried on."""

from __future__ import annotations

from pathlib import Path

import pytest

from invlearn.cli import main
from tests.support.own_data import SHORT, entity_table, write


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples, a run trained on them, and two files of other entities, a sample of each in both."""
    place = tmp_path_factory.mktemp("own")
    file = write(entity_table(entities=200, copies=4), place / "samples.csv")
    words = [
        "dataset=entities",
        "model=extended",
        f"dataset.path={file}",
        "dataset.entity=id",
        *SHORT,
        f"hydra.run.dir={place / 'run'}",
    ]
    assert main(["train", *words, "replicas=2"]) == 0
    others = entity_table(entities=150, copies=2, seed=1).sort_values("id").reset_index(drop=True)
    for name, start in (("a", 0), ("b", 1)):
        others[start::2].sample(frac=1, random_state=start).to_csv(place / f"{name}.csv", index=False)
    write(others, place / "both.parquet")
    return place
