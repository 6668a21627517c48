"""A FineWeb of a few tokens, without a trainer."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from datamodules.fineweb import FineWeb
from datamodules.token_shards import write_shard


def write_toy_shards(folder: Path) -> Path:
    """Windows of 4 tokens: 50 to train on in two shards, 30 to validate on; the largest token is 59."""
    for name, tokens in {"large/a": 101, "large/b": 101, "validation/a": 121}.items():
        write_shard(folder / f"{name}.bin", [k % 60 for k in range(tokens)])
    return folder


def toy_fineweb(folder: Path, *, ranks: int = 1, room: int = 0, **options: Any) -> FineWeb:
    """A DataModule of batches of 12, attached to as much of a trainer as it looks at.

    Args:
        folder: of its shards.
        ranks: of the run.
        room: sequences that the model's device holds.
        options: other numbers of the DataModule.
    """
    toy: dict[str, Any] = {
        "folder": str(folder),
        "batch_size": 12,
        "micro_batch_size": 3,
        "validation_interval": 5,
        "validation_tokens": 40,
        "full_validation_tokens": 120,
        "block_size": 4,
        "steps_per_generation": 20,
    }
    datamodule = FineWeb(**(toy | options))
    datamodule.trainer = SimpleNamespace(  # type: ignore[assignment]
        world_size=ranks,
        global_rank=0,
        accumulate_grad_batches=1,
        val_check_interval=1.0,
        global_step=0,
        state=SimpleNamespace(fn="fit"),
        lightning_module=SimpleNamespace(
            memory=SimpleNamespace(
                largest_micro_batch=lambda candidates: max(each for each in candidates if each <= room),
                fits=lambda sequences: sequences <= room,
            )
        ),
    )
    return datamodule
