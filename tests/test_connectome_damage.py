"""Damaged files: always the one error, never another connectome, a crash, or memory that the file is too short for."""

import hashlib
import random
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from connectome import Connectome, ConnectomeFileError, load_connectome, save_connectome
from connectome.file import DIGEST_BYTES

COUNTS = [500, pytest.param(10_000, marks=pytest.mark.slow)]
MOST_MEMORY = 100e6  # bytes; a file of 1.5 kB may stand for 25 million weights of which none exists


def flip(content: bytearray, rng: random.Random) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def overwrite(content: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(content))
    content[begin : begin + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(1, 9))


def delete(content: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(content))
    del content[begin : begin + rng.randrange(1, 200)]


def insert(content: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(content))
    content[begin:begin] = rng.randbytes(rng.randrange(1, 200))


def another_digit(content: bytearray, rng: random.Random) -> None:
    digits = list(re.finditer(rb"[0-9]", content))
    if digits:
        content[rng.choice(digits).start()] = rng.choice(b"0123456789")


def truncate(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


MUTANTS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip,
    overwrite,
    delete,
    insert,
    another_digit,
    truncate,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Connectome, bytes]:
    """A connectome with groups in one matrix, and its file."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.zeros(64, 48, dtype=torch.int8)
    blocks[:32, :24] = 1
    chance = torch.randint(-1, 2, (9, 7), generator=generator, dtype=torch.int8)
    connectome = Connectome({"a": blocks, "b": chance, "c": -torch.ones(1, 1, dtype=torch.int8)}, {"n_layer": 1})
    path = tmp_path_factory.mktemp("damage") / "file"
    save_connectome(connectome, path, coder="grouped")
    return connectome, path.read_bytes()


def mutants(content: bytes, count: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    found = []
    while len(found) < count:
        mutant = bytearray(content)
        for _ in range(rng.choice((1, 1, 2, 5))):
            if mutant:
                rng.choice(MUTANTS)(mutant, rng)
        if mutant != content:
            found.append(bytes(mutant))
    return found


@pytest.mark.parametrize("count", COUNTS)
def test_a_mutated_file_is_always_refused(written: tuple[Connectome, bytes], count: int, tmp_path: Path) -> None:
    accepted = 0
    for mutant in mutants(written[1], count, seed=0):
        (tmp_path / "file").write_bytes(mutant)
        try:
            load_connectome(tmp_path / "file")
        except ConnectomeFileError:
            continue
        accepted += 1
    assert accepted == 0


@pytest.mark.parametrize("count", COUNTS)
def test_a_mutated_file_with_the_right_checksum_raises_the_one_error_or_is_another_connectome(
    written: tuple[Connectome, bytes], count: int, tmp_path: Path
) -> None:
    """Nobody's accident: the checksum was made for it. What is accepted is whole, and memory stays in proportion."""
    tracemalloc.start()
    try:
        for mutant in mutants(written[1][:-DIGEST_BYTES], count, seed=1):
            (tmp_path / "file").write_bytes(mutant + hashlib.sha256(mutant).digest())
            try:
                found = load_connectome(tmp_path / "file")
            except ConnectomeFileError:
                continue
            assert all(matrix.abs().max() <= 1 for matrix in found.matrices.values())
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()
