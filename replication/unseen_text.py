"""Documents of some files whose sources do not occur in others: text that a replication has not read yet.

python -m replication.unseen_text corpus/train-00001.parquet --apart_from corpus/train-00000.parquet --out unseen.jsonl

A book whose parts lie in both is one source, and left out.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from connectome.atomic_file import atomic_file
from datamodules.preparing.documents import Row, TextFiles, source_key

__all__ = ["unseen"]


def unseen(files: str, apart_from: str) -> Iterator[Row]:
    """Documents of files, each given as a folder or a glob, whose source is not in the others.

    Raises:
        FileNotFoundError: if there are no parquet or jsonl files.
        ValueError: if one is damaged or has no column `text`.
    """
    seen = {source_key(row.text, row.url) for row in _rows(apart_from) if isinstance(row.text, str)}
    for row in _rows(files):
        if isinstance(row.text, str) and source_key(row.text, row.url) not in seen:
            yield row


def _rows(files: str) -> Iterator[Row]:
    source = TextFiles.local(files)
    for unit in source.units():
        for batch in source.read(unit):
            yield from batch


def main() -> None:
    """Write them as JSON lines, which `python cli.py prepare` reads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", help="parquet or jsonl files with a column text and perhaps url: a folder or a glob")
    parser.add_argument("--apart_from", required=True, help="files that were read before")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    try:
        with atomic_file(options.out) as lines:
            for row in unseen(options.files, options.apart_from):
                lines.write(json.dumps(row._asdict()).encode() + b"\n")
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
