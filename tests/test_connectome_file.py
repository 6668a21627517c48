"""One connectome as one file: what comes back, and what is refused with which words."""

import hashlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from connectome import Connectome, ConnectomeFileError, Provenance, load_connectome, save_connectome
from connectome.file import DIGEST_BYTES, FIXED, MAGIC, VERSION

EVERYTHING_KNOWN = Provenance(5, 3, 42_000, "f00d", "gpt2", "a note, in UTF-8: ±0.02")


@pytest.fixture
def connectome() -> Connectome:
    """Two matrices whose numbers of weights are no multiples of eight."""
    generator = torch.Generator().manual_seed(0)
    matrices = {
        "transformer.wte.weight": torch.randint(-1, 2, (7, 9), generator=generator, dtype=torch.int8),
        "transformer.h.0.attn.c_attn.weight": torch.randint(-1, 2, (5, 3), generator=generator, dtype=torch.int8),
    }
    return Connectome(matrices, {"n_layer": 1, "tied_embeddings": True}, EVERYTHING_KNOWN)


@pytest.fixture
def path(connectome: Connectome, tmp_path: Path) -> Path:
    """The same, written."""
    path = tmp_path / "generation_5.connectome"
    save_connectome(connectome, path)
    return path


def sign(body: bytes) -> bytes:
    """A body with the checksum that belongs to it: damage that was made on purpose."""
    return body + hashlib.sha256(body).digest()


def with_header(path: Path, change: Callable[[dict[str, Any]], object], payload: bytes | None = None) -> Path:
    """The file with another header, and a right checksum."""
    body = path.read_bytes()[:-DIGEST_BYTES]
    length = FIXED.unpack_from(body)[2]
    header = json.loads(body[FIXED.size : FIXED.size + length])
    change(header)
    text = json.dumps(header).encode()
    rest = body[FIXED.size + length :] if payload is None else payload
    path.write_bytes(sign(FIXED.pack(MAGIC, VERSION, len(text)) + text + rest))
    return path


def test_what_was_saved_comes_back(connectome: Connectome, path: Path) -> None:
    loaded = load_connectome(path)
    assert list(loaded.matrices) == list(connectome.matrices)
    assert all(torch.equal(loaded.matrices[name], matrix) for name, matrix in connectome.matrices.items())
    assert loaded.architecture == {"n_layer": 1, "tied_embeddings": True}
    assert loaded.provenance == EVERYTHING_KNOWN


@pytest.mark.parametrize("value", [-1, 0, 1])
@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (3, 3), (2, 12)])
def test_matrices_of_one_value_come_back(value: int, shape: tuple[int, int], tmp_path: Path) -> None:
    matrix = torch.full(shape, value, dtype=torch.int8)
    save_connectome(Connectome({"a": matrix}), tmp_path / "file")
    assert torch.equal(load_connectome(tmp_path / "file").matrices["a"], matrix)


def test_a_transposed_matrix_comes_back_as_it_looks(tmp_path: Path) -> None:
    matrix = torch.tensor([[1, 0, -1], [0, 1, 1]], dtype=torch.int8).t()
    save_connectome(Connectome({"a": matrix}), tmp_path / "file")
    assert load_connectome(tmp_path / "file").matrices["a"].tolist() == [[1, 0], [0, 1], [-1, 1]]


def test_a_loaded_connectome_can_be_used_like_any_other(path: Path) -> None:
    loaded = load_connectome(path)
    assert loaded.overlap(loaded).jaccard == 1.0
    loaded.matrices["transformer.wte.weight"].clone().zero_()


