"""Samples as small pictures: signals as lines, images as images, others as bars."""

from __future__ import annotations

import base64
import io

import numpy as np
from markupsafe import Markup
from PIL import Image

from invlearn.reporting.blocks import Picture

__all__ = ["Painter"]

SMOOTH = 0.5
"""Mean correlation of neighbouring features from which samples count as signals."""

MOST_BARS = 64
"""Maximal number of features drawn as bars; more are drawn as a line."""

MOST_POINTS = 200
"""Maximal number of points of a line; for more features, means of neighbours are drawn."""

MOST_PIXELS = 64
"""Maximal number of pixels per side of an image; for larger ones, means of neighbours are drawn."""

SIDE = 84
"""Longer side of an image on the page, in pixels."""

WIDTH, HEIGHT = 100, 50
"""Width and height of a picture's coordinates."""


class Painter:
    """Draws samples, all on one scale.

    Args:
        samples: ``(n, d)``, which determine the scale and whether samples are signals.
        shape: Rows and columns, if samples are images.
    """

    def __init__(self, samples: np.ndarray, shape: tuple[int, int] | None = None):
        self.shape = shape
        self.low, self.high = np.quantile(samples, [0.002, 0.998]).tolist()
        if not self.high > self.low:
            self.high = self.low + 1.0
        self.is_signal = samples.shape[1] > MOST_BARS or _is_smooth(samples)

    def picture(self, values: np.ndarray, label: str, caption: str = "", mark: str = "") -> Picture:
        """A sample.

        Args:
            values: ``(d,)``.
            label: A description.
            caption: The text below it.
            mark: ``same`` or ``different``.
        """
        return Picture(self._draw(np.asarray(values, dtype=np.float64)), label, caption, mark)

    def _draw(self, values: np.ndarray) -> Markup:
        if self.shape is not None:
            return self._image(values.reshape(self.shape))
        values = np.clip(values, self.low, self.high)
        if self.is_signal:
            values = _means(values, min(len(values), MOST_POINTS))
            x = np.linspace(1, WIDTH - 1, len(values))
            points = " ".join(f"{a:.4g},{b:.4g}" for a, b in zip(x, self._y(values), strict=True))
            return _svg(Markup('<polyline class="trace" points="{}"/>').format(points))
        base = float(self._y(np.clip(np.zeros(1), self.low, self.high))[0])
        step = WIDTH / len(values)
        bars = "".join(
            f"M{(index + 0.15) * step:.4g} {base:.4g}V{y:.4g}h{0.7 * step:.4g}V{base:.4g}z"
            for index, y in enumerate(self._y(values))
        )
        return _svg(Markup('<path class="bars" d="{}"/>').format(bars))

    def _y(self, values: np.ndarray) -> np.ndarray:
        return 2 + (HEIGHT - 4) * (self.high - values) / (self.high - self.low)

    def _image(self, values: np.ndarray) -> Markup:
        rows, columns = (min(size, MOST_PIXELS) for size in values.shape)
        values = _means(_means(values, rows).T, columns).T
        gray = np.clip(255 * (values - self.low) / (self.high - self.low), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(gray).save(buffer, "png")
        content = base64.b64encode(buffer.getvalue()).decode()
        longer = max(self.shape or (1, 1))
        height, width = (max(1, round(SIDE * size / longer)) for size in self.shape or (1, 1))
        return Markup('<img alt="" src="data:image/png;base64,{}" width="{}" height="{}">').format(
            content, width, height
        )


def _means(values: np.ndarray, count: int) -> np.ndarray:
    """Means of neighbouring rows, ``(n, ...)`` to ``(count, ...)``."""
    return np.array([part.mean(0) for part in np.array_split(values, count)])


def _svg(content: Markup) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>').format(
        WIDTH, HEIGHT, content
    )


def _is_smooth(samples: np.ndarray) -> bool:
    """Whether neighbouring features are similar."""
    centred = samples - samples.mean(0)
    centred = centred / np.maximum(centred.std(0), 1e-12)
    return samples.shape[1] > 3 and float((centred[:, 1:] * centred[:, :-1]).mean()) > SMOOTH
