"""Time and memory of something that is done on a device, and turns of several such things."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from benchmarks.progress import progress

__all__ = ["Meter", "spread", "take_turns"]

STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Meter:
    """Measures on one device: a CPU by the process's own clock, a GPU by the wall clock after it has finished.

    The process's clock counts what other programs do on the machine as little as possible.

    Args:
        device: `cpu` or `cuda`.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.before = 0  # bytes at the mark

    def now(self) -> float:
        """Seconds."""
        if self.device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def seconds(self, action: Callable[[], object]) -> float:
        """How long it takes."""
        start = self.now()
        action()
        return self.now() - start

    def mark(self) -> None:
        """Peaks are counted from here."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        elif REFERENCES.exists():
            REFERENCES.write_text("5")  # Linux: the peak of resident memory starts again
            self.before = status("VmRSS")

    def above_mark(self) -> int | None:
        """Bytes at the peak since the mark beyond what was there at it; None where that cannot be known."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() - self.before
        return max(0, status("VmHWM") - self.before) if REFERENCES.exists() else None


def status(key: str) -> int:
    """Bytes from a line of this process's status."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return 1024 * int(lines[key].split()[0])


def take_turns(
    entries: Mapping[str, Callable[[], object]], meter: Meter, *, rounds: int, what: str
) -> tuple[dict[str, list[float]], dict[str, int | None]]:
    """Seconds of every entry in every round, after one round that is not counted, and bytes at the peak of the last.

    What does not fit the device has no times and takes no further turns.
    """
    taken: dict[str, list[float]] = {name: [] for name in entries}
    peaks: dict[str, int | None] = dict.fromkeys(entries)
    running = dict(entries)
    for round_ in range(rounds + 1):
        progress(f"{what}, round {round_} of {rounds}{' (warm-up)' if not round_ else ''}")
        for name, action in list(running.items()):
            meter.mark()
            try:
                seconds = meter.seconds(action)
                peaks[name] = meter.above_mark()
            except torch.OutOfMemoryError:
                progress(f"{what}: {name} does not fit")
                del running[name]
                taken[name], peaks[name] = [], None
                continue
            if round_:
                taken[name].append(seconds)
    return taken, peaks


def spread(mine: Sequence[float], base: Sequence[float]) -> str | None:
    """Median, least and most of mine / base within a round."""
    ratios = [a / b for a, b in zip(mine, base, strict=False)]
    return f"{statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]" if ratios else None
