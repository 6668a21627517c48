"""A signal that asks to stop is noted, and acted on at the next optimizer-step boundary. Standard library only.

SLURM's SIGUSR1 (before a time limit or a preemption) and SIGTERM end a process that has not installed a handler, and
`import torch` takes seconds: so `cli.py` installs this one first and only verbs
that lose nothing by it restore the old one.
"""

import signal
import sys
from types import FrameType

__all__ = ["TERMINATED", "asked", "install", "restore"]

TERMINATED = 128 + signal.SIGTERM  # exit status of a process that was asked to end

_received: list[int] = []


def install() -> None:
    """Note SIGUSR1 and SIGTERM from now on."""
    for number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, _note)


def restore() -> None:
    """Let the two signals end the process again, where nothing would be lost.

    SIGTERM by a handler: where there is none, Lightning installs its own, and an evaluation would go on to its end.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, _leave)


def asked() -> bool:
    """Whether this process has been asked to stop."""
    return bool(_received)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(TERMINATED)


def _note(number: int, frame: FrameType | None) -> None:
    _received.append(number)
