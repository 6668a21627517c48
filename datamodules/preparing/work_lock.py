"""One `prepare` at a time on a folder, but for the tasks of an array, which share the work."""

import errno
import fcntl
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

__all__ = ["wait_for", "work_lock"]

log = logging.getLogger(__name__)
WITHOUT_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)  # as Lustre without -o flock


@contextmanager
def work_lock(folder: Path, task: int | None = None) -> Iterator[None]:
    """Held while a process prepares `folder`, whole or as task `task`; the system gives it up with the process.

    Where the file system knows no locks this is said, and nothing is kept apart.

    Raises:
        FileExistsError: if another process is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mine = folder / (".prepare.lock" if task is None else f".prepare.{task}.lock")
    others = sorted(folder.glob(".prepare.[0-9]*.lock")) if task is None else []
    with ExitStack() as stack:
        for path in [mine, *others]:
            file = stack.enter_context(open(path, "a"))
            try:
                _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FileExistsError(f"another `prepare` is at work in {folder}; wait for it or end it") from error
        yield


@contextmanager
def wait_for(path: Path) -> Iterator[None]:
    """Held for a moment, one process after the other."""
    with open(path, "a") as file:
        _lock(file, fcntl.LOCK_EX)
        yield


def _lock(file: IO[str], how: int) -> None:
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        log.warning("%s: no locks on this file system: see to it yourself that only one prepares it", file.name)
