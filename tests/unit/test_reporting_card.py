"""The model card: what it says, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import invlearn
from invlearn.reporting.card import MARK, card, write_card
from invlearn.runs.trained import TrainedRun
from tests.support.interrupting import interrupted_after
from tests.support.own_data import entity_table

SMALL = ["trainer.epochs=1", "dataset.size=256", "dataset.valid_size=64", "dataset.test_size=64", "model=extended"]


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    return invlearn.train([*SMALL, "dataset=shift"], tmp_path_factory.mktemp("card") / "run")


def test_a_card_has_the_scores_of_the_run(family: TrainedRun) -> None:
    metrics = family.directory.record()["replicas"][0]["metrics"]
    assert f"| `auroc` | {metrics['auroc']:.3g} |" in card(family)
    assert 'load_run("run")' in card(family)


def test_a_card_is_written_again_and_replaces_nobody_elses(family: TrainedRun) -> None:
    path = write_card(family)
    assert path is not None
    assert path == family.directory.path / "README.md"
    assert path.read_text().startswith(MARK)
    assert write_card(family) == path
    path.write_text("mine")
    assert write_card(family) is None
    assert path.read_text() == "mine"


def test_a_card_of_an_unfinished_run_has_no_scores(tmp_path: Path, monkeypatch) -> None:
    with interrupted_after(1, monkeypatch), pytest.raises(KeyboardInterrupt):
        invlearn.train([*SMALL, "dataset=shift"], tmp_path / "run")
    text = card(invlearn.load_run(tmp_path / "run"))
    assert "interrupted" in text
    assert "auroc" not in text


def test_names_of_strangers_are_no_markup(tmp_path: Path) -> None:
    table: pd.DataFrame = entity_table(30)
    path = tmp_path / "a|b<script>`x`[y](z).csv"
    table.to_csv(path, index=False)
    run = invlearn.train([*SMALL, "dataset=entities", f"dataset.path='{path}'", "dataset.entity=id"], tmp_path / "run")
    text = card(run)
    assert "<script>" not in text
    assert "a\\|b\\<script\\>\\`x\\`\\[y\\](z).csv" in text
