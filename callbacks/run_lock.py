"""One job at a time on a run folder."""

import fcntl
import json
import os
import socket
from types import TracebackType
from typing import IO

from callbacks.run_folder import RunFolder

__all__ = ["RunLock"]


class RunLock:
    """Held while a process trains in a run folder; the system gives it up with the process, however that ends.

    Args:
        folder: the run folder; `run.lock` in it names the holder.

    Raises:
        RuntimeError: on entering, if another process holds it.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.path = folder.root / "run.lock"
        self.file: IO[str] | None = None

    def __enter__(self) -> "RunLock":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.path, "a+")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.file.seek(0)
            holder = self.file.read().strip() or "unknown"
            self.file.close()
            raise RuntimeError(
                f"another process trains in {self.path.parent} (it says: {holder}): wait for it or stop it, or choose "
                "another folder with --run"
            ) from error
        self.file.seek(0)
        self.file.truncate()
        who = {"host": socket.gethostname(), "pid": os.getpid(), "slurm_job": os.environ.get("SLURM_JOB_ID")}
        self.file.write(json.dumps(who))
        self.file.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.file is not None:
            self.file.close()
