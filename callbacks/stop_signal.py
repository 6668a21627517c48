"""A signal that asks to stop is noted, and acted on at the next optimizer-step boundary. Standard library only.

SLURM's SIGUSR1 (before a time limit or a preemption) and SIGTERM end a process that has not installed a handler, and
`import torch` takes seconds: so `cli.py` installs this one first and only verbs
that lose nothing by it restore the old one.
"""

import signal
from types import FrameType

__all__ = ["asked", "install", "restore"]

_received: list[int] = []


def install() -> None:
    """Note SIGUSR1 and SIGTERM from now on."""
    for number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, _note)


def restore() -> None:
    """Let the two signals end the process again, where nothing would be lost."""
    for number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def asked() -> bool:
    """Whether this process has been asked to stop."""
    return bool(_received)


def _note(number: int, frame: FrameType | None) -> None:
    _received.append(number)
