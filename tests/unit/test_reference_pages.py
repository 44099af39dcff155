"""The reference pages hold every command and every key, as the program knows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs._ext.reference import MARKS, commands, config_keys
from invlearn.cli import COMMANDS
from invlearn.config import GROUPS
from invlearn.config.compose import compose
from invlearn.config.documented import options_of
from invlearn.config.folder import conf_dir

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def section(text: str, heading: str) -> str:
    return re.split(r"^##+ ", text.split(f"\n{heading}\n")[1], flags=re.MULTILINE)[0]


def test_every_mark_stands_on_a_page() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in REFERENCE.glob("*.md"))
    assert all(pages.count(mark) == 1 for mark in MARKS)


def test_every_command_is_shown_with_its_options() -> None:
    page = f"\n{commands()}"
    for command in COMMANDS:
        assert f"usage: invlearn {command}" in section(page, f"## invlearn {command}")
    assert "--one-to-one" in section(page, "## invlearn match")


@pytest.fixture(scope="module")
def page() -> str:
    return config_keys()


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "model"])
def test_every_key_is_shown_with_its_default(page: str, group: str) -> None:
    for option in options_of(conf_dir() / group):
        rows = section(page, f"### {group}={option}")
        config = compose([f"{group}={option}"] if group != "dataset" else [f"dataset={option}", "model=extended"])
        for key in config[group] or {}:
            assert key == "_target_" or f"| `{key}` | " in rows


def test_what_a_key_may_be_is_what_the_checks_say(page: str) -> None:
    rows = section(page, "### loss=pairwise")
    assert re.search(r"\| `alpha` \| `auto` \| a finite number or auto \|", rows)
    rows = section(page, "### dataset=shift")
    assert re.search(r"\| `distance` \| `spectral` \| spectral or orbit or binary \|", rows)


def test_signs_in_comments_mean_nothing_to_markdown(page: str) -> None:
    tables = [line for line in page.splitlines() if line.startswith("| `")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {5}
