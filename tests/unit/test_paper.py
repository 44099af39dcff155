"""The paper's figures and claims, from tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

from invlearn.errors import UserError
from invlearn.paper.claims import LOW, Claim, check_claims
from invlearn.paper.figures import draw
from invlearn.sweeps.plan import compose_sweep
from tests.support.errors import assert_names, naming

SIZES = {"modulus": 1, "phase": 7, "sine": 11, "cosine": 13, "code": 5, "reconstruction": 0.5, "invariance": 1}
BLOCKS = tuple(SIZES)


def rows(errors: list[float], depth: int, valid: float = 1.0, **settings) -> list[dict]:
    """One row per seed; each metric has a size of its own, and the whole code is as far off as the modulus."""
    return [
        {**settings, "depth": depth, "seed": seed, "valid_loss": valid, "loss_invariance": error}
        | {f"mse_{block}": error * SIZES[block] for block in BLOCKS}
        | {f"constants.mse_{block}": SIZES[block] for block in BLOCKS}
        for seed, error in enumerate(errors)
    ]


def selu(errors: list[float], depth: int, d: int = 10, valid: float = 1.0, **more) -> list[dict]:
    base: dict[str, Any] = {"model": "StandardAutoEncoder", "activation": "selu", "width": 80, "d": d}
    return rows(errors, depth, valid, **(base | {"code": "modulus_sine_cosine", "objective": "full"} | more))


def extended(errors: list[float], depth: int, d: int = 10, valid: float = 1.0, width: int | None = None) -> list[dict]:
    return selu(errors, depth, d, valid, model="ExtendedAutoEncoder", activation=None, width=width)


def verdicts(figure: str, table: list[dict]) -> dict[tuple[str, int], Claim]:
    claims = check_claims({figure: pd.DataFrame(table)})
    return {(claim.claim.split(" (")[0], claim.d): claim for claim in claims}


def test_without_runs_no_claim_is_measured() -> None:
    claims = check_claims({})
    assert len(claims) == 20
    assert {claim.verdict for claim in claims} == {"not measured"}


@pytest.mark.parametrize(("relu", "best", "low"), [(0.02, "holds", "holds"), (5e-5, "does not hold", "does not hold")])
def test_the_best_activation_and_the_lowest_error(relu: float, best: str, low: str) -> None:
    table = selu([1e-2], 4) + selu([relu], 4, activation="relu")
    found = verdicts("fig1", table + selu([0.1], 4, activation="tanh"))
    assert found["SELU is better than sigmoid, tanh and ReLU", 10].verdict == "not measured"
    found = verdicts("fig1", table + selu([0.1], 4, activation="tanh") + selu([0.2], 4, activation="sigmoid"))
    assert found["SELU is better than sigmoid, tanh and ReLU", 10].verdict == best
    assert found["SELU is better than sigmoid, tanh and ReLU", 20].verdict == "not measured"
    assert found[f"None of the four activations gets a low MSE, {LOW:.0e}", 10].verdict == low


@pytest.mark.parametrize(("encoder", "verdict"), [(0.1, "holds"), (0.001, "does not hold")])
def test_the_encoder_against_the_decoder(encoder: float, verdict: str) -> None:
    table = selu([encoder], 4, objective="encoder") + selu([0.01], 4, objective="decoder")
    claim = verdicts("fig2", table)["The difficulty comes mostly from the encoder", 10]
    assert claim.verdict == verdict
    assert_names(claim.measured, also=["constant's", f"encoder {encoder:.2g}", "decoder 0.01"])


def test_depth_is_chosen_on_validation_data_never_on_test_data() -> None:
    table = selu([1e-2], 4, valid=0.5) + selu([1e-9], 8, valid=2.0) + extended([1e-4], 2)
    claim = verdicts("fig3", table)["The extended layer is more than 10 times lower than SELU, modulus", 10]
    assert claim.verdict == "holds"
    assert_names(claim.measured, also=[0.01, 0.0001, "100 times"])


def test_the_modulus_and_the_whole_code_are_judged_apart() -> None:
    table = selu([1e-2], 4) + extended([1e-4], 2)
    for row in table:
        row["mse_code"] = 1e-2
    found = verdicts("fig3", table)
    assert found["The extended layer is more than 10 times lower than SELU, modulus", 10].verdict == "holds"
    assert found["The extended layer is more than 10 times lower than SELU, whole code", 10].verdict == "does not hold"


def test_a_depth_where_a_seed_diverged_is_not_chosen() -> None:
    table = selu([1e-2, 1e-2], 4) + selu([1e-9, 1e-9], 8, valid=0.1) + extended([1e-4], 2)
    table[3] |= {"valid_loss": float("inf"), "mse_modulus": float("nan")}
    claim = verdicts("fig3", table)["The extended layer is more than 10 times lower than SELU, modulus", 10]
    assert_names(claim.measured, also=["0.01 ± 0", 0.0001, "100 times"])


def test_one_depth_each_says_nothing_about_depth() -> None:
    found = verdicts("fig3", selu([1e-2], 4) + extended([1e-4], 1))
    name = "The extended layer is best when shallow, SELU when deep"
    assert found[name, 10].verdict == "not measured"


def test_ten_times_has_an_interval_and_leaves_our_narrow_layer_out() -> None:
    table = selu([1e-2, 2e-2, 4e-2], 4) + extended([1e-2, 2e-2, 4e-2], 2) + extended([1e-9], 2, width=40)
    claim = verdicts("fig3", table)["The extended layer is more than 10 times lower than SELU, modulus", 10]
    assert claim.verdict == "does not hold"
    log = np.log([1e-2, 2e-2, 4e-2])
    factor = np.exp(stats.t.ppf(0.975, 2) * np.sqrt(2 * log.var(ddof=1) / 3))
    assert_names(claim.measured, also=["1 times", "95%", f"{1 / factor:.2g}", f"{factor:.2g}"])


@pytest.mark.parametrize(("deep", "verdict"), [(0.5, "holds"), (2.0, "does not hold")])
def test_shallow_against_deep(deep: float, verdict: str) -> None:
    table = selu([1e-2], 2) + selu([1e-2], 20, valid=deep) + extended([1e-4], 2) + extended([1e-4], 4, valid=1.5)
    assert verdicts("fig3", table)["The extended layer is best when shallow, SELU when deep", 10].verdict == verdict


def test_learning_from_pairs_is_judged_at_both_alphas() -> None:
    table = rows([1e-6, 2e-6], 2, dataset="Shift", d=10) + rows([1e-6], 2, dataset="Shift", d=20)
    for row in table:
        row["loss_invariance"] = 1e-3 if row["d"] == 20 else row["loss_invariance"]
    found = verdicts("fig4", table)
    assert found["Shifts are learned from pairs", 10].verdict == "holds"
    assert found["Shifts are learned from pairs", 20].verdict == "does not hold"
    assert_names(found["Shifts are learned from pairs", 10].measured, also=["invariance 2e-06 ± 6e-06", "α = 1"])


def supervised_table() -> pd.DataFrame:
    table = []
    for d in (10, 20):
        for depth in (2, 20):
            for code in ("modulus_phase", "modulus_sine_cosine"):
                for objective in ("full", "encoder", "decoder"):
                    for activation in ("selu", "relu", "tanh", "sigmoid"):
                        settings: dict[str, Any] = {"code": code, "objective": objective, "activation": activation}
                        table += selu([1e-3, 2e-3, 9e-3], depth, d, **settings)
        table += extended([1e-5, 2e-5], 1, d) + extended([1e-4], 20, d, width=40)
    return pd.DataFrame(table)


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize(
    ("name", "panels", "labels"),
    [
        ("fig1", 2, ["modulus", "phase", "sine", "cosine", "d = 10", "d = 20"]),
        ("fig1-activations", 2, ["selu", "relu", "tanh", "sigmoid"]),
        ("fig2", 6, ["modulus", "sine", "cosine", "reconstruction"]),
        ("fig3", 4, ["SELU", "extended", "extended, width 4d (ours)"]),
    ],
)
def test_figures_have_the_papers_panels(name: str, panels: int, labels: list[str]) -> None:
    figure = draw(name.split("-", maxsplit=1)[0], supervised_table())[name]
    assert len(figure.axes) == panels
    assert legend_of(figure) == labels
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    assert all(axes.get_xlabel() == "depth (hidden layers)" for axes in figure.axes[-2:])
    for line in (line for axes in figure.axes for line in axes.get_lines()):
        assert np.isfinite(np.asarray(line.get_ydata(), float)).all()
        assert len(np.asarray(line.get_xdata())) > 0


def test_lines_are_medians_and_bands_ranges_over_seeds() -> None:
    figure = draw("fig3", supervised_table())["fig3"]
    line, band = figure.axes[0].get_lines()[0], figure.axes[0].collections[0]
    np.testing.assert_allclose(np.asarray(line.get_xydata()), [[2, 2e-3], [20, 2e-3]])
    code = figure.axes[2].get_lines()[0]
    np.testing.assert_allclose(np.asarray(code.get_xydata()), [[2, 1e-2], [20, 1e-2]])
    heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert (heights.min(), heights.max()) == (1e-3, 9e-3)


def test_pairwise_figures_have_a_panel_for_each_family() -> None:
    table = [row for d in (10, 20) for row in rows([1e-6, 1e-7], 2, dataset="TwoPart", d=d)]
    table += rows([1e-6, 1e-7], 2, dataset="Shift", d=10)
    figure = draw("fig4", pd.DataFrame(table))["fig4"]
    assert [axes.get_title() for axes in figure.axes] == ["shift", "two-part shift"]
    assert legend_of(figure) == ["reconstruction", "invariant code", "d = 10", "d = 20"]
    colors = [line.get_color() for line in figure.axes[0].get_lines()]
    assert colors[:2] == ["#d62728", "#1f5fbf"]  # red and blue, as in the paper


def test_what_is_typed_replaces_what_a_grid_says() -> None:
    jobs = compose_sweep(["+grid=fig4", "preset=smoke", "model.depth=3", "sweep=mine", "seed=7"]).jobs
    assert {job.config.model.depth for job in jobs} == {3}
    assert {job.config.seed for job in jobs} == {7}
    assert {job.folder.parent.as_posix() for job in jobs} == {"outputs/sweeps/mine"}
    assert {job.config.sweep for job in jobs} == {"mine"}
    with pytest.raises(
        UserError, match=naming(key="grid", value="fig4", suggests=["preset", "smoke", "quick", "paper"])
    ):
        compose_sweep(["+grid=fig4"])
    with pytest.raises(UserError, match=naming(key="grid", value="fgi4", suggests="fig4")):
        compose_sweep(["+grid=fgi4"])
