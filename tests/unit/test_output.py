"""What is printed, and signals that ask for an end."""

from __future__ import annotations

import errno
import io
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from invlearn.cli import main
from invlearn.errors import Terminated
from invlearn.system.output import has_reader, printable
from invlearn.system.signals import asked_to_end, raise_lost_signal, signals_deferred, signals_raise
from tests.support.errors import assert_error_line


@pytest.fixture
def unhandled() -> Iterator[None]:
    """Signals as a process in the foreground has them; tests in the background of a shell ignore some."""
    defaults = {signal.SIGINT: signal.default_int_handler}
    defaults |= dict.fromkeys([signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT], signal.SIG_DFL)
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert printable("größe, 東京 ± 1e-4") == "größe, 東京 ± 1e-4"
    assert printable("a\nb") == "a\\nb"
    assert printable("a\nb\tc\r", lines=True) == "a\nb\tc\\r"
    assert printable("\ufffe\uffff") == "\\ufffe\\uffff"
    assert printable("\x1b[31m\x9b\x07\r\u202e\ud800") == "\\x1b[31m\\x9b\\x07\\r\\u202e\\ud800"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_is_an_exception_with_its_number(number: signal.Signals, unhandled: None) -> None:
    with pytest.raises(Terminated) as stop, signals_raise():
        os.kill(os.getpid(), number)
    assert stop.value.number == number
    assert signal.getsignal(number) == signal.SIG_DFL


def test_an_error_that_takes_the_place_of_an_interruption_does_not_hide_it(unhandled: None) -> None:
    known: list[bool] = []

    def library() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            error = AttributeError("of a library's clean-up")
            known.append(asked_to_end(error))
            raise error

    with pytest.raises(KeyboardInterrupt), signals_raise():
        library()
    assert known == [True]
    assert not asked_to_end(AttributeError())


def test_what_somebody_else_handles_or_ignores_stays_so(unhandled: None) -> None:
    got: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_raise(), signals_deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
            assert not got
        assert got == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, ignored)


def test_a_signal_waits_until_what_is_to_be_whole_is_done(unhandled: None) -> None:
    done: list[str] = []

    def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("all of it")

    with pytest.raises(Terminated), signals_raise(), signals_deferred():
        work()
    assert done


def test_threads_have_no_signals_to_handle() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with signals_raise(), signals_deferred():
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors


def test_an_end_can_be_sent_from_one_process_to_another() -> None:
    sent = pickle.loads(pickle.dumps(Terminated(15)))
    assert sent.number == 15


def test_a_signal_that_arrives_while_an_object_is_deleted_is_not_lost(unhandled: None, monkeypatch) -> None:
    class Deleted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    shown: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    with pytest.raises(Terminated) as stop, signals_raise():
        Deleted()
    assert stop.value.number == signal.SIGTERM
    assert not shown
    with signals_raise():  # and is not taken for one that comes later
        raise_lost_signal()


def test_a_stream_whose_reader_has_gone_is_known() -> None:
    assert has_reader(io.StringIO())
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        assert has_reader(stream)
        os.close(reading)
        assert not has_reader(stream)


def test_a_caller_keeps_its_streams(capsys) -> None:
    errors = sys.stdout.errors
    assert main(["--version"]) == 0
    assert sys.stdout.errors == errors


@pytest.mark.parametrize(
    ("error", "is_told"),
    [
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
            True,
        ),
        (RuntimeError("can't start new thread"), True),
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), True),  # a worker's, where ours has a reader
        (OSError(errno.EBADF, "Bad file descriptor"), False),
        (RuntimeError("shapes"), False),
    ],
)
def test_what_is_wrong_with_the_machine_is_told_and_bugs_are_not_hidden(
    error: Exception, is_told: bool, monkeypatch, capfd
) -> None:
    def fail(words: list[str]) -> int:
        raise error

    monkeypatch.setattr("invlearn.cli._dispatch", fail)
    if is_told:
        assert main(["train"]) == 2
        assert_error_line(capfd.readouterr().err)
    else:
        with pytest.raises(type(error)):
            main(["train"])


def test_a_folder_that_is_gone_is_told(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["evaluate", "run"]) == 2
    assert_error_line(capsys.readouterr().err, also=["working directory"])
