"""The thresholds that validation samples tell, and the shares that follow from them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from invlearn.config import as_plain
from invlearn.config.compose import compose
from invlearn.evaluation.calibration import Calibration, Threshold
from invlearn.evaluation.evaluate import calibrate
from invlearn.training.experiment import Experiment
from tests.support.own_data import entity_table, write


def test_thresholds_are_those_of_all_pairs_of_validation_samples(tmp_path: Path) -> None:
    file = write(entity_table(100), tmp_path / "own.csv")
    words = [
        "dataset=entities",
        "model=extended",
        f"dataset.path={file}",
        "dataset.entity=id",
        "dataset.valid_share=0.3",
        "replicas=2",
    ]
    experiment = Experiment.from_config(as_plain(compose(words)))
    encoder, draws = experiment.encoder("cpu"), experiment.draws("cpu")
    model = encoder.network
    for replica, calibration in enumerate(calibrate(draws, encoder)):
        assert calibration is not None
        found = calibration.to_dict()
        assert Calibration.from_dict(found) == calibration
        x, entity = (part[0] for part in draws.labelled("valid", most=2_048))
        with torch.no_grad():
            z = model.encode(x[None].expand(2, -1, -1))[replica, :, : experiment.loss.invariant_features]
        pairs = list(itertools.combinations(range(len(z)), 2))
        distances = np.array([float(torch.linalg.vector_norm(z[i] - z[j])) for i, j in pairs])
        same = np.array([bool(entity[i] == entity[j]) for i, j in pairs])
        assert found["different_entities"] == 30 * 29 / 2
        assert found["false_positive_rate"][:2] == [0.0, 0.005]  # one in 435 is the least that these tell
        for rate, threshold, share in zip(
            found["false_positive_rate"], found["threshold"], found["true_positive_rate"], strict=True
        ):
            closer = distances[~same] < threshold * (1 - 1e-5)
            assert closer.mean() <= rate
            assert (distances[~same] < threshold * (1 + 1e-5)).sum() > rate * (
                ~same
            ).sum() - 1  # and no smaller one does
            assert share == pytest.approx((distances[same] < threshold).mean(), abs=1e-3)


@pytest.mark.parametrize("sure", [0.5, 0.95])
@pytest.mark.parametrize(("closer", "pairs"), [(0, 50), (3, 300)])
def test_a_share_is_the_limit_of_clopper_and_pearson(closer: int, pairs: int, sure: float) -> None:
    threshold = Threshold(0.1, closer / pairs, 0.9, pairs)
    limit = stats.binomtest(closer, pairs).proportion_ci(2 * sure - 1 if sure > 0.5 else 0, "exact").high
    assert threshold.share(1, sure=sure) == pytest.approx(limit)
    assert threshold.share(10, sure=sure) == pytest.approx(1 - (1 - limit) ** 10)
    assert Threshold(0.1, 0.2, 0.9, None).share(2, sure=sure) == pytest.approx(0.36)  # of an older run
