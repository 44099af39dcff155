"""Reports in a real browser: no error, no request, a slider that moves, and nothing that shuts a reader out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from invlearn.cli import main
from tests.support.own_data import entity_table, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'invlearn[browser]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, as in Debian's package of that name"),
]

MOST_BYTES = 5 * 10**6

NASTY = "<img src=http://localhost/x onerror=alert(1)>"

PAGES = ("main", "own", "nasty", "several")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of a family's network, an own file's with an audit, a hostile file's closed form, and of several runs."""
    place = tmp_path_factory.mktemp("pages")
    write(entity_table(entities=60, copies=4, dim=6), place / "own.csv")
    hostile = entity_table(entities=40, copies=4, dim=5).rename(columns={"f0": NASTY, "f1": "=cmd()$x$"})
    hostile["id"] = [f"</script>{NASTY}{name}" for name in hostile["id"]]
    write(hostile, place / "nasty.parquet")
    few = ["trainer.epochs=2", "dataset.size=2000"]
    trained = {
        "main": ["dataset=twopart", "model=extended", *few],
        "own": ["dataset=entities", f"dataset.path={place / 'own.csv'}", "dataset.entity=id", "model=extended", *few],
        "nasty": [
            "dataset=entities",
            f"dataset.path={place / 'nasty.parquet'}",
            "dataset.entity=id",
            "model=polynomial",
        ],
    }
    for name, words in trained.items():
        assert main(["train", *words, f"hydra.run.dir={place / f'run-{name}'}"]) == 0
    assert main(["audit", str(place / "run-own"), "--no-attack"]) == 0
    for name in trained:
        assert main(["report", str(place / f"run-{name}"), "-o", str(place / f"{name}.html")]) == 0
    runs = [str(place / f"run-{name}") for name in trained]
    assert main(["report", *runs, "-o", str(place / "several.html")]) == 0
    return place


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # which root has to do without
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


def opened(browser: Browser, path: Path, *, width: int = 1280, scheme: str = "light", bypass_csp: bool = False) -> Page:
    """A page as a reader opens it from disk."""
    viewport = {"width": width, "height": 900}
    page = browser.new_context(viewport=viewport, color_scheme=scheme, bypass_csp=bypass_csp).new_page()  # pyright: ignore
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("name", PAGES)
def test_no_error_and_no_request(pages: Path, browser: Browser, name: str) -> None:
    page = browser.new_context().new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    path = pages / f"{name}.html"
    page.goto(path.as_uri(), wait_until="networkidle")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert path.stat().st_size < MOST_BYTES


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_no_serious_fault_and_nothing_is_cut_off(
    pages: Path, browser: Browser, name: str, width: int, scheme: str
) -> None:
    page = opened(browser, pages / f"{name}.html", width=width, scheme=scheme, bypass_csp=True)  # axe is a script
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    found = axe.Axe().run(page).response
    assert len(found["passes"]) > 10  # it has looked at the page
    serious = [fault for fault in found["violations"] if fault["impact"] in ("serious", "critical")]
    assert serious == []


def test_the_slider_moves_by_keyboard_and_says_what_it_does(pages: Path, browser: Browser) -> None:
    page = opened(browser, pages / "own.html")
    line = page.locator("figure.slider .threshold")
    before = page.locator("#limit-says").inner_text(), line.bounding_box()
    page.locator("#limit").focus()
    page.keyboard.press("Home")
    least = page.locator("#limit-says").inner_text(), line.bounding_box()
    assert "100% of the pairs of one entity are missed" in least[0]
    assert least[0] != before[0]
    assert before[1] is not None
    assert least[1] is not None
    assert least[1]["x"] < before[1]["x"] - 5
    page.keyboard.press("End")
    assert "100% of the different pairs are false matches" in page.locator("#limit-says").inner_text()
    assert page.locator("#limit").get_attribute("aria-valuetext") == page.locator("#limit-says").inner_text()


def test_the_line_stands_at_the_distance_that_is_said(pages: Path, browser: Browser) -> None:
    page = opened(browser, pages / "own.html")
    data = page.evaluate("JSON.parse(document.getElementById('limit-data').textContent)")
    drawn = page.evaluate(
        "() => { const box = document.querySelector('figure.slider svg').viewBox.baseVal.width;"
        " const svg = document.querySelector('figure.slider svg').getBoundingClientRect();"
        " const line = document.querySelector('.threshold').getBoundingClientRect();"
        " return (line.x + line.width / 2 - svg.x) / svg.width * box; }"
    )
    assert drawn == pytest.approx(data["x"][int(page.locator("#limit").input_value())], abs=0.7)


def test_the_page_prints(pages: Path, browser: Browser, tmp_path: Path) -> None:
    page = opened(browser, pages / "own.html", scheme="dark")
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
