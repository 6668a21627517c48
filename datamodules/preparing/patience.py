"""What to do when the network fails: try again, later each time."""

import errno
import logging
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["with_patience"]

log = logging.getLogger(__name__)
Result = TypeVar("Result")


def with_patience(action: Callable[[], Result], what: str, *, attempts: int = 6, first_wait: float = 2.0) -> Result:
    """The result of `action`, tried again after 2, 4, 8… seconds when it raises.

    Wrong input (a ValueError) and a full disk are not the network's fault and raised at once, like the last failure.

    Args:
        action: what to do; must be harmless to repeat.
        what: its object, for the log.
        attempts: tries in all.
        first_wait: seconds before the second one; doubled for each further one.
    """
    for attempt in range(1, attempts):
        try:
            return action()
        except Exception as error:
            if isinstance(error, ValueError) or getattr(error, "errno", None) == errno.ENOSPC:
                raise
            wait = first_wait * 2 ** (attempt - 1)
            log.warning(
                "%s: %s: %s; attempt %d of %d in %g s", what, type(error).__name__, error, attempt + 1, attempts, wait
            )
            time.sleep(wait)
    return action()
