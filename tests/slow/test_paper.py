"""The grids of the paper's figures, and figures and claims from runs through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from invlearn.cli import main
from invlearn.paper.figures import FIGURES, read_figure
from invlearn.sweeps.plan import compose_sweep
from tests.support.errors import assert_error_line, assert_line

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("preset", ["smoke", "quick", "paper"])
def test_every_grid_composes(name: str, preset: str) -> None:
    jobs = compose_sweep([f"+grid={name}", f"preset={preset}"]).jobs
    assert len({job.folder for job in jobs}) == len(jobs) > 0
    assert {job.folder.parent.as_posix() for job in jobs} == {f"outputs/sweeps/figures-{preset}"}
    seeds = {job.config.replicas for job in jobs}
    assert seeds == {"smoke": {2}, "quick": {3}, "paper": {5}}[preset]


def test_grids_share_what_they_have_in_common() -> None:
    folders = {name: {job.folder for job in compose_sweep([f"+grid={name}", "preset=quick"]).jobs} for name in FIGURES}
    assert len(folders["fig1"] & folders["fig2"]) == 10
    assert len(folders["fig1"] & folders["fig3"]) == 10


def test_figures_and_claims_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["figure", "fig4", "--preset", "smoke"]) == 2
    assert_error_line(capsys.readouterr().err, value=4, suggests="invlearn train -m +grid=fig4 preset=smoke")
    assert main(["figure", "fig6"]) == 2
    assert_error_line(capsys.readouterr().err, key="figure", value="fig6", suggests="fig5")
    assert main(["train", "-m", "+grid=fig4", "preset=smoke", "model.depth=1"]) == 0
    capsys.readouterr()
    assert main(["figure", "fig4", "--preset", "smoke"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "outputs/figures/smoke/fig4.png\n"
    assert_line(shown.err, "2 runs", "missing")
    assert shown.err.count("model.depth=2") == 2
    folder = tmp_path / "outputs" / "figures" / "smoke"
    assert {path.name for path in folder.iterdir()} == {"fig4.csv", "fig4.png", "fig4.pdf"}
    data = read_figure("fig4", "smoke")
    assert len(data.table) == 4  # two families, two seeds
    assert (folder / "fig4.csv").read_text() == data.table.to_csv(index=False)
    run = next(Path("outputs/sweeps/figures-smoke").glob("*dataset=shift*/run.json"))
    assert data.table["mse_invariance"][0] == json.loads(run.read_text())["replicas"][0]["metrics"]["mse_invariance"]
    outputs = []
    for source in (["--preset", "smoke"], ["--tables", str(folder)]):
        assert main(["claims", *source, "--format", "csv"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert outputs[0].count("does not hold") == 2
    (folder / "fig1.csv").write_text("")
    assert main(["claims", "--tables", str(folder)]) == 2
    assert_error_line(capsys.readouterr().err, also=["table"])
    (folder / "fig1.csv").unlink()
    assert main(["claims", "--tables", str(tmp_path)]) == 2
    assert_error_line(capsys.readouterr().err, file=[tmp_path, "fig1.csv", "fig5.csv"])
    config = run.with_name("config.yaml")
    stored = config.read_text()
    config.write_text(stored.replace("weight: 8.0", "weight: 7.0"))  # an older default, say
    assert len(read_figure("fig4", "smoke").missing) == 3
    config.write_text(stored)
    before = (folder / "fig4.pdf").read_bytes()
    assert main(["figure", "fig4", "--preset", "smoke"]) == 0
    assert (folder / "fig4.pdf").read_bytes() == before
