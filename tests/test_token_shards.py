"""Token shards: llm.c's format byte by byte, windows, and the words for each kind of damage."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.token_shards import HEADER_BYTES, ShardError, TokenShards, find_shards, open_shard, write_shard


def header(magic: int = 20240520, version: int = 1, tokens: int = 0) -> bytes:
    """256 little-endian int32, of which llm.c sets three."""
    return struct.pack("<256i", magic, version, tokens, *[0] * 253)


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Shards of the tokens 0 to 8, 9 to 10, and 11 to 19: at windows of 4 tokens they hold 2, 0 and 2."""
    paths = [tmp_path / f"part_{index}.bin" for index in range(3)]
    for path, (first, end) in zip(paths, [(0, 9), (9, 11), (11, 20)], strict=True):
        write_shard(path, range(first, end))
    return paths


def test_a_shard_is_what_llm_c_writes(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.bin", [1, 256, 50256])
    assert (tmp_path / "a.bin").read_bytes() == header(tokens=3) + b"\x01\x00\x00\x01\x50\xc4"


def test_a_shard_of_llm_c_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(header(tokens=2) + b"\x50\xc4\x07\x00")
    assert open_shard(tmp_path / "a.bin").tolist() == [50256, 7]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64, ">u2"])
def test_tokens_come_back_whatever_integers_they_were(tmp_path: Path, dtype: str) -> None:
    write_shard(tmp_path / "a.bin", np.array([0, 1, 258, 65535], dtype))
    assert open_shard(tmp_path / "a.bin").tolist() == [0, 1, 258, 65535]


@pytest.mark.parametrize("tokens", [[-1, 5], [5, 65536]])
def test_a_token_that_needs_more_than_16_bits_is_refused(tmp_path: Path, tokens: list[int]) -> None:
    with pytest.raises(ValueError, match="16-bit tokens, found ids from"):
        write_shard(tmp_path / "a.bin", tokens)
    assert not list(tmp_path.iterdir())


def test_a_shard_is_mapped_not_read(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.bin", [1, 2])
    shard = open_shard(tmp_path / "a.bin")
    assert isinstance(shard.base, np.memmap)
    assert not shard.flags.writeable


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        header()[:1023],
        header(magic=20240801, tokens=2) + bytes(4),
        header(version=2, tokens=2) + bytes(4),
        struct.pack(">256i", 20240520, 1, 2, *[0] * 253) + bytes(4),
        b"plain text of more than a header " * 40,
    ],
    ids=["empty", "one byte", "half a header", "llama's magic", "version 2", "big endian", "text"],
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(ShardError, match=r"a\.bin is not a token shard: .* instead of \[20240520, 1\]"):
        open_shard(tmp_path / "a.bin")


@pytest.mark.parametrize("size", [HEADER_BYTES, HEADER_BYTES + 7, HEADER_BYTES + 9, HEADER_BYTES + 10])
def test_a_shard_that_disagrees_with_its_count_is_refused(tmp_path: Path, size: int) -> None:
    (tmp_path / "a.bin").write_bytes((header(tokens=4) + bytes(100))[:size])
    with pytest.raises(ShardError, match=f"announces 4 tokens, 1,032 bytes, but the file has {size:,}"):
        open_shard(tmp_path / "a.bin")


@pytest.mark.parametrize("tokens", [0, -4])
def test_a_shard_without_tokens_is_refused(tmp_path: Path, tokens: int) -> None:
    (tmp_path / "a.bin").write_bytes(header(tokens=tokens))
    with pytest.raises(ShardError, match=f"announces {tokens} tokens"):
        open_shard(tmp_path / "a.bin")


def test_windows_share_one_token_with_the_next_and_stay_within_a_shard(three: list[Path]) -> None:
    shards = TokenShards(three, 4)
    assert len(shards) == 4
    assert shards.read([0, 1, 2, 3]).tolist() == [
        [0, 1, 2, 3, 4],
        [4, 5, 6, 7, 8],
        [11, 12, 13, 14, 15],
        [15, 16, 17, 18, 19],
    ]


