"""``invlearn report``: what is on the page, that nothing on it can run or load anything, and what is refused."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import invlearn
from invlearn.cli import main
from tests.support.errors import assert_error_line, assert_line
from tests.support.own_data import entity_table, pair_table, write
from tests.support.wrong_labels import mislabelled

NASTY = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert('$x^2$')</script>\x1b[2J"

SMALL = ["trainer.epochs=2", "model.depth=1", "dataset.size=400"]


class Read(HTMLParser):
    """The elements of a page with their attributes, and the texts of its headings and scripts."""

    def __init__(self, page: Path):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.scripts: list[str] = []
        self._within = ""
        self.text = page.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag

    def handle_data(self, data: str) -> None:
        if self._within in ("h1", "h2") and data.strip():
            self.headings.append(data)
        if self._within == "script":
            self.scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def assert_is_closed(self) -> None:
        """Nothing of a stranger runs, and nothing is loaded: what is there came from the templates."""
        for tag, attributes in self.elements:
            assert tag not in ("link", "iframe", "object", "embed", "base", "form")
            assert "style" not in attributes
            assert not [name for name in attributes if name.startswith("on")]
            for name in ("src", "href"):
                assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
        (policy,) = [a["content"] for _, a in self.elements if a.get("http-equiv") == "Content-Security-Policy"]
        assert policy is not None
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert len(self.scripts) <= 2  # the data of the slider, and the script
        assert "\x1b" not in self.text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on a file of entities, of a network and two closed forms, on pairs and on a family; and unseen samples."""
    place = tmp_path_factory.mktemp("reports")
    write(entity_table(entities=60, copies=4, dim=6), place / "samples.csv")
    write(entity_table(entities=50, copies=3, dim=6, seed=1), place / "unseen.csv")
    write(pair_table(), place / "pairs.csv")
    own = ["dataset=entities", f"dataset.path={place / 'samples.csv'}", "dataset.entity=id"]
    for name, words in {
        "network": [*own, "model=extended", *SMALL],
        "solved": [*own, "model=polynomial"],
        "degree1": [*own, "model=polynomial", "model.degree=1"],
        "pairs": ["dataset=pairs", f"dataset.path={place / 'pairs.csv'}", "model=polynomial"],
        "family": ["dataset=shift", "dataset.dim=6", *SMALL, "dataset.valid_size=200", "dataset.test_size=300"],
    }.items():
        assert main(["train", *words, f"hydra.run.dir={place / name}"]) == 0
    return place


def reported(folder: Path, *words: str) -> Read:
    output = folder / "page.html"
    assert main(["report", *words, "-o", str(output)]) == 0
    found = Read(output)
    found.assert_is_closed()
    return found


def test_the_page_of_a_network_has_all_sections(folder: Path, capsys) -> None:
    page = reported(folder, str(folder / "network"), "--color", "place")
    assert_line(capsys.readouterr().out, "page.html")
    titles = " ".join(page.headings)
    for word in ("good", "Same", "False matches", "probabilities", "many", "Map", "neighbours", "traversals", "Swaps"):
        assert word in titles
    for word in ("Hardest", "Training", "Data", "use"):
        assert word in titles
    labelled = [attributes for _, attributes in page.elements if attributes.get("role") == "img"]
    assert len(labelled) > 50
    assert all(attributes.get("aria-label") for attributes in labelled)


def test_the_slider_knows_both_errors_of_each_threshold(folder: Path) -> None:
    page = reported(folder, str(folder / "solved"))
    data = json.loads(page.scripts[0])
    assert len({len(values) for values in data.values()}) == 1
    assert data["distance"] == sorted(data["distance"])
    assert data["false"] == sorted(data["false"])
    assert data["missed"] == sorted(data["missed"], reverse=True)
    assert data["missed"][0] == pytest.approx(1, abs=0.05)
    assert data["false"][-1] == pytest.approx(1, abs=0.05)


