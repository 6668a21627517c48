"""Real text through the command line with GPT-2's tokenizer, checked without any of our code."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiktoken

from datamodules.token_shards import TokenShards, find_shards

CLI = Path(__file__).parents[1] / "cli.py"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif("CONNECTOMES_SHARED" not in os.environ, reason="CONNECTOMES_SHARED is not set"),
]
PARTS = ("validation", "small", "large")
END = 50256


def read_llmc(path):
    """llm.c's format in ten lines."""
    with open(path, "rb") as file:
        header = np.frombuffer(file.read(1024), dtype=np.int32)
        assert header[0] == 20240520
        assert header[1] == 1
        tokens = np.frombuffer(file.read(), dtype=np.uint16)
    assert len(tokens) == header[2]
    return tokens


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A training and the validation file of the corpus as shards of 4M tokens, by one worker, two, and two tasks."""
    shared = Path(os.environ["CONNECTOMES_SHARED"]) / "data"
    source = str(shared / "corpus" / "*-00000.parquet")
    root = tmp_path_factory.mktemp("prepared")

    def run(name, *options):
        sizes = ["--large", "-1", "--small", "1000000", "--validation", "500000", "--shard_tokens", "4000000"]
        command = [sys.executable, CLI, "prepare", "--folder", root / name, "--source", source, *sizes, *options]
        environment = os.environ | {"TIKTOKEN_CACHE_DIR": str(shared / "tiktoken")}
        done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr

    run("one")
    run("two", "--workers", "2")
    run("array", "--task", "1", "--tasks", "2")
    run("array", "--task", "0", "--tasks", "2")
    run("array")
    run("one", "--verify")
    return root, source


@pytest.fixture(scope="module")
def documents(prepared):
    """The tokens of every document of every part."""
    found = {}
    for part in PARTS:
        tokens = np.concatenate([read_llmc(path) for path in sorted((prepared[0] / "one" / part).glob("*.bin"))])
        starts = np.flatnonzero(tokens == END)
        assert starts[0] == 0
        found[part] = np.split(tokens, starts[1:])
    return found


def test_workers_and_tasks_do_not_show_in_the_shards(prepared):
    def contents(name):
        return {str(p.relative_to(prepared[0] / name)): p.read_bytes() for p in (prepared[0] / name).glob("*/*")}

    assert contents("one") == contents("two") == contents("array")
    assert len(contents("one")) == 9


def test_decoded_documents_are_those_of_the_source_and_no_page_is_in_two_parts(prepared, documents, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", os.path.join(os.environ["CONNECTOMES_SHARED"], "data", "tiktoken"))
    gpt2 = tiktoken.get_encoding("gpt2")
    pages = {}
    for path in sorted(Path(prepared[1]).parent.glob(Path(prepared[1]).name)):
        table = pq.read_table(path, columns=["text", "url"])
        for text, url in zip(table["text"].to_pylist(), table["url"].to_pylist(), strict=True):
            pages[hashlib.sha256(text.encode()).digest()] = url.split("#part-")[0]
    part_of = {}
    seen = set()
    for part in PARTS:
        whole = documents[part] if part == "large" else documents[part][:-1]  # the last one is cut
        for tokens in whole:
            digest = hashlib.sha256(gpt2.decode(tokens[1:].tolist()).encode()).digest()
            assert digest not in seen
            seen.add(digest)
            assert part_of.setdefault(pages[digest], part) == part
    assert len(seen) >= 0.98 * len(pages)


def test_our_reader_and_the_ten_lines_agree(prepared):
    for part in PARTS:
        paths = find_shards(prepared[0] / "one", part)
        shards = TokenShards(paths, 1024)
        ours = shards.read(range(len(shards))).numpy()
        flat = np.concatenate([ours[:, :-1].reshape(-1)])
        theirs = np.concatenate([t[: (len(t) - 1) // 1024 * 1024] for t in map(read_llmc, paths)])
        np.testing.assert_array_equal(flat, theirs)
