"""Manifests against the shards beside them."""

import hashlib
import json

import pytest

from datamodules.manifest import Manifest, ShardEntry, describe_part, shard_entry
from datamodules.token_shards import ShardError, write_shard


@pytest.fixture
def part(tmp_path):
    """Two shards of 4 and 2 tokens with their manifest."""
    write_shard(tmp_path / "a.bin", [9, 1, 2, 3])
    write_shard(tmp_path / "b.bin", [9, 4])
    entries = tuple(shard_entry(tmp_path / name) for name in ("a.bin", "b.bin"))
    Manifest("bytes", 2, entries, {"name": "test"}, "f").write(tmp_path)
    return tmp_path


def paths(part):
    return sorted(part.glob("*.bin"))


def test_an_entry_counts_tokens_and_hashes_the_file(part):
    digest = hashlib.sha256((part / "a.bin").read_bytes()).hexdigest()
    assert shard_entry(part / "a.bin") == ShardEntry("a.bin", 4, 9, digest)


def test_a_manifest_reads_back_as_written(part):
    manifest = Manifest.read(part)
    assert (manifest.tokenizer, manifest.documents, manifest.tokens) == ("bytes", 2, 6)
    assert (manifest.source, manifest.tokenizer_fingerprint) == ({"name": "test"}, "f")


def test_where_there_is_none_nothing_is_read(tmp_path):
    assert Manifest.read(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"shards": [{}]}', '{"shards": [], "tokenizer": "x"}'])
def test_a_foreign_manifest_is_refused(part, text):
    (part / "manifest.json").write_text(text)
    with pytest.raises(ShardError, match="is not a manifest that this program wrote"):
        Manifest.read(part)


def test_an_older_manifest_without_a_tokenizer_fingerprint_is_read(part):
    content = json.loads((part / "manifest.json").read_text())
    del content["tokenizer_fingerprint"]
    (part / "manifest.json").write_text(json.dumps(content))
    assert Manifest.read(part).tokenizer_fingerprint == ""


def test_a_part_that_agrees_is_described(part):
    described = describe_part(paths(part))
    assert (described.tokenizer, described.largest_token) == ("bytes", 9)


def test_a_missing_shard_is_named(part):
    (part / "b.bin").unlink()
    with pytest.raises(ShardError, match=r"\['b.bin'\] missing"):
        describe_part(paths(part))


def test_a_shard_that_nobody_announced_is_named(part):
    write_shard(part / "c.bin", [1])
    with pytest.raises(ShardError, match=r"\['c.bin'\] not in it"):
        describe_part(paths(part))


def test_a_shard_of_another_size_is_refused(part):
    write_shard(part / "b.bin", [9, 4, 4])
    with pytest.raises(ShardError, match="holds 3 tokens, its manifest says 2"):
        describe_part(paths(part))


def test_a_truncated_shard_is_refused(part):
    (part / "b.bin").write_bytes((part / "b.bin").read_bytes()[:-1])
    with pytest.raises(ShardError, match="truncated"):
        describe_part(paths(part))
