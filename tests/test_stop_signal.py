"""A signal that asks to stop is noted and does not end the process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from callbacks import stop_signal

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def handlers_are_put_back() -> Iterator[None]:
    """The test run itself must stop when it is asked to."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    stop_signal._received.clear()


def test_nobody_has_asked_at_first() -> None:
    stop_signal.install()
    assert not stop_signal.asked()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_is_noted_and_the_process_lives_on(number: signal.Signals) -> None:
    stop_signal.install()
    os.kill(os.getpid(), number)
    assert stop_signal.asked()


def test_installing_again_takes_a_signal_back_from_whoever_took_it() -> None:
    stop_signal.install()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop_signal.install()
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop_signal.asked()


def test_an_interrupt_from_the_keyboard_still_ends_the_process() -> None:
    before = signal.getsignal(signal.SIGINT)
    stop_signal.install()
    assert signal.getsignal(signal.SIGINT) == before


def test_it_is_ready_before_anything_slow_is_imported() -> None:
    """The package's `__init__` must not bring Lightning in before the handler stands."""
    code = (
        "import sys; from callbacks import stop_signal; stop_signal.install();"
        "print(sorted({'torch', 'lightning', 'numpy', 'tensorboard'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
