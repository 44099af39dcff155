"""Files of a run, damaged at random: every command gives the right result, or says in a line what is wrong."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.slow.faults.commands import Commands, Result
from tests.slow.faults.same import results_of

pytestmark = pytest.mark.slow

CASES, PARTS = 500, 10
FILES = {"checkpoints/best.pt": 5, "checkpoints/last.pt": 5, "config.yaml": 4, "run.json": 4, "metrics.csv": 2}
"""What is damaged, and how often of 20."""

RUNS = ("family", "own", "half")


def flip_a_bit(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def overwrite(content: bytes, chance: random.Random) -> bytes:
    size = min(len(content), chance.choice([2, 16, 512]))
    start = chance.randrange(len(content) - size + 1)
    return content[:start] + chance.randbytes(size) + content[start + size :]


def zero_a_block(content: bytes, chance: random.Random) -> bytes:
    size = min(len(content), 512)
    start = chance.randrange(len(content) - size + 1)
    return content[:start] + bytes(size) + content[start + size :]


def cut_short(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def append(content: bytes, chance: random.Random) -> bytes:
    return content + chance.randbytes(chance.randint(1, 600))


def swap_blocks(content: bytes, chance: random.Random) -> bytes:
    size = max(1, min(512, len(content) // 4))
    first, second = sorted(chance.sample(range(len(content) // size), 2))
    parts = [content[index * size : (index + 1) * size] for index in range(len(content) // size)]
    parts[first], parts[second] = parts[second], parts[first]
    return b"".join(parts) + content[len(content) // size * size :]


def empty(content: bytes, chance: random.Random) -> bytes:
    return b""


def lose(content: bytes, chance: random.Random) -> None:
    return None


def change_a_digit(content: bytes, chance: random.Random) -> bytes:
    digits = [index for index, byte in enumerate(content) if chr(byte).isdigit()]
    changed = bytearray(content)
    changed[chance.choice(digits)] = ord(chance.choice("0123456789"))
    return bytes(changed)


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """Each place in a structure: a container and the key or index in it."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in [(value, key), *_nodes(value[key])]]


def change_structure(content: bytes, chance: random.Random, name: str) -> bytes:
    """Remove or replace a value of a text file."""
    is_json = name.endswith("json")
    value = json.loads(content) if is_json else yaml.safe_load(content)
    container, key = chance.choice(_nodes(value))
    if chance.random() < 0.4:
        del container[key]
    else:
        container[key] = chance.choice([None, -1, 10**12, "text", [], {}, [[1]], 0.5, True, float("inf")])
    return (json.dumps(value, indent=2) if is_json else yaml.safe_dump(value, sort_keys=False)).encode()


ANY = (flip_a_bit, flip_a_bit, overwrite, zero_a_block, cut_short, append, swap_blocks, empty, lose)


def damage(run: Path, chance: random.Random) -> str:
    """Damage a file of a run; says how."""
    name = chance.choices(list(FILES), list(FILES.values()))[0]
    content = (run / name).read_bytes()
    if name.endswith((".json", ".yaml")) and chance.random() < 0.5:
        how: Any = chance.choice([change_a_digit, change_structure])
    else:
        how = chance.choice(ANY)
    changed = how(content, chance, name) if how is change_structure else how(content, chance)
    if changed is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(changed)
    return f"{name}, {how.__name__}"


def assert_one_line(result: Result, what: str) -> None:
    assert "Traceback" not in result.out + result.err, f"{what}: {result}"
    assert result.status in (0, 2), f"{what}: {result}"
    if result.status == 2:
        assert result.err.splitlines()[-1].startswith("invlearn: "), f"{what}: {result}"


def outcomes(commands: Commands, run: str, folder: Path) -> dict[str, Result]:
    """What each command says, in this order."""
    words = {
        "evaluate": ["evaluate", run, "--json"],
        "results": ["results", run, "--format", "csv"],
        "resume": ["resume", run],
        "evaluate again": ["evaluate", run, "--json"],
    }
    if run == "own":
        words = {"embed": ["embed", run, "new.csv", "-o", "z.csv"], **words}
    return {name: commands(*command, cwd=folder) for name, command in words.items()}


@pytest.mark.parametrize("part", range(PARTS))
def test_no_wrong_result_without_a_word(
    part: int, commands: Commands, stored: Path, some: Callable[[int], range], tmp_path: Path
) -> None:
    expected = {}
    for run in RUNS:
        folder = tmp_path / f"expected-{run}"
        shutil.copytree(stored, folder)
        expected[run] = outcomes(commands, run, folder), results_of(folder / run), folder
        assert all(result.status == 0 for result in expected[run][0].values()), expected[run]
    for case in some(CASES // PARTS):
        chance = random.Random(1000 * part + case)
        run = chance.choice(RUNS)
        right, found, whole = expected[run]
        folder = tmp_path / str(case)
        shutil.copytree(stored, folder)
        what = f"{run}: {damage(folder / run, chance)}"
        got = outcomes(commands, run, folder)
        for name, result in got.items():
            assert_one_line(result, f"{what}: {name}")
            assert result.seconds < 10, f"{what}: {name}: {result}"
            if result.status == 0 and name in ("evaluate", "evaluate again", "results"):
                stays = name == "evaluate again" and got["resume"].status == 2  # not a word of being finished then
                assert result.out == right["evaluate" if stays else name].out, f"{what}: {name}: {result}"
            if result.status == 0 and name == "embed":
                assert (folder / "z.csv").read_bytes() == (whole / "z.csv").read_bytes(), what
            if result.status == 0 and name == "resume":
                assert results_of(folder / run) == found, f"{what}: {result}"
                assert (folder / run / "metrics.csv").read_bytes() == (whole / run / "metrics.csv").read_bytes(), what
        shutil.rmtree(folder)