def test_metrics_of_the_page_are_those_of_the_run_with_intervals_around_them(folder: Path) -> None:
    page = reported(folder, str(folder / "degree1"))
    metrics = invlearn.load_run(folder / "degree1").metrics
    cells = re.findall(
        r"<th scope=\"row\">recall_at_1 among 6</th><td[^>]*>([\d.]+)</td><td[^>]*>([^<]*)</td>", page.text
    )
    ((value, interval),) = cells
    low, high = map(float, interval.split(" to "))
    assert float(value) == pytest.approx(metrics["recall_at_1"], abs=1e-4)
    assert low <= float(value) <= high


def test_a_file_of_unseen_samples_is_looked_at_instead(folder: Path) -> None:
    page = reported(folder, str(folder / "solved"), str(folder / "unseen.csv"))
    assert "of 50, the nearest code finds" in page.text
    assert "At the end of training" in page.text
    assert "All 150 unseen samples" in page.text
    assert str(folder / "samples.csv") in page.text  # what it was trained on
    assert str(folder / "unseen.csv") in page.text


@pytest.mark.parametrize("run", ["pairs", "family"])
def test_pairs_and_families_have_pages_too(folder: Path, run: str) -> None:
    page = reported(folder, str(folder / run))
    assert {"Map of codes", "Nearest neighbours", "Same or different"} <= set(page.headings)


