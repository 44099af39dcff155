"""What a report computes and draws, apart from its page."""

from __future__ import annotations

import base64
import io
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.image import imread

from invlearn.errors import UserError
from invlearn.reporting.blocks import Chart, Section, Table, Text
from invlearn.reporting.charts import SAME, chart, label_of
from invlearn.reporting.evidence import Distances
from invlearn.reporting.layout import laid_out
from invlearn.reporting.page import Page, render
from invlearn.reporting.pictures import Painter
from invlearn.reporting.sections.recall import recall_chart, recalls
from invlearn.reporting.sections.trade_off import equal_error, rates


def distances_of(same: list[float], different: list[float]) -> Distances:
    one, other = (torch.tensor(values, dtype=torch.float64).sort().values for values in (same, different))
    return Distances(one, other, torch.arange(len(one)), torch.zeros(len(one)), torch.zeros(len(one)), None, 1)


def test_recall_in_smaller_galleries_is_the_mean_over_all_of_them() -> None:
    nearer = torch.tensor([0, 1, 3, 0, 5])
    nearer = nearer.clamp(max=4)
    for size in range(1, 6):
        found = []
        for rank in nearer.tolist():
            strangers = [True] * rank + [False] * (4 - rank)  # at least as near, or not
            galleries = list(itertools.combinations(strangers, size - 1))
            found.append(np.mean([not any(gallery) for gallery in galleries]))
        assert recalls([nearer], np.array([size]))[0] == pytest.approx(np.mean(found))


def test_recall_of_divisions_counts_each_query_once() -> None:
    assert recalls([torch.tensor([0, 2, 2]), torch.zeros(6, dtype=torch.long)], np.array([3]))[0] == 7 / 9


def test_rates_count_what_is_closer_than_the_strangers_that_are_let_through() -> None:
    distances = distances_of([0.1, 0.2, 0.5, 0.9], [0.3, 0.6, 0.7, 0.8])
    assert rates(distances, np.array([0.0, 0.25, 0.99])).tolist() == [0.5, 0.75, 0.75]


def test_both_errors_are_equal_where_the_curves_cross() -> None:
    assert equal_error(distances_of([1, 2, 3, 4], [5, 6, 7])) == 0
    assert equal_error(distances_of([1, 2, 3, 10], [0, 5, 6, 7])) == 0.25
    assert equal_error(distances_of([1.0, 2.0], [1.0, 2.0])) == pytest.approx(0.5)


