"""What is printed, and signals that ask for an end."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Iterator

import pytest

from invlearn.errors import Terminated
from invlearn.system.output import printable
from invlearn.system.signals import asked_to_end, signals_deferred, signals_raise


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
    assert printable("a\nb\tc", lines=True) == "a\nb\\tc"
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