def test_every_token_but_a_tail_is_a_target_once(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.bin", range(103))
    shards = TokenShards([tmp_path / "a.bin"], 10)
    assert shards.read(range(len(shards)))[:, 1:].flatten().tolist() == list(range(1, 101))


@pytest.mark.parametrize(("tokens", "windows"), [(5, 1), (8, 1), (9, 2), (12, 2), (13, 3)])
def test_a_window_needs_one_token_more_than_its_length(tmp_path: Path, tokens: int, windows: int) -> None:
    write_shard(tmp_path / "a.bin", range(tokens))
    assert len(TokenShards([tmp_path / "a.bin"], 4)) == windows


def test_shards_without_one_window_are_refused(tmp_path: Path) -> None:
    for name in ("a.bin", "b.bin"):
        write_shard(tmp_path / name, range(4))
    with pytest.raises(ShardError, match=r"8 tokens in 2 shards hold no window of 4 \+ 1"):
        TokenShards([tmp_path / "a.bin", tmp_path / "b.bin"], 4)


@pytest.mark.parametrize("windows", [[3, 0], np.array([3, 0])])
def test_windows_are_read_in_the_order_asked_for(three: list[Path], windows: list[int]) -> None:
    assert TokenShards(three, 4).read(windows)[:, 0].tolist() == [15, 0]


def test_what_is_read_is_a_copy_of_64_bit_tokens(three: list[Path]) -> None:
    shards = TokenShards(three, 4)
    batch = shards.read([0])
    assert batch.dtype == torch.int64
    batch.zero_()
    assert shards.read([0]).tolist() == [[0, 1, 2, 3, 4]]


def test_large_ids_are_not_read_as_negative(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.bin", [65535, 50256, 32768])
    assert TokenShards([tmp_path / "a.bin"], 2).read([0]).tolist() == [[65535, 50256, 32768]]


def test_a_window_beyond_the_last_is_an_error(three: list[Path]) -> None:
    with pytest.raises(IndexError):
        TokenShards(three, 4).read([4])


def test_all_tokens_are_counted_tails_included(three: list[Path]) -> None:
    assert TokenShards(three, 4).n_tokens == 20


def test_ten_gigabytes_are_opened_without_reading_them(tmp_path: Path) -> None:
    """100 sparse shards of 100 MB; reading them would take their size of memory and some seconds."""
    for index in range(100):
        path = tmp_path / f"{index:03d}.bin"
        path.write_bytes(header(tokens=50_000_000))
        with open(path, "r+b") as file:
            file.truncate(HEADER_BYTES + 100_000_000)
    shards = TokenShards(find_shards(tmp_path, "."), 1024)
    assert shards.n_tokens == 5_000_000_000
    assert shards.read([len(shards) - 1]).count_nonzero() == 0


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("large", ["b_10.bin", "b_2.bin"]),
        ("large/*.bin", ["b_10.bin", "b_2.bin"]),
        ("*/b_?.bin", ["b_2.bin"]),
        ("large/b_10.bin", ["b_10.bin"]),
    ],
)
def test_a_part_is_a_folder_a_glob_or_a_file(tmp_path: Path, part: str, names: list[str]) -> None:
    for name in ("b_2.bin", "b_10.bin", "manifest.json"):
        write_shard(tmp_path / "large" / name, [1])
    assert [path.name for path in find_shards(tmp_path, part)] == names


def test_shards_are_found_in_order_of_name(tmp_path: Path) -> None:
    for name in ("c.bin", "a.bin", "b.bin"):
        write_shard(tmp_path / name, [1])
    assert [path.name for path in find_shards(tmp_path, ".")] == ["a.bin", "b.bin", "c.bin"]


def test_an_absolute_part_stands_for_itself(tmp_path: Path) -> None:
    write_shard(tmp_path / "elsewhere" / "a.bin", [1])
    assert find_shards("nowhere", str(tmp_path / "elsewhere")) == [tmp_path / "elsewhere" / "a.bin"]


def test_a_file_that_a_killed_writer_left_is_not_a_shard(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.bin", [1])
    (tmp_path / ".b.bin.partial").write_bytes(b"")
    assert [path.name for path in find_shards(tmp_path, ".")] == ["a.bin"]


def test_a_folder_whose_name_has_brackets_is_found(tmp_path: Path) -> None:
    """What a person calls the folder is not a pattern."""
    write_shard(tmp_path / "data [v2]" / "large" / "a.bin", [1])
    assert len(find_shards(tmp_path / "data [v2]", "large")) == 1
    assert len(find_shards(tmp_path / "data [v2]", "large/*.bin")) == 1
    assert len(find_shards(tmp_path / "data [v2]", "large/a.bin")) == 1


@pytest.mark.parametrize(
    ("part", "state"),
    [
        ("empty", r"empty: the folder holds no \*\.bin"),
        ("missing", "missing: there is no such folder or file"),
        ("empty/x_*.bin", r"x_\*\.bin: no file matches"),
    ],
)
def test_where_nothing_is_found_the_message_says_what_to_do(tmp_path: Path, part: str, state: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=rf"no token shards at .*{state}; .*cli\.py prepare --folder"):
        find_shards(tmp_path, part)