def test_features_in_units_of_their_own_are_all_seen(tmp_path: Path) -> None:
    """Of features that differ a million times, drawn in their units, all but the largest would be flat."""
    table = entity_table(entities=60, copies=4, dim=6)
    table["f0"] *= 1e6
    write(table, tmp_path / "mixed.csv")
    words = ["dataset=entities", f"dataset.path={tmp_path / 'mixed.csv'}", "dataset.entity=id", "model=polynomial"]
    assert main(["train", *words, "model.degree=1", f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    page = reported(tmp_path, str(tmp_path / "run"))
    bars = [attributes["d"] or "" for _, attributes in page.elements if attributes.get("class") == "bars"]
    heights = np.array([np.diff([float(y) for y in re.findall(r"(?:V| )([\d.]+)(?=h|V)", bar)])[::2] for bar in bars])
    assert heights.shape == (len(bars), 6)
    assert (np.abs(heights).max(0) > 10).all()


def test_images_are_drawn_as_such(folder: Path) -> None:
    page = reported(folder, str(folder / "solved"), "--shape", "2x3")
    assert sum(tag == "img" for tag, _ in page.elements) > 20


def test_several_runs_are_compared_on_the_same_entities(folder: Path) -> None:
    names = ["network", "solved", "degree1"]
    page = reported(folder, *(str(folder / name) for name in names), str(folder / "unseen.csv"))
    assert "difference from solved" in page.text
    assert "model.degree" in page.text
    for name in names:
        assert f'<th scope="col">{name}</th>' in page.text


def test_runs_on_other_data_are_not_ranked(folder: Path) -> None:
    page = reported(folder, str(folder / "solved"), str(folder / "family"))
    assert "difference from" not in page.text
    assert 'class="note"' in page.text


def test_names_and_cells_of_a_stranger_are_text(tmp_path: Path) -> None:
    table = entity_table(entities=40, copies=4, dim=5)
    table["id"] = [f"{SCRIPT}{name}" for name in table["id"]]
    table["place"] = [f"{NASTY}{index % 2}" for index in range(len(table))]
    table = table.rename(columns={"f0": f"=cmd()|{NASTY}", "f1": "$\\frac{", "place": NASTY})
    write(table, tmp_path / "nasty.parquet")
    words = ["dataset=entities", f"dataset.path={tmp_path / 'nasty.parquet'}", "dataset.entity=id", "model=polynomial"]
    assert main(["train", *words, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    for color in ([], ["--color", NASTY]):
        page = reported(tmp_path, str(tmp_path / "run"), *color)
        assert not [attributes for _, attributes in page.elements if attributes.get("src") == "x"]
        assert "&lt;/script&gt;" in page.text
        assert "alert(1)" not in "".join(page.scripts)


def test_an_audit_and_suspects_are_on_the_page(folder: Path, tmp_path: Path) -> None:
    run = folder / "family"
    assert main(["audit", str(run), "--no-attack", "-o", str(tmp_path / "audit")]) == 0
    assert "Audit" not in reported(folder, str(run)).headings
    (run / "audit").mkdir()
    for file in (tmp_path / "audit").iterdir():
        (run / "audit" / file.name).write_bytes(file.read_bytes())
    page = reported(folder, str(run))
    assert "Audit" in page.headings
    assert "mirror image" in page.text
    (run / "audit" / "audit.json").write_text('{"failures": 7}')
    assert "cannot be read" in reported(folder, str(run)).text


@pytest.mark.parametrize("fold", [None, "all"])
def test_suspects_are_listed(tmp_path: Path, fold: str | None) -> None:
    write(mislabelled()[0], tmp_path / "wrong.csv")
    words = ["dataset=entities", f"dataset.path={tmp_path / 'wrong.csv'}", "dataset.entity=id", "model=polynomial"]
    assert (
        main(["train", *words, *([f"dataset.fold={fold}"] if fold else []), f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    )
    listed = pd.read_csv(tmp_path / "run" / "suspects.csv", dtype=str)
    assert len(listed)
    listed.loc[0, "entity"] = "NA"
    listed.to_csv(tmp_path / "run" / "suspects.csv", index=False)
    page = reported(tmp_path, str(tmp_path / "run"))
    assert "Suspects" in page.headings
    assert f'<tr><th scope="row">{listed["row"][0]}</th><td class="short">{listed["entity"][0]}</td>' in page.text
    heads = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', page.text)
    assert ("split" in heads) == (fold is None)  # of a run that was trained on all of them it says nothing


def test_without_its_file_a_run_is_reported_by_its_record(folder: Path, tmp_path: Path) -> None:
    write(entity_table(entities=40, copies=3, dim=4), tmp_path / "gone.csv")
    words = ["dataset=entities", f"dataset.path={tmp_path / 'gone.csv'}", "dataset.entity=id", "model=polynomial"]
    assert main(["train", *words, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    (tmp_path / "gone.csv").unlink()
    page = reported(tmp_path, str(tmp_path / "run"))
    assert "How good it is" in page.headings
    assert "Map of codes" not in page.headings
    assert "gone.csv" in page.text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["solved", "--shape", "2x4"], {"value": ["2 x 4", 6]}),
        (["solved", "--color", "plce"], {"column": "plce", "suggests": "place"}),
        (["family", "--color", "place"], {"key": "--color"}),
        (["solved", "--entity", "id"], {"key": "--entity"}),
        (["solved", "solved"], {"file": "solved"}),
        (["nowhere"], {"file": "nowhere"}),
        (["solved", "nowhere.csv"], {"file": "nowhere.csv"}),
        (["solved", "samples.csv", "family"], {"file": "samples.csv"}),
    ],
)
def test_mistakes_are_refused_in_one_line(folder: Path, words: list[str], told: dict, capsys, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "page.html").unlink(missing_ok=True)
    assert main(["report", *words, "-o", "page.html"]) == 2
    assert_error_line(capsys.readouterr().err, **told)
    assert not (folder / "page.html").exists()


def test_nothing_is_written_over_what_is_read(folder: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    for output in ("samples.csv", "solved/run.json", "solved"):
        assert main(["report", "solved", "-o", output]) == 2
        assert_error_line(capsys.readouterr().err, file=output)


def test_one_entity_of_all_rows_and_too_many_columns_are_refused(folder: Path, capsys) -> None:
    table = entity_table(entities=20, copies=3, dim=6).assign(id="all")
    write(table, folder / "one.csv")
    (folder / "wide.csv").write_text(",".join(f"c{index}" for index in range(100_000)) + "\n")
    for name in ("one.csv", "wide.csv"):
        assert main(["report", str(folder / "solved"), str(folder / name), "-o", str(folder / "page.html")]) == 2
        assert_error_line(capsys.readouterr().err, file=str(folder / name))


def test_the_same_from_python(folder: Path) -> None:
    run = invlearn.load_run(folder / "solved")
    frame = pd.read_csv(folder / "unseen.csv", dtype={"id": str})
    assert invlearn.report(run, folder / "python.html", frame, color="place") == folder / "python.html"
    Read(folder / "python.html").assert_is_closed()
