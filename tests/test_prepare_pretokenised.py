"""Other people's shards: which file becomes what, and texts that recur across them."""

import logging

import numpy as np
import pytest

from datamodules.manifest import Manifest, describe_part
from datamodules.preparing import patience
from datamodules.preparing.parts import SourceTooSmallError
from datamodules.preparing.patience import with_patience
from datamodules.preparing.prepare import prepare
from datamodules.preparing.pretokenised import PretokenisedShards
from datamodules.preparing.recurring_texts import text_hashes
from datamodules.preparing.verification import verify_folder
from datamodules.token_shards import find_shards, write_shard

END = 50256
SIZES = {"validation": 100, "small": 50, "large": 250}


@pytest.fixture
def public(tmp_path):
    """Six shards of 100 tokens, each ten texts of nine tokens: one for validation and five for training."""
    folder = tmp_path / "public"
    for number, name in enumerate(
        ["val_000000", "train_000001", "train_000002", "train_000003", "train_000004", "train_000005"]
    ):
        texts = [[END, *range(first, first + 9)] for first in range(number * 1000, number * 1000 + 100, 10)]
        write_shard(folder / f"fineweb_{name}.bin", np.concatenate(texts))
    return folder


def fetched(public, tmp_path, **options):
    prepare(str(tmp_path / "out"), source=str(public), **(SIZES | options))
    return tmp_path / "out"


def files(folder):
    return {
        part: [path.name[-10:-4] for path in find_shards(folder, part)] for part in SIZES if (folder / part).exists()
    }


def test_validation_is_the_val_shard_then_small_then_large(public, tmp_path):
    folder = fetched(public, tmp_path)
    assert files(folder) == {"validation": ["000000"], "small": ["000001"], "large": ["000002", "000003", "000004"]}
    assert not (folder / "unfinished").exists()


def test_no_shard_serves_twice_when_none_is_called_val(public, tmp_path):
    (public / "fineweb_val_000000.bin").rename(public / "fineweb_train_000000.bin")
    assert files(fetched(public, tmp_path)) == {
        "validation": ["000000"],
        "small": ["000001"],
        "large": ["000002", "000003", "000004"],
    }


def test_shards_are_copied_to_the_byte_and_described(public, tmp_path):
    folder = fetched(public, tmp_path)
    for part in SIZES:
        for path in find_shards(folder, part):
            assert path.read_bytes() == (public / path.name).read_bytes()
    assert describe_part(find_shards(folder, "large")).tokenizer == "gpt2"
    assert Manifest.read(folder / "large").documents == 30
    verify_folder(folder)


def test_large_of_minus_one_takes_every_shard_left(public, tmp_path):
    assert files(fetched(public, tmp_path, large=-1))["large"] == ["000002", "000003", "000004", "000005"]


def test_texts_in_two_parts_are_counted_recorded_and_warned_about(public, tmp_path, caplog):
    again = np.fromfile(public / "fineweb_val_000000.bin", "<u2")[512:532]  # two texts
    write_shard(public / "fineweb_train_000003.bin", np.concatenate([again, [END, 7, 7]]))
    with caplog.at_level(logging.WARNING):
        folder = fetched(public, tmp_path, large=150)
    assert "2 texts are in both validation and large" in caplog.text
    assert Manifest.read(folder / "small").source["recurring_texts"] == {
        "validation and small": 0,
        "validation and large": 2,
        "small and large": 0,
    }
    verify_folder(folder)  # what is on record is no fault


def test_too_few_shards_say_how_many_tokens_there_are(public, tmp_path):
    with pytest.raises(SourceTooSmallError, match=r"leave 400 tokens for large, asked for were 401; .*--large 400"):
        fetched(public, tmp_path, large=401)
    assert not (tmp_path / "out" / "large").exists()


def test_a_truncated_shard_is_told_and_the_rest_is_fetched_the_next_time(public, tmp_path):
    path = public / "fineweb_train_000004.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])
    with pytest.raises(ValueError, match="is truncated or damaged: its header announces 100 tokens"):
        fetched(public, tmp_path)
    kept = tmp_path / "out" / "unfinished" / "large" / "fineweb_train_000002.bin"
    before = kept.stat().st_ino
    path.write_bytes(whole)
    folder = fetched(public, tmp_path)
    assert (folder / "large" / kept.name).stat().st_ino == before


def test_fetching_again_changes_nothing_and_another_size_is_refused(public, tmp_path):
    folder = fetched(public, tmp_path)
    before = {path: path.stat().st_ino for path in folder.rglob("*.bin")}
    fetched(public, tmp_path)
    with pytest.raises(FileExistsError, match="holds something else than"):
        fetched(public, tmp_path, large=350)
    assert {path: path.stat().st_ino for path in folder.rglob("*.bin")} == before


def test_a_foreign_file_is_refused_by_its_header(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\0" * 2000)
    with pytest.raises(ValueError, match="is no token shard: its header starts with"):
        PretokenisedShards.local(str(tmp_path), "gpt2").assign(SIZES)


def test_a_text_that_runs_on_into_the_next_shard_counts_once_and_whole(tmp_path):
    write_shard(tmp_path / "whole.bin", [1, 2, END, 3, 4, 5, 6, END, 7])
    write_shard(tmp_path / "a.bin", [1, 2, END, 3, 4])
    write_shard(tmp_path / "b.bin", [5, 6, END, 7])
    documents, hashes = text_hashes([tmp_path / "whole.bin"], END)
    cut_documents, cut_hashes = text_hashes([tmp_path / "a.bin", tmp_path / "b.bin"], END)
    assert documents == cut_documents == len(hashes) == 2
    assert hashes.tolist() == cut_hashes.tolist()


def test_the_network_is_tried_again_after_ever_longer_waits(monkeypatch):
    waits, calls = [], []
    monkeypatch.setattr(patience.time, "sleep", waits.append)

    def third_time():
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("reset")
        return "here"

    assert with_patience(third_time, "a file", first_wait=1) == "here"
    assert waits == [1, 2]


@pytest.mark.parametrize("error", [ValueError("foreign"), OSError(28, "No space left on device")])
def test_what_is_not_the_networks_fault_is_not_tried_again(monkeypatch, error):
    waits = []
    monkeypatch.setattr(patience.time, "sleep", waits.append)

    def fail():
        raise error

    with pytest.raises(type(error)):
        with_patience(fail, "a file")
    assert waits == []


def test_a_network_that_stays_away_is_told_in_the_end(monkeypatch):
    waits = []
    monkeypatch.setattr(patience.time, "sleep", waits.append)

    def fail():
        raise ConnectionError("no route")

    with pytest.raises(ConnectionError, match="no route"):
        with_patience(fail, "a file", attempts=4, first_wait=1)
    assert waits == [1, 2, 4]
