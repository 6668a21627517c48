"""`prepare` under SIGKILL, as its own process on the command line."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CLI = Path(__file__).parents[1] / "cli.py"
FILES, KILLS = 60, 10


@pytest.fixture
def corpus(tmp_path):
    """Sixty files, each one unit of work, of 20 documents."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for file in range(FILES):
        rows = [{"text": f"document {n} of file {file} " * 20, "url": f"u/{file}/{n // 3}"} for n in range(20)]
        (folder / f"{file:02d}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def start(folder, corpus, workers=1):
    sizes = ["--large", "-1", "--small", "50000", "--validation", "20000", "--shard_tokens", "30000"]
    options = ["--folder", folder, "--source", corpus, "--tokenizer", "bytes", "--workers", str(workers), *sizes]
    return subprocess.Popen(
        [sys.executable, CLI, "prepare", *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def progress(folder):
    """Units and shards there are, whatever they are worth."""
    return sum(path.suffix in (".index", ".bin", ".json") for path in folder.rglob("*") if path.name[0] != ".")


def shards(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/*"))}


def finish(folder, corpus):
    process = start(folder, corpus)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


@pytest.mark.slow
def test_killed_ten_times_and_started_again_the_shards_are_the_same(tmp_path, corpus):
    finish(tmp_path / "undisturbed", corpus)
    undisturbed = shards(tmp_path / "undisturbed")
    assert len(undisturbed) > 15
    folder = tmp_path / "killed"
    moments = sorted(random.sample(range(1, FILES + 10), KILLS))
    kills = 0
    for number, moment in enumerate(moments):
        process = start(folder, corpus, workers=2 if number % 4 == 3 else 1)
        while process.poll() is None and progress(folder) < moment:
            time.sleep(0.001)
        time.sleep(random.random() * 0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += process.returncode == -signal.SIGKILL
    finish(folder, corpus)
    assert kills >= KILLS - 2, f"it was finished too soon for {moments}"
    assert shards(folder) == undisturbed
