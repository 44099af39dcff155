"""The command line in processes of its own, started at once and with faults: a server that forks for each.

A fresh Python takes seconds to import torch; a fork of one that has takes none. Started with the injector preloaded,
``python -m tests.slow.faults.commands`` reads a request a line and answers each.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "Commands", "Fault", "Result", "build_injector"]

KINDS = ("open", "write", "fsync", "rename", "close", "any")
"""Calls that can fail, in the injector's order: files are opened to be written, and so on; or any of these."""

LONGEST = 60
"""Seconds after which a command counts as hanging."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong in a command.

    Args:
        kind: Of ``KINDS``; the calls are those on files below the folder.
        number: Which of these calls, from 1; with 0 they are only counted.
        error: What ``errno`` becomes.
        signal: What the process is sent at this call instead.
        stays: Whether all later ones fail too, as on a full disk.
        after: Send the signal after so many seconds instead.
        limits: Resource limits, by name, as in ``{"RLIMIT_FSIZE": 1000}``.
    """

    kind: str = "write"
    number: int = 0
    error: int = 0
    signal: int = 0
    stays: bool = False
    after: float | None = None
    limits: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """How a command ended.

    Args:
        status: Its exit status; minus the number of the signal that killed it.
        out: What it printed.
        err: What it printed to standard error.
        seconds: How long it computed, which does not depend on what else the machine does.
        counts: How many calls of each of ``KINDS`` it made.
    """

    status: int
    out: str
    err: str
    seconds: float
    counts: dict[str, int]

    def __str__(self) -> str:
        return f"status {self.status} after {self.seconds:.1f} s: {self.out[-2000:]}\n{self.err[-4000:]}"


def build_injector(folder: Path) -> Path:
    """Compile the injector."""
    library = folder / "injector.so"
    source = Path(__file__).with_name("injector.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


class Commands:
    """A server that is running.

    Args:
        injector: The compiled injector.
    """

    def __init__(self, injector: Path):
        environment = {**os.environ, "LD_PRELOAD": str(injector), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=Path(__file__).parents[3],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: object, cwd: Path, fault: Fault | None = None, streams: str = "") -> Result:
        """Run ``invlearn`` with some words in a folder.

        Args:
            words: As typed.
            cwd: Where; faults are in files below it.
            fault: What goes wrong.
            streams: ``full``: standard output is a full device; ``closed``: standard error is closed.
        """
        request = {"words": [str(word) for word in words], "cwd": str(cwd), "streams": streams}
        request["fault"] = asdict(fault or Fault())
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Result(**answer)

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _serve() -> None:
    import torch

    import invlearn.cli.train
    import invlearn.display.plots
    import invlearn.inference
    import invlearn.runs.session
    import invlearn.sweeps.run  # noqa: F401

    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin:
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    read, written = os.pipe()
    texts = [os.memfd_create(name) for name in ("out", "err")]
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _child(request, written, texts)
    os.close(written)
    status, seconds = _wait(pid, request["fault"], start)
    with os.fdopen(read) as pipe:
        counts = pipe.read()
    out, err = (_contents(text) for text in texts)
    return {
        "status": status,
        "out": out,
        "err": err,
        "seconds": seconds,
        "counts": json.loads(counts) if counts else dict.fromkeys(KINDS, 0),
    }


def _contents(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor, errors="replace") as file:
        return file.read()


def _wait(pid: int, fault: dict[str, Any], start: float) -> tuple[int, float]:
    due = None if fault["after"] is None else start + fault["after"]
    while True:
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
        now = time.monotonic()
        if due is not None and now >= due:
            os.kill(pid, fault["signal"])
            due = None
        if now > start + LONGEST:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _child(request: dict[str, Any], counts: int, texts: Sequence[int]) -> None:
    """Run the command and leave; nothing of the server's may go on here."""
    status = 1
    try:
        os.chdir(request["cwd"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open("/dev/full", os.O_WRONLY) if request["streams"] == "full" else texts[0], 1)
        os.dup2(texts[1], 2)
        if request["streams"] == "closed":
            os.close(2)
            sys.stderr = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        fault, library = Fault(**request["fault"]), ctypes.CDLL(None)
        for name, value in fault.limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))
        if "RLIMIT_FSIZE" in fault.limits:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python itself does when it starts
        at_call = fault.signal if fault.after is None else 0
        arguments = (KINDS.index(fault.kind), fault.number, fault.error, at_call, int(fault.stays))
        library.fault_arm(request["cwd"].encode(), *arguments)
        from invlearn.cli import main

        try:
            sys.argv[1:] = request["words"]
            status = main()
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 1
        made = {kind: library.fault_count(index) for index, kind in enumerate(KINDS)}
        library.fault_arm(b"", -1, 0, 0, 0, 0)
        os.write(counts, json.dumps(made).encode())
        sys.stdout.flush()
    except BaseException:
        ctypes.CDLL(None).fault_arm(b"", -1, 0, 0, 0, 0)
        traceback.print_exc()
    finally:
        if sys.stderr:
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
