"""Check what a message names, independent of its wording: keys, files, rows, columns, values and suggestions.

Messages may be reworded without breaking a test, but may not lose a name or a number. Every token is matched whole:
``0`` is not found in ``1000`` nor in ``0.5``, ``model`` not in ``model.depth``, ``f2`` not in ``f20``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["assert_error_line", "assert_line", "assert_names", "counts", "has_line", "names", "naming", "token"]


def token(value: object, *, within: bool = False) -> str:
    """A pattern for a name or a number as a whole; within a dotted name or a path also, if wanted."""
    if isinstance(value, re.Pattern):
        return value.pattern
    before = r"(?<![\w\-])(?<!\d\.)" if within else r"(?<![\w.\-])"
    after = r"(?![\w\-]|[.,]\w)" if isinstance(value, int | float) else r"(?![\w\-]|\.\w)"
    text = re.escape(str(value))
    return (before if re.match(r"[\w.\-]", str(value)) else "") + text + (after if re.search(r"\w$", text) else "")


def _several(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _patterns(
    *,
    key: object = None,
    file: object = None,
    row: object = None,
    column: object = None,
    value: object = None,
    suggests: object = None,
    also: Iterable[object] = (),
    differs: Mapping[str, tuple[object, object]] | None = None,
) -> dict[str, str]:
    """The expected parts of a message, and a pattern for each.

    Args:
        key: Config key or option, ``"model.depth"`` or ``"--fpr"``; or several.
        file: Name or path of a file or folder; or several.
        row: Number of a row, as in ``row 7``; several in order.
        column: Name of a column, as in ``column f2``; or several.
        value: The given value, perhaps with the required one: ``[0, 2]`` if 0 is below the minimum 2.
        suggests: The name, option, command or ending that would be right; or several.
        also: Anything else that must be named.
        differs: Keys with two values, that of an existing run and the one given here.
    """
    found: dict[str, str] = {}
    for name in _several(key) if key is not None else ():
        found[f"key {name}"] = token(name)
    for name in _several(file) if file is not None else ():
        found[f"file {name}"] = token(name)
    if row is not None:
        first, *others = _several(row)
        found[f"row {row}"] = rf"\brows? {token(first)}" + "".join(rf".*?\brow {token(each)}" for each in others)
    for name in _several(column) if column is not None else ():
        found[f"column {name}"] = rf"\bcolumns? {token(name)}"
    for each in _several(value) if value is not None else ():
        found[f"value {each}"] = token(each)
    for name in _several(suggests) if suggests is not None else ():
        found[f"suggestion {name}"] = token(name, within=True)
    for name in also:
        found[str(name)] = token(name, within=True)
    for name, (there, here) in (differs or {}).items():
        found[f"{name}: {there}, {here}"] = rf"{token(name)}[^;]{{0,30}}?{token(there)}[^;]{{0,30}}?{token(here)}"
    return found


def names(**what: Any) -> dict[str, Any]:
    """What a message must name, as the arguments of `_patterns`."""
    return what


def assert_names(message: str, **what: Any) -> None:
    """Assert that a message names all of this; see `_patterns` for the arguments."""
    for name, pattern in _patterns(**what).items():
        if not re.search(pattern, message, re.DOTALL):
            raise AssertionError(f"no {name} in {message!r}")


def assert_error_line(text: str, **what: Any) -> None:
    """Assert that stderr is one line of invlearn's that names all of this.

    Example:
        >>> assert_error_line("invlearn: model.depth must be at most 9, got 10\\n", key="model.depth", value=10)
        >>> assert_error_line("invlearn: model.depth must be at most 9, got 10\\n", key="model.depth", value=1)
        Traceback (most recent call last):
        ...
        AssertionError: no value 1 in 'model.depth must be at most 9, got 10\\n'
    """
    assert text.startswith("invlearn: "), text
    assert text.endswith("\n"), text
    assert text.count("\n") == 1, text
    assert_names(text.removeprefix("invlearn: "), **what)


def naming(**what: Any) -> str:
    r"""A pattern for ``pytest.raises(match=...)``: one line that names all of this.

    Example:
        >>> bool(re.search(naming(key="depth", value=0), "depth must be at least 1, got 0"))
        True
        >>> bool(re.search(naming(key="depth", value=0), "model.depth must be at least 10, got 10"))
        False
    """
    return r"\A" + "".join(f"(?=.*?{pattern})" for pattern in _patterns(**what).values()) + r".*\Z"


def has_line(text: str, *tokens: object) -> bool:
    """Whether a line holds all of these names and numbers."""
    return any(all(re.search(token(each, within=True), line) for each in tokens) for line in text.splitlines())


def assert_line(text: str, *tokens: object) -> None:
    """Assert that a line holds all of these names and numbers."""
    assert has_line(text, *tokens), f"no line with {tokens} in {text!r}"


def counts(text: str) -> dict[str, int]:
    """Numbers of finished, failed and new runs in a sweep's message.

    Example:
        >>> counts("3 runs in outputs/sweeps/s: 2 finished, 1 failed, to try again")
        {'finished': 2, 'failed': 1}
    """
    return {status: int(n) for n, status in re.findall(r"\b(\d+) (finished|failed|new|interrupted|planned)\b", text)}
