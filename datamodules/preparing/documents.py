"""Where documents come from: files in FineWeb's schema, here or on the Hugging Face Hub, cut into units of work."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from glob import glob, has_magic
from pathlib import Path
from typing import Any, NamedTuple, Protocol

__all__ = ["Row", "Source", "TextFiles", "Unit", "source_key"]

UNIT_BYTES = 32 << 20  # of text: about 8M tokens of GPT-2, a few seconds of one core
BATCH_ROWS = 512
PARQUET, LINES = ((".parquet",), (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".json.gz"))


class Row(NamedTuple):
    """One document as the file has it, not yet checked.

    Args:
        text: what should be a string; bytes where they are no UTF-8.
        url: what should be the address of the page or book it is from, or None.
    """

    text: object
    url: object = None


class Unit(NamedTuple):
    """A piece of a source that one worker tokenises in one go; one of `pieces` of one file.

    Args:
        number: position in the source's canonical order, from 0.
        file: which file, as the source names it.
        piece: which piece of the file, from 0.
        pieces: into how many the file is cut, along its row groups.
        size: bytes of text in it, about.
    """

    number: int
    file: str
    piece: int
    pieces: int
    size: int


class Source(Protocol):
    """What `prepare` asks of a source: its identity, its units in a fixed order, and the documents of each."""

    def identity(self) -> dict[str, Any]:
        """Everything that decides which documents come in which order, as JSON values; recorded in manifests."""

    def units(self) -> Iterator[Unit]:
        """The units in canonical order; lazily, since listing them may mean opening files."""

    def read(self, unit: Unit) -> Iterator[list[Row]]:
        """The documents of one unit in order, in batches."""


def source_key(text: str, url: object = None) -> str:
    """What decides a document's part: its address without a last `#part-…`, else its text without case and spacing."""
    if isinstance(url, str) and url:
        return re.sub(r"#part-[^#]*$", "", url)
    return " ".join(text.split()).casefold()


