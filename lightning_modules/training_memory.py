"""How much memory a training step takes, from its shape alone, so that a micro-batch is chosen without trying any.

The figures were counted on CPU, with saved-tensor hooks and the allocator's own record, and a test counts them again.
For CUDA they are computed, not measured: attention is taken to be one of PyTorch's fused kernels, flash, or
memory-efficient in float32, none of which keeps its T x T probabilities.

What a block keeps for the backward pass, in bytes per token and width, under bfloat16 autocast and in float32:

| | bf16-mixed | 32-true |
| --- | --- | --- |
| residual stream before attention, as its norm reads it | 4 | 4 |
| normalised, as `c_attn` reads it | 2 | 4 |
| queries, keys and values in one; the values are a view of it | 6 | 12 |
| rotated queries and keys | 4 | 8 |
| attention's output | 2 | 4 |
| the same in rows, as `c_proj` reads it; on CUDA a view | 2 | 4 |
| residual stream before the perceptron | 4 | 4 |
| normalised, as `c_fc` reads it | 2 | 4 |
| `c_fc`'s output, as GELU reads it | 8 | 16 |
| after GELU, as `c_proj` reads it | 8 | 16 |
| sum | 42 | 76 |

Besides, per token, 4 bytes for each of two norms and for each head. Compiled blocks keep 40 and 76: the partitioner of
torch 2.13 stores whatever a matrix product of the backward pass reads, so they are not taken to need less.

Letters: P parameters, N tokens of a micro-batch, C width, L blocks, H heads, V vocabulary.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from lightning_modules.chunked_loss import float32_logits, rows_of_a_chunk
from lightning_modules.gpt import GPTConfig

__all__ = ["Precision", "TrainingMemory", "training_memory", "usable_memory"]

Precision = Literal["bf16-mixed", "32-true"]

KEPT = {"bf16-mixed": 42, "32-true": 76}  # bytes per token, width and block, see above
KEPT_LAST = {"bf16-mixed": 6, "32-true": 8}  # per token and width: the last norm's input, and what the head reads
# Per logit, at the peak of the loss. Eager: log-probabilities, their gradient and that of the logits, float32 each.
# Compiled: counted 6.0 and 4.6.
EAGER_LOGIT, COMPILED_LOGIT = 12, 6
CHUNK_LOGIT = {"bf16-mixed": 10, "32-true": 8}  # per logit of a chunk
BLOCK_BACKWARD = {"bf16-mixed": 26, "32-true": 21}  # per token and width, while a block's backward pass runs
CGROUP_OF_THIS_PROCESS, CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")  # on Linux
SHARE = {"cuda": 0.9, "cpu": 0.5}  # of a device; the rest is for CUDA's context, NCCL, fragments, and other programs


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of one training step on one device.

    Args:
        static: weights, gradients, moments, masks, DDP's buckets, and the casts of weights that a micro-batch keeps.
        activations: what the forward pass keeps for the backward pass.
        working: the most that comes on top at any time: logits and their gradients, or a block's backward pass.
    """

    static: int
    activations: int
    working: int

    @property
    def total(self) -> int:
        """Bytes at the peak."""
        return self.static + self.activations + self.working

    def __str__(self) -> str:
        parts = [self.static, self.activations, self.working, self.total]
        static, activations, working, total = (f"{part / 1e9:.1f}" for part in parts)
        return f"{total} GB (weights and optimizer {static}, activations {activations}, working {working})"


def training_memory(
    config: GPTConfig,
    sequences: int,
    *,
    precision: Precision,
    compiled: bool,
    masked: bool,
    buckets: bool,
    logits_budget: float,
) -> TrainingMemory:
    """What a training step takes at its peak, which is the backward pass of the loss or of the last block.

    Checked against counts on CPU to 15 % from above, for eager training; not measured on CUDA.

    Args:
        config: shape of the network.
        sequences: of a micro-batch, each of `config.block_size` tokens.
        precision: of the step; float32 is also an upper bound for bfloat16 throughout.
        compiled: whether the loss is compiled.
        masked: whether absent weights have a float32 mask.
        buckets: whether DDP's float32 buckets are there, beside the gradients of the micro-batches that go before a
            reduction; where there are none, in a step of one micro-batch, this counts 4 bytes a weight too much.
        logits_budget: GB of float32 logits beyond which the loss is formed chunk by chunk.
    """
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    N = sequences * config.block_size
    multiplied = 12 * L * C * C + V * C
    P = multiplied + (0 if config.tied_embeddings else V * C)
    static = (16 + 4 * masked + 4 * buckets) * P + (2 * multiplied if precision == "bf16-mixed" else 0)
    activations = L * N * (KEPT[precision] * C + 8 + 4 * config.n_head) + KEPT_LAST[precision] * N * C
    if float32_logits(N, V) > 1e9 * logits_budget:  # with two copies of the head's gradient, and of the activations'
        loss = CHUNK_LOGIT[precision] * min(rows_of_a_chunk(N), N) * V + 8 * V * C + 8 * N * C
    else:
        loss = (COMPILED_LOGIT if compiled else EAGER_LOGIT) * N * V
    return TrainingMemory(static, activations, max(loss, BLOCK_BACKWARD[precision] * N * C))


def usable_memory(device: torch.device, processes: int) -> int:
    """Bytes of a device that a training step may take: a share of all it has, whoever holds some of it now.

    So every rank and every resume on the same kind of device comes to the same number. A container or a batch job may
    be allowed less main memory than the machine has.

    Args:
        device: a GPU for one process alone, or the CPU.
        processes: of this run on this machine; they share its main memory.

    Raises:
        ValueError: for another kind of device.
    """
    if device.type == "cuda":
        return int(SHARE["cuda"] * torch.cuda.get_device_properties(device).total_memory)
    if device.type == "cpu":
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return int(SHARE["cpu"] * min([physical, *cgroup_limits()]) / processes)
    raise ValueError(
        f"--data.micro_batch_size auto knows the memory of CUDA devices and CPUs, this run is on {device.type}: "
        "give it a number"
    )


def cgroup_limits() -> list[int]:
    """Bytes of main memory that this process's control groups, and those around them, may take; perhaps none is set."""
    limits = []
    for line in CGROUP_OF_THIS_PROCESS.read_text().splitlines() if CGROUP_OF_THIS_PROCESS.is_file() else ():
        _, controllers, own = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root, name = (CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (CGROUPS, "memory.max")
        group = root / own.lstrip("/")
        files = [each / name for each in (group, *group.parents) if each.is_relative_to(root)]
        limits += [file.read_text().strip() for file in files if file.is_file()]
    return [int(limit) for limit in limits if limit != "max"]
