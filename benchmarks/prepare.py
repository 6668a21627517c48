"""How fast documents become tokens, against tiktoken alone; from one worker to two; and in how much memory.

python benchmarks/prepare.py --source 'data/corpus/*.parquet'
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from datamodules.preparing.documents import Source, TextFiles, Unit
from datamodules.preparing.encoded_unit import encode_unit
from datamodules.preparing.encoding_workers import EncodingJob, encode_units
from datamodules.tokenizer import get_tokenizer


def against_tiktoken(source: Source, units: Iterable[Unit], tokenizer: str) -> None:
    """One process: a unit through `encode_ordinary_batch` alone, then the same one read, hashed, encoded and written.

    Printed are million tokens per second of wall clock and of CPU (medians over units), and the ratios of each pair.
    """
    encoding = get_tokenizer(tokenizer)
    pairs: list[tuple[float, float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for unit in units:
            texts = [str(row.text) for batch in source.read(unit) for row in batch]
            wall, cpu, lists = _timed(partial(encoding.encode_ordinary_batch, texts, num_threads=1))
            tokens = sum(map(len, lists)) / 1e6
            del lists
            our_wall, our_cpu, _ = _timed(partial(encode_unit, source, unit, encoding, Path(folder)))
            pairs.append((tokens / wall, tokens / our_wall, tokens / cpu, tokens / our_cpu))
    bare_wall, our_wall, bare_cpu, our_cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"tiktoken alone: {bare_wall:.2f} Mtokens/s, {bare_cpu:.2f} Mtokens per CPU second")
    print(f"prepare:        {our_wall:.2f} Mtokens/s, {our_cpu:.2f} Mtokens per CPU second")
    by_wall, by_cpu = (statistics.median(p[k + 1] / p[k] for p in pairs) for k in (0, 2))
    print(f"ratio: {by_wall:.2f} by wall clock, {by_cpu:.2f} by CPU time (medians over {len(pairs)} pairs)")


def through_the_command_line(source: str, tokenizer: str) -> None:
    """`cli.py prepare` with two workers from start to shards: seconds, and peak memory of its processes from /proc."""
    cli = Path(__file__).parents[1] / "cli.py"
    sizes = ["--large", "-1", "--small", "1000000", "--validation", "1000000"]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [
            sys.executable,
            str(cli),
            "prepare",
            "--folder",
            folder,
            "--source",
            source,
            "--workers",
            "2",
            *sizes,
        ]
        process = subprocess.Popen([*command, "--tokenizer", tokenizer], stderr=subprocess.DEVNULL)
        peaks: dict[int, int] = {}
        while process.poll() is None:
            peaks |= {pid: peak for pid in _family(process.pid) if (peak := _peak_mib(pid))}
            time.sleep(0.2)
        print(f"everything, two workers, from start to shards: {time.perf_counter() - started:.1f} s")
    own = peaks.pop(process.pid)
    print(f"peak memory: {own} MiB in the process that writes the shards, {max(peaks.values())} MiB in a worker")


def with_workers(source: Source, units: list[Unit], tokenizer: str, workers: int) -> tuple[float, float, float]:
    """Million tokens a second of wall clock from the first finished round to the end, the same of CPU, and start-up."""
    with tempfile.TemporaryDirectory() as folder:
        started, cpu = time.perf_counter(), _cpu_seconds()
        finished: list[tuple[float, int]] = []
        for _, totals in encode_units(EncodingJob(source, tokenizer, Path(folder)), units, workers=workers):
            finished.append((time.perf_counter(), totals.tokens))
        first = finished[workers - 1][0]
        tokens = sum(count for _, count in finished[workers:])
        everything = sum(count for _, count in finished)
        return tokens / (finished[-1][0] - first) / 1e6, everything / (_cpu_seconds() - cpu) / 1e6, first - started


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="folder or glob of parquet or jsonl files")
    parser.add_argument("--tokenizer", default="gpt2")
    parser.add_argument("--units", type=int, default=8, help="units of some 32 MiB of text in each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    source = TextFiles.local(options.source)
    units = list(source.units())[: options.units]
    against_tiktoken(source, units, options.tokenizer)
    rates: dict[int, list[tuple[float, float, float]]] = {1: [], 2: []}
    for _ in range(options.rounds):
        for workers, measured in rates.items():
            measured.append(with_workers(source, units, options.tokenizer, workers))
    for workers, measured in rates.items():
        wall, cpu, start = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"{workers} workers: {wall:.2f} Mtokens/s, {cpu:.2f} Mtokens per CPU second, start-up {start:.1f} s")
    print(f"scaling: {statistics.median(two[0] / one[0] for one, two in zip(rates[1], rates[2], strict=True)):.2f}")
    through_the_command_line(options.source, options.tokenizer)


def _timed(action: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds of wall clock, seconds of CPU, and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def _family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [pid, *map(int, children.read_text().split())] if children.exists() else [pid]


def _peak_mib(pid: int) -> int:
    """Peak resident memory of a process; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), 0)


def _cpu_seconds() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
