"""One job at a time on a run folder."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import time
from types import TracebackType
from typing import IO, Any

from lightning.pytorch.utilities import rank_zero_warn

from callbacks.run_folder import RunFolder

__all__ = ["RunLock"]

PATIENCE = 120  # seconds; an NFS server forgets the locks of a dead client after its lease, 90 s by default
SETTLING = 2  # seconds
WITHOUT_LOCKS = (
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.ENOLCK,
    errno.EINVAL,
)  # Lustre without -o flock, NFS without lockd
ENDED = ("", "CANCELLED", "COMPLETED", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT")  # SLURM's states


class RunLock:
    """Held while a process trains in a run folder; `run.lock` in it names the holder.

    The system gives an flock up with its process, however that ends, though for a dead node the file server may take a
    while, or for ever. So a lock is taken over from a holder that is surely gone: an earlier life of the same SLURM
    task (SLURM never runs a task twice at once), a process of this machine that is no more, a job that SLURM no longer
    knows. The system is given PATIENCE seconds for it first. Any other holder is left alone, and this process refused.
    Where the file system knows no locks, the file alone decides, by the same rule.

    Args:
        folder: the run folder.

    Raises:
        RuntimeError: on entering, if another process holds it.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.path = folder.root / "run.lock"
        self.file: IO[str] | None = None
        array, index, job = (os.environ.get(f"SLURM_{name}") for name in ("ARRAY_JOB_ID", "ARRAY_TASK_ID", "JOB_ID"))
        task = f"{array}_{index}" if array else job
        self.me = {"host": socket.gethostname(), "pid": os.getpid(), "slurm_job": job, "slurm_task": task}

    def __enter__(self) -> "RunLock":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        while not self._take():
            holder = self._holder()
            if not self._may_be_replaced(holder):
                says = f"it says: {json.dumps(holder)}" if holder else "it has not said yet who it is"
                raise RuntimeError(
                    f"another process trains in {self.path.parent} ({says}): wait for it or stop it, or choose another "
                    f"folder with --run. If you know that it is gone, remove {self.path}"
                )
            if time.monotonic() - started > PATIENCE:
                rank_zero_warn(f"{self.path} is still locked for a process that is gone ({holder}): it is taken over")
                self.path.unlink(missing_ok=True)  # the lock stays with the old file, which nobody will look at
            time.sleep(min(1, PATIENCE))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.file is not None:
            if self._holder() == self.me:
                self.file.truncate(0)
            self.file.close()

    def _take(self) -> bool:
        """Whether the lock is ours now."""
        self.file = open(self.path, "a+")  # noqa: SIM115 - open as long as it is held
        locked = False
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = free = True
        except BlockingIOError:
            free = False
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            holder = self._holder()
            free = not holder or self._may_be_replaced(holder)
        if free and self._is_current():
            self.file.truncate(0)
            self.file.write(json.dumps(self.me))
            self.file.flush()
            if not locked:
                time.sleep(SETTLING)  # of two that begin at once, the one that wrote last stays
            if locked or self._holder() == self.me:
                return True
        self.file.close()
        self.file = None
        return False

    def _is_current(self) -> bool:
        """Whether the file that we have open is still the one of that name: somebody may have taken the lock over."""
        assert self.file is not None
        try:
            return os.path.samestat(os.fstat(self.file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _holder(self) -> dict[str, Any]:
        """Who holds it by its own words; empty if it was given back, or taken a moment ago."""
        try:
            return json.loads(self.path.read_text() or "{}")
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def _may_be_replaced(self, holder: dict[str, Any]) -> bool:
        """Whether the holder was this SLURM task before it was requeued, or has surely ended."""
        if holder.get("host") == self.me["host"]:
            return not _runs(holder["pid"]) or self._is_my_earlier_life(holder)
        return self._is_my_earlier_life(holder) or _has_left_the_queue(holder.get("slurm_job"))

    def _is_my_earlier_life(self, holder: dict[str, Any]) -> bool:
        same = self.me["slurm_task"] is not None and holder.get("slurm_task") == self.me["slurm_task"]
        return same and holder.get("pid") != self.me["pid"]


def _runs(pid: int) -> bool:
    """Whether there is such a process on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _has_left_the_queue(job: str | None) -> bool:
    """Whether SLURM says that the job has ended, or does not know it any more."""
    if job is None:
        return False
    try:
        asked = subprocess.run(
            ["squeue", "--noheader", "--format=%T", f"--jobs={job}"], capture_output=True, text=True, timeout=30
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    if asked.returncode:
        return "Invalid job id" in asked.stderr
    return asked.stdout.strip() in ENDED