@dataclass(frozen=True)
class TextFiles:
    """Parquet or JSON-lines files with a `text` column and perhaps a `url` one, read with `datasets` as streams.

    Args:
        files: paths, or `hf://` addresses with a fixed revision, in canonical order.
        name: the source as it was asked for.
        revision: commit of the Hub repository; empty for local files.
    """

    files: tuple[str, ...]
    name: str
    revision: str = ""

    @classmethod
    def local(cls, place: str) -> "TextFiles":
        """Files of a folder, or those that a glob matches, in order of name.

        Raises:
            FileNotFoundError: if there are none.
        """
        found = sorted(path for path in local_files(place) if path.endswith(PARQUET + LINES))
        if not found:
            raise FileNotFoundError(
                f"no parquet or jsonl files in {place}; --source takes a folder of them, a glob in quotes, "
                "a Hub repository (owner/name), or the word docstrings"
            )
        return cls(tuple(found), place)

    @classmethod
    def on_hub(cls, repository: str, configuration: str, revision: str) -> "TextFiles":
        """The training files of one configuration of a Hub dataset, at a fixed commit."""
        import datasets

        builder = datasets.load_dataset_builder(repository, configuration or None, revision=revision)
        listed = builder.config.data_files or {}
        files = sorted(str(file) for file in listed.get("train", []))
        usable = tuple(file for file in files if file.endswith(PARQUET + LINES))
        if not usable:
            raise FileNotFoundError(
                f"{repository} ({configuration}) at {revision} lists no parquet or jsonl files for training; "
                "choose a configuration that has some with --configuration"
            )
        return cls(usable, f"{repository} ({configuration})" if configuration else repository, revision)

    @property
    def remote(self) -> bool:
        """Whether reading goes over the network."""
        return self.files[0].startswith("hf://")

    def identity(self) -> dict[str, Any]:
        """Name, revision, and the name (local: and size in bytes) of every file."""
        files = [[f, 0] if self.remote else [Path(f).name, Path(f).stat().st_size] for f in self.files]
        return {"name": self.name, "revision": self.revision, "files": files}

    def units(self) -> Iterator[Unit]:
        """A parquet file in pieces of some 32 MiB of text, along row groups; a jsonl file in one."""
        number = 0
        for file in self.files:
            size, groups = _lines_extent(file) if file.endswith(LINES) else _parquet_extent(file)
            pieces = min(groups, max(1, round(size / UNIT_BYTES)))
            for piece in range(pieces):
                yield Unit(number, file, piece, pieces, size // pieces)
                number += 1

    def read(self, unit: Unit) -> Iterator[list[Row]]:
        """The documents of one unit, in batches of 512 rows.

        Raises:
            ValueError: if the file is not what its name says, or has no usable `text` column.
        """
        import pyarrow as pa

        stream = _open_stream(unit.file)
        if unit.pieces > 1:
            stream = stream.shard(num_shards=unit.pieces, index=unit.piece, contiguous=True)
        rows = partial(_lines, encoding=_line_encoding(unit.file)) if unit.file.endswith(LINES) else _columns
        try:
            for table in stream.with_format("arrow").iter(batch_size=BATCH_ROWS):
                yield rows(table)
        except (pa.ArrowInvalid, UnicodeDecodeError, OSError) as error:
            if self.remote and not isinstance(error, ValueError):
                raise  # the network, which may come back
            raise ValueError(f"{unit.file} is damaged ({error}); fetch it again or leave it out") from error


def local_files(place: str) -> list[str]:
    """Files directly in a folder, or matched by a glob."""
    return glob(place) if has_magic(place) else [str(path) for path in Path(place).glob("*")] or glob(place)


@lru_cache(maxsize=4)
def _open_stream(file: str) -> Any:
    """A `datasets.IterableDataset` over one file, with a shard per row group; JSON lines come as raw lines."""
    import datasets

    if file.endswith(LINES):
        return datasets.load_dataset(
            "text", data_files=[file], split="train", streaming=True, encoding=_line_encoding(file)
        )
    columns = [name for name in ("text", "url") if name in _footer(file).schema.names]
    stream = datasets.load_dataset(
        "parquet", data_files=[file], split="train", streaming=True, columns=columns, batch_size=BATCH_ROWS
    )
    return stream.reshard()


def _columns(table: Any) -> list[Row]:
    urls = table["url"].to_pylist() if "url" in table.column_names else [None] * table.num_rows
    return [Row(text, url) for text, url in zip(_strings(table["text"]), urls, strict=True)]


def _strings(column: Any) -> Sequence[object]:
    """Python strings of a text column; bytes where they are no UTF-8."""
    import pyarrow as pa

    try:
        texts: list[object] = column.to_pylist()
    except UnicodeDecodeError:
        texts = [_decoded(raw) for raw in column.cast(pa.large_binary()).to_pylist()]
    return texts


def _decoded(raw: bytes | None) -> object:
    try:
        return raw if raw is None else raw.decode()
    except UnicodeDecodeError:
        return raw


def _line_encoding(file: str) -> str:
    """Latin-1 keeps every byte, so that one bad line does not spoil the file; `datasets` unpacks UTF-8 only."""
    return "utf-8" if file.endswith((".gz", ".zst")) else "latin-1"


def _lines(table: Any, encoding: str) -> list[Row]:
    return [_parsed(line.encode(encoding)) for line in table["text"].to_pylist() if line.strip()]


def _parsed(line: bytes) -> Row:
    try:
        content = json.loads(line)
    except UnicodeDecodeError:
        return Row(line)
    except ValueError:
        return Row(None)
    return Row(content.get("text"), content.get("url")) if isinstance(content, dict) else Row(None)


@lru_cache(maxsize=4)
def _footer(file: str) -> Any:
    """`pyarrow.parquet.FileMetaData` of a file, checked for a `text` column of strings."""
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with fsspec.open(file, "rb") as opened:
            footer = pq.read_metadata(opened)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} is truncated or no parquet file ({error}); fetch it again or leave it out") from error
    schema = footer.schema.to_arrow_schema()
    if "text" not in schema.names:
        found = ", ".join(schema.names)
        raise ValueError(f"{file} has no column `text`, only {found}; rename the one that holds the text")
    if not (pa.types.is_string(schema.field("text").type) or pa.types.is_large_string(schema.field("text").type)):
        raise ValueError(f"the column `text` of {file} holds {schema.field('text').type}, expected string")
    return footer


def _parquet_extent(file: str) -> tuple[int, int]:
    """Bytes of text in a file before compression, and the number of its row groups."""
    footer = _footer(file)
    if not footer.num_rows:
        return 0, 0
    column = [footer.row_group(0).column(c).path_in_schema for c in range(footer.num_columns)].index("text")
    sizes = [footer.row_group(group).column(column).total_uncompressed_size for group in range(footer.num_row_groups)]
    return sum(sizes), len(sizes)


def _lines_extent(file: str) -> tuple[int, int]:
    """Bytes of a jsonl file as it lies there, and 1: it cannot be cut. Its first line must have a `text`."""
    import fsspec

    with fsspec.open(file, "rb", compression="infer") as opened:
        first = opened.readline()
    if first.strip() and _parsed(first) == Row(None):
        raise ValueError(f"the first line of {file} is no JSON object with a `text`: {first[:80]!r}")
    return (0 if file.startswith("hf://") else Path(file).stat().st_size), 1
