"""Groups of rows and columns: found where they are, not found where there are none."""

import base64
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from connectome import Connectome, independent_bits, load_connectome, save_connectome
from connectome.grouping import best_grouping, ungrouped


def two_by_two(rng: np.random.Generator) -> np.ndarray:
    """Of 256 shuffled rows and columns, half excite one half of the columns and inhibit the other."""
    signs = np.where((np.arange(256) < 128)[:, None] == (np.arange(256) < 128), 1, -1)
    matrix = (signs * (rng.random((256, 256)) < 0.3)).astype(np.int8)
    return matrix[rng.permutation(256)][:, rng.permutation(256)]


def random(rng: np.random.Generator, shape: tuple[int, int] = (256, 256)) -> np.ndarray:
    return rng.choice(np.array([-1, 0, 1], np.int8), shape, p=[0.13, 0.74, 0.13])


def test_counts_are_those_of_the_blocks() -> None:
    matrix = two_by_two(np.random.default_rng(0))
    found = best_grouping(matrix)
    for row in range(len(found.counts)):
        for column in range(len(found.counts)):
            block = matrix[found.rows == row][:, found.columns == column]
            assert found.counts[row, column].tolist() == [int((block == symbol).sum()) for symbol in (-1, 0, 1)]


def test_blocks_that_are_there_are_found() -> None:
    """In each block one sign never occurs: of H(0.15, 0.7, 0.15) = 1.18 bits H(0.3, 0.7) = 0.88 are left."""
    matrix = two_by_two(np.random.default_rng(0))
    assert best_grouping(matrix).bits / ungrouped(matrix).bits == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_in_a_random_matrix_no_groups_are_found(seed: int) -> None:
    matrix = random(np.random.default_rng(seed))
    assert best_grouping(matrix).counts.shape == (1, 1, 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 5), (4, 4), (8, 2000)])
def test_matrices_of_any_shape_are_grouped(shape: tuple[int, int], tmp_path: Path) -> None:
    matrix = torch.from_numpy(random(np.random.default_rng(0), shape))
    matrix[:, : shape[1] // 2] = 1
    save_connectome(Connectome({"a": matrix}), tmp_path / "file", coder="grouped")
    assert torch.equal(load_connectome(tmp_path / "file").matrices["a"], matrix)


def test_what_is_alike_costs_less_than_the_bound_of_independent_weights_and_chance_does_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = []
    for matrix in (two_by_two(rng), random(rng)):
        connectome = Connectome({"a": torch.from_numpy(matrix)})
        save_connectome(connectome, tmp_path / "file", coder="grouped")
        assert torch.equal(load_connectome(tmp_path / "file").matrices["a"], connectome.matrices["a"])
        sizes.append(8 * os.path.getsize(tmp_path / "file") / independent_bits(connectome))
    assert sizes[0] < 0.85
    assert 1 < sizes[1] < 1.07


def test_a_random_connectome_costs_its_bound_whatever_the_coder(tmp_path: Path) -> None:
    matrix = torch.from_numpy(random(np.random.default_rng(0), (2048, 1024)))
    connectome = Connectome({"a": matrix})
    for coder in ("independent", "grouped"):
        save_connectome(connectome, tmp_path / "file", coder=coder)
        assert 1 < 8 * os.path.getsize(tmp_path / "file") / independent_bits(connectome) < 1.003  # a header in it


WRITTEN_EARLIER = """
Q05DVE9NRQoCAAAABQEAAHsiYXJjaGl0ZWN0dXJlIjogeyJuX2xheWVyIjogMX0sICJtYXRyaWNlcyI6IFt7Imdyb3VwcyI6IDQsICJrZXB0
IjogNzY5LCAibmFtZSI6ICJhIiwgInNoYXBlIjogWzMyLCA0OF19LCB7Imdyb3VwcyI6IDEsICJrZXB0IjogMiwgIm5hbWUiOiAiYiIsICJz
aGFwZSI6IFsxLCAzXX1dLCAicHJvdmVuYW5jZSI6IHsiZGF0YSI6ICIiLCAiZ2VuZXJhdGlvbiI6IDIsICJub3RlIjogIiIsICJzZWVkIjog
MSwgInN0ZXAiOiBudWxsLCAidG9rZW5pemVyIjogIiJ9fRVVVVWqqqqrAAAAAAAAqqqqqqqqqwBUD/4PAQABAAEA/g8BAAEA/g/+DwEAAQAB
AP4PAQABAAEA/g8BAP4PAQD+DwEAAQCrAP4PAQD+DwEA/g8BAFYFVQUAAAAAgrBNAKRdAwC6SwMA2hwBANocAQDaHAEA2hwBANocAQAeEgEA
HhIBAB4SAQAeEgEAHhIBAB4SAQAeEgEAHhIBANocAQDaHAEA2hwBAKWbGQDaHAEA2hwBANocAQDaHAEA1hABANYQAQDWEAEA1hABANYQAQDW
EAEA1hABANYQAQBKgfplSqe+AW2gpUhpEsLt22oUUyw0I7jhJ3k0EYhqGQ==
"""


def test_a_file_of_version_2_that_was_written_earlier_means_the_same(tmp_path: Path) -> None:
    """Two blocks of one sign in four groups, and two single weights: the format cannot drift unnoticed."""
    path = tmp_path / "file"
    path.write_bytes(base64.b64decode(WRITTEN_EARLIER))
    expected = torch.zeros(32, 48, dtype=torch.int8)
    expected[:16, :24] = 1
    expected[16:, 24:] = -1
    expected[0, 0], expected[31, 3] = -1, 1
    loaded = load_connectome(path)
    assert torch.equal(loaded.matrices["a"], expected)
    assert loaded.matrices["b"].tolist() == [[1, 0, -1]]
    save_connectome(loaded, path, coder="grouped")
    assert path.read_bytes() == base64.b64decode(WRITTEN_EARLIER)
