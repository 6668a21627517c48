"""A file is either the old one or the new one, never half of it, whatever kills the writer."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_file", "fsync_folder"]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a temporary neighbour of `path` for writing; rename it to `path` once it is safely on disk.

    The neighbour's name is fixed (`.NAME.partial`), so that a killed writer leaves at most one, which its successor
    overwrites. If the body raises, `path` is untouched and the neighbour is removed.

    Raises:
        OSError: if the disk is full, with a message that names `path` and the errno it had.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL:
            named = OSError(
                f"could not write {path}: {os.strerror(error.errno)}. What was written before is whole: make room and "
                "start the same command again"
            )
            named.errno = error.errno
            raise named from error
        raise
    fsync_folder(path.parent)


def fsync_folder(folder: str | Path) -> None:
    """Make renames and removals in `folder` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
