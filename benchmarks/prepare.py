"""How fast documents become tokens, against tiktoken alone; from one worker to two; and in how much memory.

python benchmarks/prepare.py --source 'data/corpus/*.parquet'
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from datamodules.documents import Source, TextFiles, Unit
from datamodules.encoded_unit import encode_unit
from datamodules.encoding_workers import EncodingJob, encode_units
from datamodules.prepare import prepare
from datamodules.tokenizer import get_tokenizer


def against_tiktoken(source: Source, units: Iterable[Unit], tokenizer: str) -> dict[str, float]:
    """One process: a unit through `encode_ordinary_batch` alone, then the same one read, hashed, encoded and written.

    Returns:
        Million tokens a second of both (medians over units) and their ratio (median of the ratios).
    """
    encoding = get_tokenizer(tokenizer)
    bare: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for unit in units:
            texts = [str(row.text) for batch in source.read(unit) for row in batch]
            seconds, lists = _timed(lambda texts=texts: encoding.encode_ordinary_batch(texts, num_threads=1))
            tokens = sum(map(len, lists)) / 1e6
            bare.append(tokens / seconds)
            del lists
            seconds, _ = _timed(lambda unit=unit: encode_unit(source, unit, encoding, Path(folder)))
            ours.append(tokens / seconds)
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    return {
        "bare Mtokens/s": statistics.median(bare),
        "prepare Mtokens/s": statistics.median(ours),
        "ratio": statistics.median(ratios),
    }


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
    print(against_tiktoken(source, units, options.tokenizer))
    rates: dict[int, list[tuple[float, float, float]]] = {1: [], 2: []}
    for _ in range(options.rounds):
        for workers, measured in rates.items():
            measured.append(with_workers(source, units, options.tokenizer, workers))
    for workers, measured in rates.items():
        wall, cpu, start = (statistics.median(column) for column in zip(*measured, strict=True))
        print(
            f"{workers} workers: {wall:.2f} Mtokens/s, {cpu:.2f} Mtokens per CPU second, first round after {start:.1f} s"
        )
    print(f"scaling: {statistics.median(two[0] / one[0] for one, two in zip(rates[1], rates[2], strict=True)):.2f}")
    print(f"largest worker: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB resident")
    with tempfile.TemporaryDirectory() as folder:
        seconds, _ = _timed(
            lambda: prepare(
                folder, options.source, tokenizer=options.tokenizer, large=-1, small=10**6, validation=10**6, workers=2
            )
        )
    print(f"everything, two workers, from start to shards: {seconds:.1f} s")
    print(f"this process, which wrote the shards: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _timed(action: Callable[[], object]) -> tuple[float, list]:
    started = time.perf_counter()
    result = action()
    return time.perf_counter() - started, result if isinstance(result, list) else []


def _cpu_seconds() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