def test_equal_connectomes_give_equal_bytes(connectome: Connectome, path: Path, tmp_path: Path) -> None:
    save_connectome(load_connectome(path), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("coder", ["independent", "grouped"])
def test_both_coders_give_back_what_they_were_given(
    connectome: Connectome, coder: Literal["independent", "grouped"], tmp_path: Path
) -> None:
    save_connectome(connectome, tmp_path / "file", coder=coder)
    loaded = load_connectome(tmp_path / "file")
    assert all(torch.equal(loaded.matrices[name], matrix) for name, matrix in connectome.matrices.items())


def test_files_of_version_1_are_still_read(tmp_path: Path) -> None:
    """Two bytes of payload: which of the 6 weights exist, then which of those 3 are excitatory."""
    header = {
        "architecture": {"n_layer": 1},
        "provenance": {"generation": 2},
        "matrices": [{"name": "a", "shape": [2, 3], "kept": 3}],
    }
    text = json.dumps(header).encode()
    (tmp_path / "old").write_bytes(sign(FIXED.pack(MAGIC, 1, len(text)) + text + bytes([0b10110000, 0b10100000])))
    loaded = load_connectome(tmp_path / "old")
    assert loaded.matrices["a"].tolist() == [[1, 0, -1], [1, 0, 0]]
    assert (loaded.architecture, loaded.provenance) == ({"n_layer": 1}, Provenance(2))


def test_saving_replaces_an_older_file(connectome: Connectome, path: Path) -> None:
    save_connectome(Connectome({"a": torch.ones(1, 1, dtype=torch.int8)}), path)
    assert list(load_connectome(path).matrices) == ["a"]
    assert list(path.parent.iterdir()) == [path]


def test_a_save_that_fails_leaves_the_older_file(
    connectome: Connectome, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_connectome(connectome.random_like(0), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no connectome at .*generation_0\.connectome"):
        load_connectome(tmp_path / "generation_0.connectome")


@pytest.mark.parametrize("content", [b"", b"CNCTOME\n", b"PK\x03\x04" + bytes(100), b"{}" * 50, b"CNCTOME\r" * 10])
def test_a_foreign_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ConnectomeFileError, match="file is not a connectome file"):
        load_connectome(tmp_path / "file")


def test_a_newer_version_is_refused_before_anything_else_is_believed(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(MAGIC + struct.pack("<I", VERSION + 1) + content[12:])
    with pytest.raises(ConnectomeFileError, match=rf"format version {VERSION + 1}, .* up to {VERSION}: update"):
        load_connectome(path)


@pytest.mark.parametrize("lost", [1, 2, DIGEST_BYTES, DIGEST_BYTES + 1, 60])
def test_a_truncated_file_is_refused(path: Path, lost: int) -> None:
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(ConnectomeFileError, match="truncated or damaged"):
        load_connectome(path)


def test_a_longer_file_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ConnectomeFileError, match="truncated or damaged"):
        load_connectome(path)


def test_every_single_flipped_bit_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ConnectomeFileError):
            load_connectome(path)


def absurd_shape(header: dict[str, Any]) -> None:
    header["matrices"][0]["shape"] = [2**40, 2**20]


def negative_shape(header: dict[str, Any]) -> None:
    header["matrices"][0].update(shape=[-7, -9])


def shape_of_three(header: dict[str, Any]) -> None:
    header["matrices"][0]["shape"] = [7, 3, 3]


def unheard_of_groups(header: dict[str, Any]) -> None:
    header["matrices"][0]["groups"] = 3


def many_groups(header: dict[str, Any]) -> None:
    header["matrices"][0]["groups"] = 2**60


def wrong_count(header: dict[str, Any]) -> None:
    header["matrices"][0]["kept"] += 1


def the_same_name_twice(header: dict[str, Any]) -> None:
    header["matrices"][1] |= {"name": header["matrices"][0]["name"]}


@pytest.mark.parametrize(
    "change",
    [
        absurd_shape,
        negative_shape,
        shape_of_three,
        unheard_of_groups,
        many_groups,
        wrong_count,
        the_same_name_twice,
        lambda header: header["matrices"].clear(),
        lambda header: header["matrices"].pop(),
        lambda header: header["matrices"][0].pop("name"),
        lambda header: header["matrices"].__setitem__(0, None),
        lambda header: header.pop("matrices"),
        lambda header: header.pop("provenance"),
        lambda header: header.update(provenance={"unknown": 1}),
        lambda header: header.update(architecture=None),
        lambda header: header.update(matrices=3),
    ],
)
def test_a_header_that_describes_no_connectome_is_refused(
    path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    """Also where its checksum is right; and no length in it is believed before the file has shown as many bytes."""
    with pytest.raises(ConnectomeFileError, match="does not describe a connectome"):
        load_connectome(with_header(path, change))


@pytest.mark.parametrize("payload", [b"", b"\xff", bytes(100)])
def test_a_payload_of_another_length_is_refused(path: Path, payload: bytes) -> None:
    with pytest.raises(ConnectomeFileError, match="does not describe a connectome"):
        load_connectome(with_header(path, lambda header: None, payload))


@pytest.mark.parametrize("header", [b"", b"not json", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_header_that_is_no_json_object_is_refused(path: Path, header: bytes) -> None:
    path.write_bytes(sign(FIXED.pack(MAGIC, VERSION, len(header)) + header))
    with pytest.raises(ConnectomeFileError, match="does not describe a connectome"):
        load_connectome(path)


def test_a_header_longer_than_the_file_is_refused(path: Path) -> None:
    body = path.read_bytes()[:-DIGEST_BYTES]
    path.write_bytes(sign(FIXED.pack(MAGIC, VERSION, 2**32 - 1) + body[FIXED.size :]))
    with pytest.raises(ConnectomeFileError, match="does not describe a connectome"):
        load_connectome(path)
