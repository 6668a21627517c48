r"""One connectome as one small, checked file. Reading it never unpickles and never trusts a length.

Layout of version 2, little endian:

    8 bytes    b"CNCTOME\n"
    u32        version
    u32        length of the header in bytes
    header     JSON: architecture, provenance, and per matrix its name, shape, number of existing weights, and in how
               many groups G its rows are, and its columns (1, 2, 4, …)
    payload    the groups and their frequencies, then the weights: `payload.py`
    32 bytes   SHA-256 of everything before

Version 1 had for a payload, per matrix, one bit per weight (exists?), then one bit per existing weight (excitatory?),
each padded with zeros to a whole byte: 1 + d bits per weight at density d. It is still read.
"""

import hashlib
import json
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from connectome.atomic_file import atomic_file
from connectome.grouping import best_grouping, ungrouped
from connectome.payload import Plan, read_matrices, write_matrices
from connectome.wiring import Connectome, Provenance

__all__ = ["ConnectomeFileError", "load_connectome", "save_connectome"]

MAGIC = b"CNCTOME\n"
VERSION = 2
FIXED = struct.Struct("<8sII")
DIGEST_BYTES = 32
CODERS = {"independent": ungrouped, "grouped": best_grouping}


class ConnectomeFileError(ValueError):
    """The file is not a connectome that this program can read; the message says why and what to do."""


def save_connectome(
    connectome: Connectome, path: str | Path, *, coder: Literal["independent", "grouped"] = "independent"
) -> None:
    """Write `connectome` to `path`, atomically. Equal connectomes give equal bytes.

    Args:
        connectome: what is written.
        path: where.
        coder: `independent` writes every weight at the cost of its matrix' density, Shannon's bound for independent
            ones. `grouped` looks for rows and columns that are alike; it takes a few times longer, makes files of
            trained networks smaller than that bound, and of random ones never larger.
    """
    matrices = {name: matrix.numpy() for name, matrix in connectome.matrices.items()}
    groupings = {name: CODERS[coder](matrix) for name, matrix in matrices.items()}
    header = json.dumps(
        {
            "architecture": dict(connectome.architecture),
            "provenance": asdict(connectome.provenance),
            "matrices": [
                {
                    "name": name,
                    "shape": list(matrix.shape),
                    "kept": int(np.count_nonzero(matrix)),
                    "groups": len(groupings[name].counts),
                }
                for name, matrix in matrices.items()
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
        for piece in write_matrices([*matrices.values()], [*groupings.values()]):
            write(piece)
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
    with open(path, "rb") as file:
        start = file.read(len(MAGIC))
        content = start + file.read() if start == MAGIC else start
    if len(content) < FIXED.size + DIGEST_BYTES:
        raise ConnectomeFileError(f"{path} is not a connectome file: it does not start with {MAGIC!r}")
    _, version, header_bytes = FIXED.unpack_from(content)
    if version > VERSION:
        raise ConnectomeFileError(
            f"{path} has format version {version}, this program reads up to {VERSION}: update the program"
        )
    body, digest = memoryview(content)[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise ConnectomeFileError(f"{path} is truncated or damaged: its checksum does not match; copy or make it again")
    try:
        header = json.loads(bytes(body[FIXED.size : FIXED.size + header_bytes]))
        payload = body[FIXED.size + header_bytes :]
        read = _read if version == VERSION else _read_version_1
        return Connectome(read(header, payload), header["architecture"], Provenance(**header["provenance"]))
    except (KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ConnectomeFileError(f"{path} does not describe a connectome: {error}") from error


def _read(header: dict[str, Any], payload: memoryview) -> dict[str, Tensor]:
    entries = header["matrices"]
    plans = []
    for entry in entries:
        rows, columns = (int(size) for size in entry["shape"])
        plans.append(Plan(rows, columns, int(entry["groups"])))
    matrices = {}
    for entry, matrix in zip(entries, read_matrices(plans, payload), strict=True):
        kept = int(np.count_nonzero(matrix))
        if kept != entry["kept"] or entry["name"] in matrices:
            raise ValueError(
                f"matrix {entry['name']} holds {kept} weights instead of {entry['kept']}, or is twice there"
            )
        matrices[str(entry["name"])] = torch.from_numpy(matrix)
    return matrices


def _read_version_1(header: dict[str, Any], payload: memoryview) -> dict[str, Tensor]:
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
    return matrices
