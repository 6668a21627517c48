"""From documents to shards: what is in them, whoever made them and however often it was interrupted."""

import json
import os
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectome import atomic_file
from datamodules.manifest import Manifest, describe_part
from datamodules.preparing import documents
from datamodules.preparing.parts import PARTS
from datamodules.preparing.prepare import PreparationError, prepare
from datamodules.token_shards import TokenShards, find_shards

END = 256
SIZES = {"validation": 1_000, "small": 2_000, "large": -1}


def llmc_tokens(path):
    """A reader of llm.c's format that owes nothing to ours."""
    raw = path.read_bytes()
    magic, version, count = np.frombuffer(raw[:12], np.int32)
    assert (magic, version) == (20240520, 1)
    tokens = np.frombuffer(raw[1024:], np.uint16)
    assert len(tokens) == count
    return tokens.tolist()


def texts_of(folder, part):
    """The documents of a part, decoded from its bytes."""
    tokens = [token for path in sorted((folder / part).glob("*.bin")) for token in llmc_tokens(path)]
    assert tokens[0] == END
    ends = [i for i, token in enumerate(tokens) if token == END] + [len(tokens)]
    return [bytes(tokens[a + 1 : b]).decode(errors="ignore") for a, b in pairwise(ends)]


def contents(folder):
    """Every file of the parts, by its name in `folder`."""
    paths = [path for part in PARTS for path in sorted((folder / part).glob("*"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """Nobody pulls the plug on a test, and waiting for the disk takes most of its time."""
    monkeypatch.setattr(atomic_file.os, "fsync", lambda descriptor: None)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A folder of 2 parquet files of 10 units each, 400 documents of some 30 bytes from 200 pages."""
    monkeypatch.setattr(documents, "UNIT_BYTES", 600)
    folder = tmp_path / "corpus"
    folder.mkdir()
    for file in range(2):
        numbers = range(file * 200, file * 200 + 200)
        rows = [{"text": f"text {n} " + "x" * (n % 40), "url": f"u/{n // 2}#part-{n}"} for n in numbers]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{file}.parquet", row_group_size=20)
    return folder


@pytest.fixture
def make(tmp_path, corpus):
    """Calls `prepare` on the corpus with small sizes; returns the folder."""

    def call(name="out", **options):
        sizes = {key: options.pop(key, size) for key, size in SIZES.items()}
        options = {"source": str(corpus), "tokenizer": "bytes", "shard_tokens": 1_500} | options
        prepare(str(tmp_path / name), **options, **sizes)
        return tmp_path / name

    return call


def test_every_text_is_in_exactly_one_part_and_reads_back(make, corpus):
    folder = make(validation=0, small=2_000)
    source = pq.read_table(corpus).column("text").to_pylist()
    small, large = texts_of(folder, "small"), texts_of(folder, "large")
    assert len(large) > 300
    whole = [*small[:-1], *large]  # the last text of a part with a size is cut
    assert len(whole) == len(set(whole))
    assert set(whole) <= set(source)
    cut = Manifest.read(folder / "small").source["tokens_cut_off"]
    assert len("".join(source)) + len(source) == 2_000 + cut + len("".join(large)) + len(large)


def test_parts_share_no_source_document(make, corpus):
    folder = make()
    page_of = dict(zip(*(pq.read_table(corpus).column(c).to_pylist() for c in ("text", "url")), strict=True))
    pages = {part: {page_of[t].split("#")[0] for t in texts_of(folder, part) if t in page_of} for part in PARTS}
    assert sum(map(len, pages.values())) == len(set.union(*pages.values()))


def test_texts_keep_the_order_of_the_source(make):
    numbers = [int(text.split()[1]) for text in texts_of(make(), "large")]
    assert numbers == sorted(numbers)


def test_sizes_are_exact_and_shards_have_the_size_asked_for(make):
    folder = make(large=4_000)
    counts = {part: [entry.tokens for entry in Manifest.read(folder / part).shards] for part in PARTS}
    assert counts == {"validation": [1_000], "small": [1_500, 500], "large": [1_500, 1_500, 1_000]}


def test_the_training_side_reads_what_was_written(make):
    folder = make(large=4_000)
    paths = find_shards(folder, "large")
    assert describe_part(paths).tokenizer == "bytes"
    assert describe_part(paths).largest_token == END
    windows = TokenShards(paths, 100).read([0, 14])
    assert windows[0].tolist() == llmc_tokens(paths[0])[:101]
    assert windows[1].tolist() == llmc_tokens(paths[1])[:101]


def test_a_manifest_says_what_went_in(make, corpus):
    manifest = Manifest.read(make() / "large")
    assert [name for name, _ in manifest.source["source"]["files"]] == ["0.parquet", "1.parquet"]
    assert manifest.source["sizes"] == SIZES
    assert manifest.documents == len(texts_of(corpus.parent / "out", "large"))


def test_equal_texts_are_kept_once_wherever_they_stand(make, corpus):
    once = make("once")
    pq.write_table(pq.read_table(corpus / "0.parquet"), corpus / "2.parquet")
    twice = make("twice")
    for part in PARTS:
        assert texts_of(once, part) == texts_of(twice, part)
        assert Manifest.read(twice / part).source["repeated_documents"] == 200


def test_bad_documents_are_left_out_and_counted(tmp_path, make):
    lines = [{"text": "good " * 100}, {"text": ""}, {"text": " \n"}, {"text": 5}, {"text": None}, {"text": "\ud800"}]
    (tmp_path / "bad.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    folder = make(source=str(tmp_path / "*.jsonl"), validation=0, small=0)
    skipped = Manifest.read(folder / "large").source["skipped_documents"]
    assert skipped == {"empty": 2, "invalid Unicode": 1, "not a string": 2}
    assert texts_of(folder, "large") == ["good " * 100]


def test_an_end_of_text_written_out_in_a_document_is_only_text(tmp_path, make):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a<|endoftext|>b"}))
    folder = make(source=str(tmp_path / "*.jsonl"), validation=0, small=0)
    assert texts_of(folder, "large") == ["a<|endoftext|>b"]


class Killed(BaseException):
    """Stands for a SIGKILL: nothing in the project catches it."""


@pytest.mark.parametrize("large", [-1, 4_000])
@pytest.mark.parametrize("after", [False, True], ids=["before the rename", "after it"])
def test_killed_at_any_write_and_started_again_the_shards_are_the_same(make, monkeypatch, large, after):
    undisturbed = contents(make("undisturbed", large=large))
    rename = os.replace
    left = 0

    def deadly(source, target):
        nonlocal left
        left -= 1
        if left < 0 and after:
            rename(source, target)
        if left < 0:
            raise Killed
        rename(source, target)

    monkeypatch.setattr(atomic_file.os, "replace", deadly)
    for writes in (2, 9, 30):  # two files are one unit: fewer would never get on
        kills, folder = 0, None
        while folder is None:
            left = writes  # each start gets so many files further
            try:
                folder = make(f"killed_{writes}", large=large)
            except Killed:
                kills += 1
        assert kills >= 1
        assert contents(folder) == undisturbed
        assert not (folder / "unfinished").exists()


def test_finished_work_is_not_done_again(make, monkeypatch):
    folder = make()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.bin")}
    assert make() == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.bin")} == before


@pytest.mark.parametrize("large", [-1, 4_000])
@pytest.mark.parametrize("tasks", [2, 3])
def test_an_array_of_tasks_gives_the_same_shards_as_one_worker(make, large, tasks):
    alone = contents(make("alone", large=large))
    for task in reversed(range(tasks)):
        folder = make("array", large=large, task=task, tasks=tasks)
        assert contents(folder) == {}
    assert contents(make("array", large=large)) == alone


def test_an_array_with_a_missing_task_is_completed_by_the_last_step(make):
    alone = contents(make("alone"))
    make("array", task=1, tasks=2)
    assert contents(make("array")) == alone


@pytest.mark.slow
@pytest.mark.parametrize("large", [-1, 4_000])
def test_two_workers_give_the_same_shards_as_one(make, large):
    assert contents(make("two", large=large, workers=2)) == contents(make("one", large=large))


@pytest.mark.slow
def test_an_error_in_a_worker_is_told_once_and_the_rest_is_kept(make, corpus):
    content = (corpus / "1.parquet").read_bytes()
    (corpus / "1.parquet").write_bytes(content[:100] + bytes(300) + content[400:])
    with pytest.raises(PreparationError, match=r"1\.parquet is damaged.*\n.* finished pieces are kept"):
        make(workers=2)


def test_a_source_too_small_keeps_its_tokens_and_a_smaller_size_uses_them(make, monkeypatch):
    with pytest.raises(PreparationError, match=r"asked for were .*1,000,000 large.*--large -1") as caught:
        make(large=1_000_000)
    assert "20 finished pieces are kept" in str(caught.value)
    monkeypatch.setattr(documents.TextFiles, "read", None)  # nothing is tokenised again
    assert Manifest.read(make(large=4_000) / "large").tokens == 4_000


def test_a_full_disk_is_told_and_the_same_command_goes_on(make, monkeypatch):
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 30:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_file.os, "fsync", full)
    with pytest.raises(PreparationError, match=r"No space left on device\n.*are kept in .*unfinished"):
        make()
    assert contents(make()) == contents(make("undisturbed"))


def test_another_preparation_in_the_same_folder_is_refused(make, corpus):
    before = contents(make())
    with pytest.raises(FileExistsError, match="holds other tokens than asked for"):
        make(large=4_000)
    with pytest.raises(FileExistsError, match="holds other tokens than asked for"):
        make(source=str(corpus / "0.parquet"))
    assert contents(make()) == before


def test_a_folder_with_foreign_shards_is_refused(make, tmp_path):
    (tmp_path / "out" / "large").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="already holds large, not from this `prepare`"):
        make()


def test_unfinished_work_of_another_source_is_refused(make, corpus):
    make(task=0, tasks=2)
    with pytest.raises(FileExistsError, match="holds the unfinished work of another preparation"):
        make(source=str(corpus / "0.parquet"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"small": -1}, "-1 only for large"),
        ({"validation": 0, "small": 0, "large": 0}, "sizes are tokens"),
        ({"shard_tokens": 1}, "a shard holds 2 to"),
        ({"workers": 0}, "--workers and --tasks are 1 or more"),
        ({"task": 2, "tasks": 2}, "--task is 0 to tasks - 1"),
    ],
)
def test_numbers_out_of_range_are_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_source_that_is_nowhere_says_what_it_may_be(make, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no parquet or jsonl files in .*a Hub repository"):
        make(source=str(tmp_path / "no" / "where"))


def test_verify_accepts_what_was_written(make):
    prepare(str(make()), verify=True)


def damage_token(folder):
    path = folder / "large" / "large_000000.bin"
    raw = bytearray(path.read_bytes())
    raw[1030] ^= 1
    path.write_bytes(raw)


def remove_shard(folder):
    (folder / "large" / "large_000001.bin").unlink()


def add_shard(folder):
    (folder / "large" / "more.bin").write_bytes((folder / "small" / "small_000000.bin").read_bytes())


def truncate_shard(folder):
    path = folder / "small" / "small_000000.bin"
    path.write_bytes(path.read_bytes()[:-2])


def leak_text(folder):
    (folder / "validation" / "validation_000000.bin").write_bytes((folder / "small" / "small_000001.bin").read_bytes())
    entry = replace(Manifest.read(folder / "small").shards[1], file="validation_000000.bin")
    replace(Manifest.read(folder / "validation"), shards=(entry,)).write(folder / "validation")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (damage_token, "large_000000.bin: sha256 is"),
        (remove_shard, "large_000001.bin is missing"),
        (add_shard, "more.bin is not in the manifest"),
        (truncate_shard, "small_000000.bin is truncated"),
        (leak_text, "texts are in both validation and small; the manifest says 0"),
    ],
)
def test_verify_finds(make, harm, message):
    folder = make()
    harm(folder)
    with pytest.raises(ValueError, match=message):
        prepare(str(folder), verify=True)


def test_verify_without_manifests_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="with a manifest in"):
        prepare(str(tmp_path), verify=True)
