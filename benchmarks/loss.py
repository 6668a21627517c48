"""Head and loss alone, forward and backward: the plain form and the one in chunks, turn by turn.

    OMP_NUM_THREADS=1 python benchmarks/loss.py --tokens 4096 --width 384

Time is the median over rounds of the ratio within a round, on the process's CPU clock (on a GPU: the wall clock).
Memory is the peak of a process of its own for each form, beyond the tensors that go in; on a GPU the allocator's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from lightning_modules.chunked_loss import chunked_next_token_loss
from lightning_modules.gpt import next_token_loss

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def arguments() -> argparse.Namespace:
    """Sizes and device."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tokens", type=int, default=4096, help="Tokens of a micro-batch.")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--vocabulary", type=int, default=50_304)
    parser.add_argument("--rows", type=int, default=[2048, 256], nargs="+", help="Rows of a chunk.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16"])
    parser.add_argument("--peak_of", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def forms(rows: list[int]) -> dict[str, Loss]:
    """The plain loss, and the one in chunks of so many rows each."""
    chunked: dict[str, Loss] = {f"{n} rows": partial(chunked_next_token_loss, rows=n) for n in rows}
    return {"plain": next_token_loss, **chunked}


def turn(options: argparse.Namespace) -> Callable[[Loss], float]:
    """What measures the seconds of one forward and backward pass."""
    device = torch.device(options.device)
    torch.manual_seed(0)
    hidden = torch.randn(1, options.tokens, options.width, device=device).requires_grad_()
    head = (0.02 * torch.randn(options.vocabulary, options.width, device=device)).requires_grad_()
    targets = torch.randint(0, options.vocabulary, (1, options.tokens), device=device)

    def now() -> float:
        if device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def measure(loss: Loss) -> float:
        hidden.grad = head.grad = None
        start = now()
        with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16"):
            value = loss(hidden, head, targets)
        value.backward()
        return now() - start

    return measure


def peak(options: argparse.Namespace) -> int:
    """Bytes that one pass of a form takes at its peak, in this process."""
    measure = turn(options)
    if options.device == "cuda":
        before = torch.cuda.memory_allocated()
        measure(forms(options.rows)[options.peak_of])
        return torch.cuda.max_memory_allocated() - before
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    measure(forms(options.rows)[options.peak_of])
    return status("VmHWM") - before


def status(key: str) -> int:
    """Bytes from a line of this process's status."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines[key].split()[0])


def main() -> None:
    """Print the table as Markdown."""
    options = arguments()
    torch.set_num_threads(1)
    if options.peak_of:
        print(json.dumps(peak(options)))
        return
    losses, measure = forms(options.rows), turn(options)
    seconds: dict[str, list[float]] = {name: [] for name in losses}
    for round_ in range(options.rounds + 1):
        for name, loss in losses.items():
            taken = measure(loss)
            if round_:  # the first warms up
                seconds[name].append(taken)
    peaks = {}
    for name in losses:
        child = [sys.executable, *sys.argv, "--peak_of", name]
        peaks[name] = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    load = os.getloadavg()[0]
    print(
        f"{options.precision}, {options.tokens} x {options.width} x {options.vocabulary}, torch {torch.__version__}, ",
        end="",
    )
    print(f"{options.device}, one thread, load {load:.1f}\n")
    print("| form | seconds | time / plain [least, most] | extra MB | memory: plain / form |\n|---|---|---|---|---|")
    for name in losses:
        ratios = [mine / plain for mine, plain in zip(seconds[name], seconds["plain"], strict=True)]
        spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
        memory = f"{peaks[name] / 1e6:,.0f} | {peaks['plain'] / peaks[name]:.1f}"
        print(f"| {name} | {statistics.median(seconds[name]):.2f} | {spread} | {memory} |")


if __name__ == "__main__":
    main()
