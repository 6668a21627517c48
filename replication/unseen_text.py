"""Documents of one file whose sources do not occur in another: text that a replication has not read yet.

python -m replication.unseen_text corpus/train-00001.parquet --apart_from corpus/train-00000.parquet --out unseen.jsonl

A book whose parts lie in both files is one source, and left out.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from connectome.atomic_file import atomic_file
from datamodules.preparing.documents import source_key

__all__ = ["unseen"]


def unseen(file: str, apart_from: str) -> Iterator[dict[str, str]]:
    """Text and address of each document of a parquet file whose source is not in the other file."""
    seen = {source_key(row["text"], row["url"]) for row in _rows(apart_from)}
    return (row for row in _rows(file) if source_key(row["text"], row["url"]) not in seen)


def _rows(file: str) -> Iterator[dict[str, str]]:
    for batch in pq.ParquetFile(file).iter_batches(columns=["text", "url"]):
        yield from batch.to_pylist()


def main() -> None:
    """Write them as JSON lines, which `python cli.py prepare` reads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="parquet file with the columns text and url")
    parser.add_argument("--apart_from", required=True, help="parquet file that was read before")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    with atomic_file(options.out) as lines:
        for row in unseen(options.file, options.apart_from):
            lines.write(json.dumps(row).encode() + b"\n")


if __name__ == "__main__":
    main()
