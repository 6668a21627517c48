"""What one call has measured so far, with all that a reader needs in order to repeat it."""

import json
import os
import platform
import shlex
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.table import Table
from connectome.atomic_file import atomic_file

__all__ = ["Report", "device_name"]

RESULTS = Path(__file__).with_name("RESULTS.md")


class Report:
    """Prints each table as soon as it is there, and writes all of them again as JSON: a call cut off loses nothing.

    Args:
        words: the command line, without the interpreter.
        device: what is measured.
        file: of the JSON, if it is wanted.
    """

    def __init__(self, words: list[str], *, device: str, file: Path | None = None) -> None:
        self.about: dict[str, Any] = {
            "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "command": f"python -m benchmarks {shlex.join(words)}".strip(),
            "device": device_name(device),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "load_before": round(os.getloadavg()[0], 1),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "lightning": version("lightning"),
        }
        self.file = file
        self.tables: list[Table] = []
        self.write()

    def add(self, table: Table) -> None:
        """Print and write one more."""
        self.tables.append(table)
        print(table.markdown(), flush=True)
        self.write()

    def write(self) -> None:
        """Write what there is."""
        self.about["load"] = round(os.getloadavg()[0], 1)
        if self.file:
            with atomic_file(self.file) as out:
                content = self.about | {"tables": [table.plain() for table in self.tables]}
                out.write(json.dumps(content, indent=1).encode())

    def section(self) -> str:
        """Heading, circumstances and tables, for RESULTS.md."""
        a = self.about
        circumstances = (
            f"{a['date']}, {a['device']}, {a['cores']} cores with a load of {a['load_before']} before and {a['load']} "
            f"after, {a['threads']} thread(s), Python {a['python']}, torch {a['torch']}, lightning {a['lightning']}. "
            f"`{a['command']}`:"
        )
        return "\n".join([f"\n## Measured on {a['date']}\n", circumstances, "", *(t.markdown() for t in self.tables)])

    def append(self, results: Path = RESULTS) -> None:
        """Add the section to the file of results."""
        with atomic_file(results) as out:
            out.write((results.read_text().rstrip("\n") + "\n" + self.section()).encode())


def device_name(device: str) -> str:
    """Name of the GPU or of the processor."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
