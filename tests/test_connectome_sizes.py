"""Sizes of connectome files, from their headers."""

from pathlib import Path

import pytest
import torch

from connectome import Connectome, Provenance, independent_bits, save_connectome
from figures.connectome_sizes import bits_per_weight, read_coded


def test_entropy_of_a_quarter_and_a_half_of_the_weights() -> None:
    assert bits_per_weight(0.5) == 1.5  # 1/2, 1/4, 1/4
    assert bits_per_weight(0.25) == pytest.approx(1.0613, abs=1e-4)  # the paper's 16.4 MB for 124M weights
    assert (bits_per_weight(0), bits_per_weight(1)) == (0, 1)


def test_the_header_gives_what_the_weights_give(tmp_path: Path) -> None:
    signs = torch.tensor([[1, -1, 0, 0, 0, 0, 1, -1]] * 8, dtype=torch.int8)
    wiring = Connectome({"a": signs, "b": signs.abs() * signs}, {"width": 8}, Provenance(generation=0))
    save_connectome(wiring, tmp_path / "generation_0.connectome")
    coded = read_coded(tmp_path / "generation_0.connectome")
    assert (coded.weights, coded.kept, coded.dense_bytes) == (128, 64, 256)
    assert coded.bound_bytes == pytest.approx(independent_bits(wiring) / 8)
    assert coded.file_bytes == (tmp_path / "generation_0.connectome").stat().st_size


@pytest.mark.parametrize("content", [b"", b"something else entirely", b"CNCTOME\n" + bytes(8)])
def test_a_file_that_is_no_connectome_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "generation_0.connectome"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"generation_0\.connectome is no connectome file or damaged"):
        read_coded(path)
