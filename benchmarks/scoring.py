"""Scoring the answers of HellaSwag and MMLU: ours against one question per forward pass, and what each part gives.

    python benchmarks/scoring.py --folder data/hellaswag --task hellaswag --questions 60

All ways score the same questions, drawn at random with a fixed seed, turn by turn in one process, and must agree.
Times are the process's CPU seconds, so that other programs on the machine count for little.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch.nn import functional as F

from datamodules.hellaswag import HellaSwag
from datamodules.mmlu import MMLU
from datamodules.multiple_choice import MultipleChoiceData
from datamodules.scoring_batches import Request, ScoringBatches
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.scorer import score_all

ANSWERS = 4
SHAPES = {"11M": GPTConfig(n_layer=4, n_head=3, n_embd=192), "124M": GPTConfig()}


def one_question_a_pass(net: GPT, requests: Sequence[Request]) -> list[float]:
    """As the authors' scripts: the four rows of a question, padded, in one pass; logits everywhere, loss everywhere."""
    found = []
    for first in range(0, len(requests), ANSWERS):
        rows = [[*request.context, *request.continuation] for request in requests[first : first + ANSWERS]]
        width = max(map(len, rows))
        tokens, mask = torch.zeros((ANSWERS, width), dtype=torch.int64), torch.zeros((ANSWERS, width))
        for number, (row, request) in enumerate(zip(rows, requests[first:], strict=False)):
            tokens[number, : len(row)] = torch.tensor(row)
            mask[number, len(request.context) : len(row)] = 1
        logits = net(tokens)[:, :-1]
        nats = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none")
        found += (-(nats.view(ANSWERS, -1) * mask[:, 1:]).double().sum(dim=1)).tolist()
    return found


def batched(net: GPT, requests: Sequence[Request], budget: int, *, in_order: bool) -> list[float]:
    """Batches of a token budget, with logits everywhere: what batching alone gives."""
    order = (
        sorted(range(len(requests)), key=lambda n: -sum(map(len, requests[n]))) if in_order else range(len(requests))
    )
    found, at = [0.0] * len(requests), 0
    order = list(order)
    while at < len(order):
        take = max(1, budget // sum(map(len, requests[order[at]])))
        chosen = order[at : at + take]
        at += take
        rows = [[*requests[n].context, *requests[n].continuation] for n in chosen]
        tokens = torch.zeros((len(rows), max(map(len, rows))), dtype=torch.int64)
        mask = torch.zeros(tokens.shape)
        for number, (row, n) in enumerate(zip(rows, chosen, strict=True)):
            tokens[number, : len(row)] = torch.tensor(row)
            mask[number, len(requests[n].context) : len(row)] = 1
        logits = net(tokens)[:, :-1]
        nats = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none")
        for n, value in zip(chosen, -(nats.view(len(rows), -1) * mask[:, 1:]).double().sum(dim=1), strict=True):
            found[n] = value.item()
    return found


def ours(net: GPT, requests: Sequence[Request], budget: int) -> list[float]:
    """The scorer of the evaluations."""
    return [nats for nats, _ in score_all(net, requests, token_budget=budget)]


def ours_without_shared_rows(net: GPT, requests: Sequence[Request], budget: int) -> list[float]:
    """The same, with each request handed over apart from those whose row is equal to its own."""
    found = [0.0] * len(requests)
    for place in range(ANSWERS):
        mine = range(place, len(requests), ANSWERS)
        for number, nats in zip(mine, ours(net, [requests[n] for n in mine], budget), strict=True):
            found[number] = nats
    return found


def measure(ways: dict[str, Callable[[], list[float]]], rounds: int) -> None:
    """Print CPU seconds of each way, the best round, and how far its scores are from those of the first."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, np.ndarray] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            scores[name] = np.array(way())
            seconds[name].append(time.process_time() - start)
    first = next(iter(ways))
    reference = scores[first].reshape(-1, ANSWERS)
    for name, taken in seconds.items():
        apart = np.abs(scores[name] - scores[first]).max()
        changed = (scores[name].reshape(-1, ANSWERS).argmax(1) != reference.argmax(1)).sum()
        speed = min(seconds[first]) / min(taken)
        print(f"{name:44s} {min(taken):8.2f} s  x{speed:5.2f}  {apart:.1e} nats apart, {changed} choices changed")


def main() -> None:
    """Measure all ways on one task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=("hellaswag", "mmlu"), default="hellaswag")
    parser.add_argument("--protocol", choices=("paper", "harness"), default="paper")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--shape", choices=SHAPES, default="11M")
    parser.add_argument("--budget", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    kind: type[MultipleChoiceData] = HellaSwag if options.task == "hellaswag" else MMLU
    data = kind(folder=options.folder, protocol=options.protocol, limit=options.questions)  # type: ignore[call-arg]
    data.setup("test")
    torch.manual_seed(0)
    net = GPT(SHAPES[options.shape]).eval()
    requests, budget = data.requests, options.budget
    rows = ScoringBatches(requests, block_size=1024, token_budget=budget)
    tokens = sum(batch.tokens.numel() for batch in rows)
    scored = sum(len(batch.positions) for batch in rows)
    print(
        f"{options.task} {options.protocol}, {options.shape}: {len(data.questions)} questions, {len(requests)} rows, ",
        end="",
    )
    print(f"{tokens:,} tokens with padding, head at {scored:,} of them; {torch.get_num_threads()} thread(s)")
    with torch.inference_mode():
        measure(
            {
                "one question a pass, all logits": lambda: one_question_a_pass(net, requests),
                "batches in order of the file, all logits": lambda: batched(net, requests, budget, in_order=False),
                "batches in order of length, all logits": lambda: batched(net, requests, budget, in_order=True),
                "head at scored places, no shared rows": lambda: ours_without_shared_rows(net, requests, budget),
                "ours": lambda: ours(net, requests, budget),
            },
            options.rounds,
        )


if __name__ == "__main__":
    main()
