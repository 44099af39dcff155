"""The command line, as its user types it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from invlearn.cli import main
from invlearn.config.compose import conf_dir

CLEAN_ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("COMP_")}


def snapshot(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_train_then_resume_then_evaluate(invlearn, tiny: list[str], tmp_path: Path) -> None:
    done = invlearn("train", "dataset=twopart", "model=extended", "replicas=2", *tiny)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (run,) = (tmp_path / "outputs" / "runs").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-\d{6}", run.name)
    assert {"mse_reconstruction", "mse_invariance", "invariance_ratio"} <= set(done.stdout.split())
    assert "constant" in done.stdout
    record = json.loads((run / "run.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} in run.json"))
    assert record["argv"][-1] == "trainer.epochs=2"
    assert record["argv"][-7:-5] == ["dataset=twopart", "model=extended"]
    assert (run / ".hydra" / "overrides.yaml").is_file()
    before = snapshot(run)
    again = invlearn("resume", str(run))
    assert again.returncode == 0
    assert "is finished; nothing to do" in again.stdout
    assert snapshot(run) == before
    measured = invlearn("evaluate", str(run), "--json")
    assert json.loads(measured.stdout) == [replica["metrics"] for replica in record["replicas"]]
    assert "mse_invariance" in invlearn("evaluate", str(run)).stdout


def test_the_same_command_does_nothing_on_a_finished_run(invlearn, tiny: list[str], tmp_path: Path) -> None:
    command = ["train", *tiny, "hydra.run.dir=here"]
    assert invlearn(*command).returncode == 0
    before = snapshot(tmp_path)
    again = invlearn(*command)
    assert (again.returncode, again.stderr) == (0, "")
    assert "here is finished; nothing to do" in again.stdout
    assert snapshot(tmp_path) == before


def test_a_longer_run_extends_a_finished_one(invlearn, tiny: list[str], tmp_path: Path) -> None:
    command = ["train", *tiny, "hydra.run.dir=here"]
    assert invlearn(*command).returncode == 0
    assert invlearn(*command, "trainer.epochs=3").returncode == 0
    assert len((tmp_path / "here" / "metrics.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trian", "trian: there is no such command; did you mean 'train'?"),
        ("train dataset=twoprat", "dataset=twoprat: there is no such dataset; did you mean 'twopart'?"),
        ("train modle=extended", "modle: there is no such key; did you mean 'model'?"),
        ("train -m grid=fig3 preset=smoke", "grid is not part of a run by default; add it, as in +grid=fig1"),
        ("train -m +grid=fig4,fig5 preset=smoke", "grid: one at a time"),
        ("train -m +grid=fig4 preset=smoke,quick", "preset: one at a time"),
        ("train -m engine=plain,auto", "engine cannot be swept: it does not change what a run computes"),
        ("train -m sweep=../x seed=0,1", "sweep must be the name of a folder, got '../x'"),
        ("train -m --cfg job seed=0,1", "--cfg shows the config of one run; leave out -m"),
        ("train -m hydra/launcher=joblib hydra.launcher.n_jobs=0 seed=0,1", "hydra.launcher.n_jobs must be a number"),
        ("train threads=100000", "threads must be at most 1024"),
        ("train modle.depth=3", "modle.depth: there is no modle; did you mean 'model'?"),
        ("train -m modle.depth=1,2", "modle.depth: there is no modle; did you mean 'model'?"),
        ("train +dataset.dim.x=3", "dataset.dim"),
        ("train model.dpeth=3", "model.dpeth: there is no such key; did you mean 'depth'?"),
        ("train model=standard model.columns=3", "model.columns: there is no such key; choose from: activation"),
        ("train +model.widht=3", "model.widht: there is no such key; did you mean 'width'?"),
        ("train model.depth=abc", "model.depth must be a whole number, got 'abc'"),
        ("train model.depth=true", "model.depth must be a whole number, got True"),
        ("train model.depth=1.5", "model.depth must be a whole number, got 1.5"),
        ("train dataset.dim=0", "dataset.dim must be at least 2, got 0"),
        ("train dataset=twopart dataset.dim=7", "dataset.dim must be even"),
        ("train dataset.distance=cosine", "dataset.distance must be spectral or orbit or binary, got 'cosine'"),
        (
            "train trainer.batch_size=70000",
            "a step takes trainer.batch_size=70000 pairs, and an epoch draws only 60,000 with dataset.size=60000",
        ),
        ("train trainer.epochs=0", "trainer.epochs must be at least 1, got 0"),
        ("train optimizer.lr=-1", "optimizer: Invalid learning rate: -1"),
        ("train optimizer.lr=fast", "optimizer.lr must be"),
        ("train replicas=0", "replicas must be at least 1, got 0"),
        ("train seed=abc", "seed must be a whole number, got 'abc'"),
        ("train dtype=float16", "dtype must be float32 or float64, got 'float16'"),
        ("train device=gpu", "device must be auto, cpu, cuda or cuda:N, got 'gpu'"),
        ("train device=cuda:99", "device=cuda:99: torch finds"),
        ("train loss.code=modulus", "loss.code: there is no such key"),
        ("train loss=supervised_dft loss.code=modulus", "loss.code must be modulus_phase or modulus_sine_cosine"),
        ("train model.columns=input model.depth=20", "model: a network of"),
        ("train epochs=3", "epochs: there is no such key; did you mean 'trainer.epochs'?"),
        ("train foo.yaml", "foo.yaml is not an override; write key=value, as in dataset=twopart"),
        ("train model.depth=1,2", "Ambiguous value for argument 'model.depth=1,2'"),
        ("train --frobnicate", "train: unrecognized arguments: --frobnicate"),
        ("train --config-dir nowhere", "--config-dir nowhere is not a folder"),
        ("train hydra.run.dir=/proc/nowhere/run", "cannot write to /proc/nowhere/run"),
        ("train hydra.run.dir=afile/run", "cannot write to afile/run"),
        ("train hydra.run.dir=full", "full holds other files and no run"),
        ("train -m model.depth=1,0", "model.depth must be between 1 and 1000, got 0"),
        ("train -m model.depth=[1", "no viable alternative at input '[1"),
        ("train dataset=entities dataset.path=a=b.csv", "dataset.path=a=b.csv cannot be read; names that hold signs"),
        ("train dataset=null", "Config group override must be a string or a list"),
        ("train hydra.run.dir=${nope}", "hydra.run.dir: Interpolation key 'nope' not found"),
        (f"train hydra.run.dir={'x' * 300}", "cannot write to xxx"),
        ("train --cfg job model.dpeth=3", "model.dpeth: there is no such key; did you mean 'depth'?"),
        ("train --config-path elsewhere", "--config-path would replace invlearn's own config"),
        ("train loss.weight=nan", "loss.weight must be a finite number, got nan"),
        ("train +optimizer.foreach=true", "optimizer: `fused` and `foreach` cannot be `True` together"),
        ("train hydra.run.dir=full --dry-run", "full holds other files and no run"),
        ("evaluate", "evaluate: the following arguments are required: RUN"),
        ("evaluate nowhere", "nowhere: there is no such run"),
        ("evaluate full", "full is not a run"),
        ("resume nowhere", "nowhere: there is no such run"),
    ],
)
def test_mistakes_get_one_line_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)  # within this process: torch need not be loaded for each
    (tmp_path / "afile").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    before = snapshot(tmp_path)
    assert main(words.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"invlearn: {message}")
    assert shown.err.count("\n") == 1
    assert snapshot(tmp_path) == before


def test_a_directory_of_another_config_is_left_alone(invlearn, tiny: list[str], tmp_path: Path) -> None:
    assert invlearn("train", *tiny, "hydra.run.dir=here").returncode == 0
    before = snapshot(tmp_path)
    failed = invlearn("train", *tiny, "hydra.run.dir=here", "seed=4")
    assert failed.returncode == 2
    assert failed.stderr == "invlearn: here holds a run of another config: seed (0 there, 4 here)\n"
    assert snapshot(tmp_path) == before


def test_help_names_every_command_group_and_key(invlearn) -> None:
    for words in (["--help"], []):
        shown = invlearn(*words)
        assert shown.returncode == 0
        assert all(command in shown.stdout for command in ("train", "resume", "evaluate"))
    text = invlearn("train", "--help").stdout
    for file in conf_dir().rglob("*.yaml"):
        folders = file.relative_to(conf_dir()).parts[:-1]
        if folders and folders[0] not in ("preset", "grid", "own"):  # these set keys of others
            for line in file.read_text().splitlines():
                if re.match(r"(?!defaults:)[a-z]\w*:", line):
                    key = f"{'.'.join(folders)}.{line.partition(':')[0]}="
                    shown_lines = [row.strip() for row in text.splitlines() if row.strip().startswith(key)]
                    assert shown_lines, f"{key} has no line of help"
                    assert all(len(row.split(maxsplit=1)) == 2 for row in shown_lines), key
    assert re.search(r"dataset=.*permcycle.* default shift\n", text)
    of_entities = (
        r"\n  chooses optimizer=adamw\n  with loss=pairwise +pairs=batch\n  with model=extended +smoothing=4.0\n"
    )
    assert re.search(of_entities, text)
    for key in ("seed", "replicas", "device", "dtype", "preset=paper|quick|smoke"):
        assert f"  {key}" in text


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"], ["nonsense"]])
def test_quick_answers_import_no_torch(words: list[str]) -> None:
    code = f"import sys; from invlearn.cli import main; main({words!r}); print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "False"


def test_a_run_imports_neither_torchs_compiler_nor_scipy_stats(tiny: list[str], tmp_path: Path) -> None:
    code = f"import sys; from invlearn.cli import main; main(['train', *{tiny!r}])"
    code += "; print({'torch._dynamo', 'scipy.stats'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert shown.stdout.splitlines()[-1] == "set()"
    (run,) = (tmp_path / "outputs" / "runs").iterdir()
    assert json.loads((run / "run.json").read_text())["peak_memory_mib"]["process"] > 50


def test_a_run_goes_on_when_the_reader_of_its_output_has_gone(tiny: list[str], tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "invlearn", "train", *tiny, "hydra.run.dir=run"]
    done = subprocess.run(command, cwd=tmp_path, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "completed"


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


def test_dry_run_tells_and_trains_nothing(invlearn, tmp_path: Path) -> None:
    shown = invlearn("train", "dataset=twopart", "replicas=3", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    for word in ("parameters", "MiB", "3 replicas", "about", "30 features, 10 invariant"):
        assert word in shown.stdout
    assert snapshot(tmp_path) == {}


def test_hydra_flags_work_as_hydra_users_expect(invlearn, tiny: list[str], tmp_path: Path) -> None:
    shown = invlearn("train", "model=standard", "--cfg", "job", "model.depth=3")
    assert shown.returncode == 0, shown.stderr
    assert "  depth: 3\n" in shown.stdout
    (tmp_path / "mine" / "dataset").mkdir(parents=True)
    (tmp_path / "mine" / "dataset" / "short.yaml").write_text("_target_: invlearn.data.Shift\ndim: 3\nsize: 500\n")
    done = invlearn("train", "--config-dir", "mine", "dataset=short", "trainer.epochs=1", "hydra.run.dir=here")
    assert done.returncode == 0, done.stderr
    assert "dim: 3" in (tmp_path / "here" / "config.yaml").read_text()
    swept = invlearn("train", "-m", "sweep=depths", "model.depth=1,2", *tiny)
    assert swept.returncode == 0, swept.stderr
    assert invlearn("train", "-m", "seed=0,1", *tiny).returncode == 0
    (unnamed,) = {path.name for path in (tmp_path / "outputs" / "sweeps").iterdir()} - {"depths"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", unnamed)
    again = invlearn("train", "-m", "sweep=depths", "model.depth=1,2", *tiny)
    assert again.stdout.startswith("2 runs in outputs/sweeps/depths: 2 finished\n")
    assert again.stdout.splitlines()[-3:] == swept.stdout.splitlines()[-3:]
    runs = sorted((tmp_path / "outputs" / "sweeps" / "depths").glob("**/run.json"))
    assert [json.loads(run.read_text())["status"] for run in runs] == ["completed"] * 2


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_polite_interruption_is_recorded_and_continued(tiny: list[str], tmp_path: Path, number, status: int) -> None:
    words = ["train", *tiny, "trainer.epochs=2000", "hydra.run.dir=here"]
    process = subprocess.Popen(
        [sys.executable, "-m", "invlearn", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    checkpoint = tmp_path / "here" / "checkpoints" / "last.pt"
    wait_for(checkpoint.exists)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert errors == "invlearn: interrupted; continue with: invlearn resume here\n"
    record = json.loads((tmp_path / "here" / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert record["metrics"] is None


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
