"""Lines on standard error that say what is being measured."""

import sys
import time

__all__ = ["progress"]

START = time.monotonic()


def progress(what: str) -> None:
    """Say it, with the seconds since the start."""
    print(f"[{time.monotonic() - START:5.0f} s] {what}", file=sys.stderr, flush=True)
