"""Help and completion: quick, and of every command, group and key."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from invlearn.config.folder import conf_dir
from tests.support.errors import has_line

CLEAN_ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("COMP_")}


def test_help_names_every_command_group_and_key(invlearn) -> None:
    for words in (["--help"], []):
        shown = invlearn(*words)
        assert shown.returncode == 0
        assert all(command in shown.stdout for command in ("train", "resume", "evaluate"))
    text = invlearn("train", "--help").stdout
    for file in conf_dir().rglob("*.yaml"):
        folders = file.relative_to(conf_dir()).parts[:-1]
        if folders and folders[0] not in ("preset", "grid"):  # these set keys of others
            for line in file.read_text().splitlines():
                if re.match(r"(?!defaults:)[a-z]\w*:", line):
                    key = f"{'.'.join(folders)}.{line.partition(':')[0]}="
                    shown_lines = [row.strip() for row in text.splitlines() if row.strip().startswith(key)]
                    assert shown_lines, f"{key} has no line of help"
                    assert all(len(row.split(maxsplit=1)) == 2 for row in shown_lines), key
    assert re.search(r"dataset=.*permcycle.*\bdefault\W+shift\n", text)
    of_entities = text.partition("\ndataset=entities\n")[2].partition("\n\n")[0]
    assert "optimizer=adamw" in of_entities
    for key in ("seed", "replicas", "device", "dtype", "preset=complete|paper|quick|smoke"):
        assert f"  {key}" in text


def test_help_has_groups_of_ones_own_too(invlearn, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "dataset"
    folder.mkdir(parents=True)
    (folder / "negation.yaml").write_text("_target_: negation.Negation\nsigns: 3  # how many signs\n")
    shown = invlearn("train", "--config-dir", "mine", "--help").stdout
    assert has_line(shown, "dataset=contrast", "negation")
    assert has_line(shown, "dataset.signs=3", "how many signs")
    assert invlearn("train", "--config-dir", "none", "--help").returncode == 2


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"], ["nonsense"]])
def test_quick_answers_import_no_torch(words: list[str]) -> None:
    code = f"import sys; from invlearn.cli import main; main({words!r}); print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("invlearn ", {"train", "resume", "evaluate"}),
        ("invlearn tr", {"train"}),
        ("invlearn train dataset=", {"dataset=twopart", "dataset=shift", "dataset=permcycle", "dataset=shiftscale"}),
        ("invlearn train model=standard model.a", {"model.activation="}),
        ("invlearn evaluate out", set()),
    ],
)
def test_completion(line: str, expected: set[str], tmp_path: Path) -> None:
    code = "import sys; from invlearn.cli import main; sys.argv = ['invlearn', '-sc', 'query=bash']; main()"
    code += "; print('torch' in sys.modules)"
    environment = {**CLEAN_ENVIRONMENT, "COMP_LINE": line, "COMP_POINT": str(len(line))}
    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    *answer, torch_loaded = shown.stdout.split()
    assert expected <= set(answer)
    assert expected or not answer
    assert torch_loaded == "False"


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="no bash")
def test_completion_in_a_real_bash(tmp_path: Path) -> None:
    program = tmp_path / "invlearn"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m invlearn "$@"\n')
    program.chmod(0o755)
    script = """
        eval "$(invlearn -sc install=bash)"
        COMP_LINE='invlearn train model.de' COMP_POINT=23 COMP_CWORD=2
        hydra_bash_completion
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    environment = {**CLEAN_ENVIRONMENT, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    shown = subprocess.run(
        ["/bin/bash", "-c", script], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert {"model.depth=", "model.decoder_depth="} <= set(shown.stdout.split())
