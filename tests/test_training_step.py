"""What a step must not do: wait for the host, reduce gradients before the last micro-batch, or break a graph."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import cli
from lightning_modules.gpt import Block, GPTConfig, next_token_loss, rotary_tables

Run = Callable[..., int]


def test_no_step_waits_for_the_host_but_those_that_log_validate_or_save(outer: Run, tmp_path: Path) -> None:
    """Two generations of 12 steps of two micro-batches, the second with masks; step 13 takes up the first's heir."""
    schedule = "--steps_per_generation 12 --data.validation_interval 6 --checkpoint.every 6 --generations 2"
    division = "--trainer.log_every_n_steps 4 --data.micro_batch_size 6"
    probe = ["--trainer.callbacks+=tests.host_reads.HostReads", f"--trainer.callbacks.file={tmp_path / 'reads'}"]
    assert outer(tmp_path / "run", *schedule.split(), *division.split(), *probe) == 0
    reads = {int(step): counts for step, counts in json.loads((tmp_path / "reads").read_text()).items()}
    logged, validated, began = {4, 8, 12, 16, 20, 24}, {6, 12, 18, 24}, {13}
    assert {step: counts for step, counts in reads.items() if step not in logged | validated | began} == {}
    assert reads.keys() >= logged | validated  # so the probe sees what there is to see


def test_ranks_reduce_once_a_step_and_share_the_validation_under_autocast(toy: list[str], tmp_path: Path) -> None:
    """Two gloo ranks with the 24 heads of 417M at 1/32 of its width: 3 steps of 2 micro-batches of 3 on each."""
    shape = "--model.size 417M --model.n_head 24 --model.n_embd 48 --trainer.precision bf16-mixed"
    schedule = "--trainer.max_steps 3 --data.micro_batch_size 3 --trainer.log_every_n_steps 4"
    probe = ["--trainer.callbacks+=tests.rank_probe.RankProbe", f"--trainer.callbacks.folder={tmp_path}"]
    probe += ["--trainer.callbacks+=tests.host_reads.HostReads", f"--trainer.callbacks.file={tmp_path / 'reads'}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "PL_"))}
    done = subprocess.run(
        [
            *(sys.executable, "cli.py", "fit", "--config", "outer.yaml", "--run", str(tmp_path / "run"), *toy),
            *(*shape.split(), *schedule.split(), *probe, "--trainer.devices", "2"),
        ],
        cwd=Path(cli.__file__).parent,
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"rank_{rank}.json").read_text()) for rank in (0, 1)]
    assert [rank["reductions"] for rank in ranks] == [[0, 1] * 3] * 2  # the toy fits one bucket
    # what `training_memory` counts, and what a step from None, as after a resume, needs to repeat bits on three ranks
    assert [rank["in_buckets"] for rank in ranks] == [["none", "all"] * 3] * 2
    assert [rank["types"] for rank in ranks] == [["torch.bfloat16"]] * 2
    mine, theirs = ({tuple(window) for window in rank["windows"]} for rank in ranks)
    assert len(mine) == len(theirs) == 5  # 160 tokens are 10 windows of 16
    assert not mine & theirs
    reads = json.loads((tmp_path / "reads").read_text())
    # DDP asks its list of weights that were used, which is kept on the host, about each of the 9; step 3 is validated.
    assert reads["1"] == reads["2"] == {"_local_scalar_dense": 9}


# graphs


@pytest.fixture
def block() -> Block:
    return Block(GPTConfig(vocab_size=64, n_layer=2, n_head=2, n_embd=16, block_size=8))


@pytest.mark.filterwarnings("default")  # of what torch does while it traces
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_block_and_loss_are_one_graph_each(block: Block, precision: torch.dtype) -> None:
    torch._dynamo.reset()
    tables = rotary_tables(8, 8, torch.device("cpu"))
    x, head, targets = torch.randn(3, 8, 16), torch.randn(64, 16), torch.zeros(3, 8, dtype=torch.int64)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        for function, inputs in ((block, (x, *tables)), (next_token_loss, (x, head, targets))):
            found = torch._dynamo.explain(function)(*inputs)
            assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons


@pytest.mark.filterwarnings("default")
def test_training_validation_and_a_new_generation_share_the_graphs_of_the_first(
    outer: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced only; `tests/test_exact_resume_slow.py` compiles as well."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    count = ["--trainer.callbacks+=tests.graph_count.GraphCount", f"--trainer.callbacks.file={tmp_path / 'graphs'}"]
    assert outer(tmp_path / "run", "--model.compile", "true", *count) == 0
    graphs = [int(line) for line in (tmp_path / "graphs").read_text().split()]
    assert len(graphs) == 6  # two validations in each of three generations
    assert graphs[0] > 0
    assert graphs[1:] == graphs[:1] * 5