def test_components_are_centred_and_of_most_variance() -> None:
    codes = torch.randn(200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    codes = codes * torch.tensor([1, 9, 1, 4, 1]) + 7
    places, _ = laid_out(codes, "pca")
    assert places.mean(0).abs().max() < 1e-9
    assert abs(np.corrcoef(places[:, 0], codes[:, 1])[0, 1]) > 0.99
    assert laid_out(codes[:, :1], "pca")[0].shape == (200, 2)


def test_tsne_without_scikit_learn_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.manifold", None)
    with pytest.raises(UserError, match=re.escape("invlearn[sklearn]")):
        laid_out(torch.zeros(9, 3), "tsne")


def drawn(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=SAME, label=label_of("$x^2$ <b>"))
    axes.plot([0, 1], [1, 0], color="black")
    axes.legend()


def test_charts_have_no_styles_and_take_the_colours_of_the_page() -> None:
    svg = str(chart(drawn))
    assert "style=" not in svg
    assert "<style" not in svg
    assert "xmlns" not in svg
    assert 'stroke="var(--blue)"' in svg
    assert 'stroke="currentColor"' in svg
    assert "$x^2$ &lt;b&gt;" in svg  # no formula, and no element
    assert str(chart(drawn)) == svg


def test_labels_hold_no_control_characters_and_are_short() -> None:
    assert label_of("a\x1b[2J") == r"a\x1b[2J"
    assert len(label_of("x" * 1000)) == 24
    assert label_of("entity-of-a-long-name-0001", 12) == "enti…me-0001"


def test_a_legend_has_names_that_begin_with_an_underscore() -> None:
    def draw(axes: Axes) -> None:
        axes.plot([0, 1], label=label_of("_a"))
        axes.legend()

    assert "_a" in chart(draw)


@pytest.mark.parametrize(("strangers", "least"), [(0, 0.9), (30, 0.7)])
def test_the_axis_of_recall_does_not_magnify_thousandths(strangers: int, least: float) -> None:
    nearer = torch.zeros(100, dtype=torch.long)
    nearer[:strangers] = 99
    ticks = [float(tick) for tick in re.findall(r">([01]\.\d+)<", recall_chart({"a": ([nearer], "red")}))]
    assert least - 0.05 < min(ticks) < least + 0.05
    assert max(ticks) == 1


@pytest.mark.parametrize(("dim", "smooth", "kind"), [(12, False, "bars"), (12, True, "trace"), (100, False, "trace")])
def test_signals_are_lines_and_others_bars(dim: int, smooth: bool, kind: str) -> None:
    x = np.random.default_rng(0).standard_normal((50, dim))
    x = np.cumsum(x, axis=1) if smooth else x
    picture = Painter(x).picture(x[0], "a sample")
    assert f'class="{kind}"' in picture.drawing
    numbers = [
        float(value) for value in re.findall(r"-?\d+\.?\d*", picture.drawing.split("points=")[-1].split("d=")[-1])
    ]
    assert min(numbers) >= 0
    assert max(numbers) <= 100


def test_images_show_their_values_and_large_ones_means() -> None:
    x = np.zeros((4, 6 * 8))
    x[:, 9] = 1.0
    painter = Painter(x, (6, 8))
    painter.low, painter.high = 0.0, 1.0
    content = re.search(r"base64,([^\"]+)", painter.picture(x[0], "an image").drawing)
    assert content is not None
    image = imread(io.BytesIO(base64.b64decode(content[1])))
    assert image.shape == (6, 8)
    assert (image > 0).nonzero() == (np.array([1]), np.array([1]))
    large = Painter(np.random.default_rng(0).random((2, 400 * 300)), (400, 300))
    assert len(large.picture(np.random.default_rng(1).random(400 * 300), "noise").drawing) < 10_000


def test_a_page_escapes_all_texts() -> None:
    bad = "<script>alert(1)</script>\x07"
    table = Table(bad, [bad, "b"], [[bad, bad]])
    section = Section("A title", [Text(bad, is_note=True), table, Chart(chart(drawn), bad, bad)])
    page = render(Page(bad, bad, [(bad, bad)], [section], bad))
    assert page.count("<script>") == 1
    assert "\x07" not in page
    assert 'id="a-title"' in page


def test_the_policy_names_the_style_and_the_script_of_the_page() -> None:
    import hashlib

    page = render(Page("t", "l", [], [], "f"))
    for element in ("style", "script"):
        content = re.search(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        assert content is not None
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in page.replace("&#39;", "'")


def test_every_template_block_is_used() -> None:
    import invlearn.reporting
    from invlearn.reporting import blocks

    folder = Path(invlearn.reporting.__file__).parent / "templates" / "blocks"
    kinds = {kind.template for kind in blocks.Block.__subclasses__()}
    assert kinds == {path.stem for path in folder.iterdir()}


def test_samples_are_whole_entities_and_no_more_than_fit() -> None:
    from types import SimpleNamespace

    from invlearn.data import EntitySamples
    from invlearn.reporting.samples import MOST_OF_ONE, MOST_SAMPLES, draw_samples

    sizes = torch.tensor([40, *[3] * 1000])
    entity = torch.arange(len(sizes)).repeat_interleave(sizes)
    shuffled = entity[torch.randperm(len(entity), generator=torch.Generator().manual_seed(0))]
    dataset = EntitySamples(
        samples=torch.stack([shuffled.float(), torch.arange(len(entity)).float()], dim=1),
        entity=shuffled,
        splits={"test": torch.arange(len(sizes))},
        distance="binary",
        samples_per_entity=2,
        size=10,
        valid_size=10,
        test_size=10,
        seed=0,
    )
    division = SimpleNamespace(data=SimpleNamespace(dataset=dataset, origin=None))
    samples = draw_samples(division)  # pyright: ignore[reportArgumentType]
    assert samples.of == len(entity)
    assert len(samples.x) == MOST_SAMPLES
    assert (samples.x[:, 0] == samples.entity).all()
    assert len(samples.x[:, 1].unique()) == MOST_SAMPLES
    kept = torch.unique_consecutive(samples.entity, return_counts=True)
    assert len(kept[0].unique()) == len(kept[0])  # those of an entity lie together
    assert set(kept[1][:-1].tolist()) <= {3, MOST_OF_ONE}
