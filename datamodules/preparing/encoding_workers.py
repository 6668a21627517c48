"""Units of a source through the tokenizer, by one process or several; what is on disk already is left alone."""

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import NamedTuple

import tiktoken

from datamodules.preparing.documents import Source, Unit
from datamodules.preparing.encoded_unit import EncodedUnit, encode_unit, read_unit
from datamodules.preparing.patience import with_patience
from datamodules.tokenizer import get_tokenizer

__all__ = ["EncodingJob", "UnitTotals", "count_complete", "encode_units"]


class UnitTotals(NamedTuple):
    """What became of one unit.

    Args:
        documents: number of documents in it.
        tokens: number of their tokens.
        fresh: whether it was tokenised now, rather than found complete.
    """

    documents: int
    tokens: int
    fresh: bool


@dataclass(frozen=True)
class EncodingJob:
    """One source, one tokenizer and one folder for the units: all that a worker must know.

    Args:
        source: the documents.
        tokenizer: name of the tokenizer.
        folder: where the units go.
        attempts: how often a unit that is read over the network is tried.
        first_wait: seconds before the second attempt; doubled for each further one.
    """

    source: Source
    tokenizer: str
    folder: Path
    attempts: int = 6
    first_wait: float = 2.0

    def __call__(self, unit: Unit) -> UnitTotals:
        """Encode one unit, unless it is complete; a network's failures are tried again."""
        found = read_unit(self.folder, unit.number)
        if found is not None:
            return UnitTotals(found.lengths.size, found.tokens, fresh=False)
        attempts = self.attempts if unit.file.startswith("hf://") else 1
        encoded = with_patience(lambda: self._encode(unit), unit.file, attempts=attempts, first_wait=self.first_wait)
        return UnitTotals(encoded.lengths.size, encoded.tokens, fresh=True)

    def _encode(self, unit: Unit) -> EncodedUnit:
        return encode_unit(self.source, unit, _encoding(self.tokenizer), self.folder)


def encode_units(job: EncodingJob, units: Iterable[Unit], *, workers: int) -> Generator[tuple[Unit, UnitTotals]]:
    """Encode units as they come; yields each as it is finished. Closing the iterator stops after those in work.

    Args:
        job: what to do with each.
        units: taken in order, a few ahead of what is finished.
        workers: processes; 1 works in this one.
    """
    if workers == 1:
        for unit in units:
            yield unit, job(unit)
        return
    # "spawn" takes seconds to start, but neither Arrow's threads nor an open connection survive a fork
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_with_parent) as pool:
        running: dict[Future[UnitTotals], Unit] = {}
        try:
            for unit in units:
                running[pool.submit(job, unit)] = unit
                if len(running) > workers:  # one waits, so that nobody does
                    yield from _finished(running)
            while running:
                yield from _finished(running)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def count_complete(folder: Path) -> tuple[int, int]:
    """Units complete in a folder, and their tokens."""
    numbers = [int(path.stem) for path in folder.glob("*.index")]
    units = [unit for number in numbers if (unit := read_unit(folder, number)) is not None]
    return len(units), sum(unit.tokens for unit in units)


def _finished(running: dict[Future[UnitTotals], Unit]) -> Iterator[tuple[Unit, UnitTotals]]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future.result()


@lru_cache(maxsize=1)
def _encoding(name: str) -> tiktoken.Encoding:
    return get_tokenizer(name)


def _end_with_parent() -> None:
    """Let this worker end when its parent is killed, rather than wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.join,), daemon=True).start()


def _exit_after(join: Callable[[], None]) -> None:
    join()
    os._exit(1)
