"""A toy experiment: a GPT of a few thousand weights on cyclic tokens, through the command line a user types."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import cli
from callbacks import stop_signal
from datamodules.token_shards import write_shard

ROOT = Path(cli.__file__).parent
torch.set_num_threads(1)  # toy sizes; more threads would only wait for each other


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the three parts: walks of small steps through 61 tokens, so that there is something to learn."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    for part, sizes in {"large": (9_000, 9_000), "small": (3_300,), "validation": (1_100,)}.items():
        for index, size in enumerate(sizes):
            write_shard(folder / part / f"{part}_{index:06d}.bin", np.cumsum(rng.integers(0, 3, size)) % 61)
    return folder


@pytest.fixture(scope="session")
def toy(shards: Path) -> list[str]:
    """Options that shrink outer.yaml or inner.yaml: generations of 6 steps of 12 sequences of 16 tokens."""
    return (
        "--model.n_layer 2 --model.n_head 2 --model.n_embd 16 --model.vocab_size 64 --model.block_size 16 "
        "--model.compile false --model.warmup_steps 3 --model.decay_steps 2 --steps_per_generation 6 "
        f"--data.folder {shards} --data.batch_size 12 --data.micro_batch_size 4 --data.validation_interval 3 "
        "--data.validation_tokens 160 --data.full_validation_tokens 800 --checkpoint.every 3 "
        "--trainer.accelerator cpu --trainer.devices 1 --trainer.log_every_n_steps 1 --trainer.precision 32-true"
    ).split()


@pytest.fixture(scope="session")
def outer(toy: list[str]) -> Callable[..., int]:
    """Runs three generations of the toy outer loop in a folder, with further options; returns the exit status."""

    def run(folder: Path, *options: str) -> int:
        line = ["fit", "--config", str(ROOT / "outer.yaml"), "--generations", "3", "--run", str(folder)]
        return cli.main([*line, *toy, *options])

    return run


@pytest.fixture(scope="session")
def inner(toy: list[str]) -> Callable[..., int]:
    """Runs the toy inner loop in a folder, with further options; returns the exit status."""

    def run(folder: Path, *options: str) -> int:
        return cli.main(["fit", "--config", str(ROOT / "inner.yaml"), "--run", str(folder), *toy, *options])

    return run


@pytest.fixture(scope="session")
def straight(outer: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of the toy outer loop, undisturbed; nobody may change it."""
    folder = tmp_path_factory.mktemp("straight")
    assert outer(folder) == 0
    return folder


@pytest.fixture(autouse=True)
def nobody_has_asked_to_stop() -> Iterator[None]:
    """A signal that a test sends is not to stop the next one, and the test run itself ends when it is asked to."""
    stop_signal._received.clear()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    stop_signal._received.clear()
