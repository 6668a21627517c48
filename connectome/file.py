r"""One connectome as one small, checked file. Reading it never unpickles and never trusts a length.

Layout of version 1, little endian:

    8 bytes    b"CNCTOME\\n"
    u32        version
    u32        length of the header in bytes
    header     JSON: architecture, provenance, and per matrix its name, shape and number of existing weights
    payload    per matrix: one bit per weight (exists?), then one bit per existing weight (excitatory?), each padded
               with zeros to a whole byte
    32 bytes   SHA-256 of everything before

At density d that is 1 + d bits per weight: 1.26 at 26.2 %, where Shannon's bound is 1.09.
"""

import hashlib
import json
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from connectome.atomic_file import atomic_file
from connectome.wiring import Connectome, Provenance

__all__ = ["ConnectomeFileError", "load_connectome", "save_connectome"]

MAGIC = b"CNCTOME\n"
VERSION = 1
FIXED = struct.Struct("<8sII")
DIGEST_BYTES = 32


class ConnectomeFileError(ValueError):
    """The file is not a connectome that this program can read; the message says why and what to do."""


def save_connectome(connectome: Connectome, path: str | Path) -> None:
    """Write `connectome` to `path`, atomically. Equal connectomes give equal bytes."""
    header = json.dumps(
        {
            "architecture": dict(connectome.architecture),
            "provenance": asdict(connectome.provenance),
            "matrices": [
                {"name": name, "shape": list(matrix.shape), "kept": int(matrix.count_nonzero())}
                for name, matrix in connectome.matrices.items()
            ],
        },
        sort_keys=True,
    ).encode()
    digest = hashlib.sha256()
    with atomic_file(path) as file:

        def write(piece: bytes) -> None:
            digest.update(piece)
            file.write(piece)

        write(FIXED.pack(MAGIC, VERSION, len(header)) + header)
        for matrix in connectome.matrices.values():
            flat = matrix.flatten().numpy()
            exists = flat != 0
            write(np.packbits(exists).tobytes())
            write(np.packbits(flat[exists] > 0).tobytes())
        file.write(digest.digest())


def load_connectome(path: str | Path) -> Connectome:
    """Read a connectome written by `save_connectome`.

    Raises:
        FileNotFoundError: if there is no such file.
        ConnectomeFileError: if the file is foreign, truncated, damaged, or of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no connectome at {path}: a generation writes it at its end (connectomes/generation_<g>)"
        )
    content = path.read_bytes()
    if len(content) < FIXED.size + DIGEST_BYTES or not content.startswith(MAGIC):
        raise ConnectomeFileError(f"{path} is not a connectome file: it does not start with {MAGIC!r}")
    _, version, header_bytes = FIXED.unpack_from(content)
    if version > VERSION:
        raise ConnectomeFileError(
            f"{path} has format version {version}, this program reads up to {VERSION}: update the program"
        )
    body, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise ConnectomeFileError(f"{path} is truncated or damaged: its checksum does not match; copy or make it again")
    try:
        header = json.loads(body[FIXED.size : FIXED.size + header_bytes])
        return _decode(header, memoryview(body)[FIXED.size + header_bytes :])
    except (KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ConnectomeFileError(f"{path} does not describe a connectome: {error}") from error


def _decode(header: dict[str, Any], payload: memoryview) -> Connectome:
    matrices = {}
    at = 0

    def bits(count: int) -> np.ndarray:
        nonlocal at
        n_bytes = (count + 7) // 8
        if count < 0 or at + n_bytes > len(payload):
            raise ValueError(f"it announces {n_bytes:,} bytes at {at:,}, but holds {len(payload):,}")
        piece = np.frombuffer(payload[at : at + n_bytes], np.uint8)
        at += n_bytes
        return np.unpackbits(piece, count=count).view(bool)

    for entry in header["matrices"]:
        rows, columns = (int(size) for size in entry["shape"])
        exists = bits(rows * columns)
        if int(exists.sum()) != entry["kept"] or entry["name"] in matrices:
            raise ValueError(f"matrix {entry['name']} holds {int(exists.sum())} weights instead of {entry['kept']}")
        ternary = np.zeros(rows * columns, np.int8)
        ternary[exists] = 2 * bits(entry["kept"]).view(np.int8) - 1
        matrices[str(entry["name"])] = torch.from_numpy(ternary).view(rows, columns)
    if at != len(payload):
        raise ValueError(f"{len(payload) - at:,} bytes are left over")
    return Connectome(matrices, header["architecture"], Provenance(**header["provenance"]))
