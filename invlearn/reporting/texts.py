"""Numbers as text for a page."""

from __future__ import annotations

import math

__all__ = ["count", "number", "share", "span"]


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many digits; empty for None.

    Example:
        >>> number(0.000012345), number(1234.5), number(None)
        ('1.23e-05', '1,234', '')
    """
    if value is None or not math.isfinite(value):
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.{digits}g}"
    return f"{value:.{digits}g}"


def share(value: float) -> str:
    """A share in percent, with two significant digits of its distance from 0 or 100%.

    Example:
        >>> share(0.5), share(0.9987), share(0.00002), share(0), share(1)
        ('50%', '99.87%', '0.0020%', '0%', '100%')
    """
    percent, rest = 100 * value, 100 * min(value, 1 - value)
    digits = max(0, 1 - math.floor(math.log10(rest))) if rest > 1e-6 else 0
    return f"{percent:.{digits}f}%"


def span(low: float, high: float, digits: int = 3) -> str:
    """An interval.

    Example:
        >>> span(0.12345, 0.2)
        '0.123 to 0.2'
    """
    return f"{number(low, digits)} to {number(high, digits)}"


def count(value: int, one: str, several: str | None = None) -> str:
    """A number with a noun in the singular or plural.

    Example:
        >>> count(1, "entity", "entities"), count(2000, "pair")
        ('1 entity', '2,000 pairs')
    """
    return f"{value:,} {one if value == 1 else several or one + 's'}"
