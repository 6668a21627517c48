"""What brain responses cost for a 124M model: activations, regressions, intervals. And RidgeCV for comparison.

python benchmarks/alignment.py
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from sklearn.linear_model import RidgeCV

from datamodules.sentence_batches import SentenceBatches
from lightning_modules.activations import last_token_states
from lightning_modules.encoding_model import ALPHAS, EncodingModel, folds_of
from lightning_modules.fold_correlation import resampled_fold_correlation
from lightning_modules.gpt import GPT, GPTConfig
from lightning_modules.localized_units import contrast
from lightning_modules.ridge import fit_ridge

LAYERS, WIDTH, TARGETS = 13, 768, 21
SELECTED, DRAWS = (92, 921), 5


def measure(name: str, work: Callable[[], Any]) -> Any:
    """Print a row of the table, and give what the work gives."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    print(f"| {name} | {time.perf_counter() - wall:.1f} | {time.process_time() - cpu:.1f} |", flush=True)
    return result


def states_of(net: GPT, texts: list[list[int]]) -> np.ndarray:
    """Activations of random tokens, shape `(texts, LAYERS, WIDTH)`."""
    states = np.empty((len(texts), LAYERS, WIDTH), dtype=np.float32)
    for batch in SentenceBatches(texts, batch_size=64):
        states[batch.item] = last_token_states(net, batch.tokens, batch.last).numpy()
    return states


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", default="paper", choices=list(ALPHAS))
    parser.add_argument("--ridgecv", action="store_true", help="one fit of scikit-learn's RidgeCV too")
    options = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    load = "/".join(f"{value:.0f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, load {load}, torch {torch.__version__}\n")
    print("| piece | wall s | CPU s |\n|---|---|---|")
    net = GPT(GPTConfig())
    sentences, stimuli = ([rng.integers(50_000, size=t).tolist() for _ in range(n)] for n, t in ((1000, 8), (480, 12)))
    states = measure("activations of 1,000 sentences of 8 tokens", lambda: states_of(net, sentences))
    localizer = measure("activations of 480 stimuli of 12 tokens", lambda: states_of(net, stimuli))
    y = rng.normal(size=(1000, TARGETS))
    regress = EncodingModel(options.protocol)
    encoded = measure(
        f"regressions of {LAYERS} layers, {options.protocol}",
        lambda: [regress(states[:, layer], y) for layer in range(LAYERS)],
    )
    units = states[:, 1:].reshape(1000, -1)
    is_sentence = np.arange(480) < 240
    measure("t-tests", lambda: contrast(localizer[:, 1:].reshape(480, -1), is_sentence, "absolute"))
    for k in SELECTED:
        drawn = [units[:, rng.choice(units.shape[1], size=k, replace=False)] for _ in range(1 + DRAWS)]
        work = partial(lambda chosen: [regress(x, y) for x in chosen], drawn)
        measure(f"regressions of {k} units and of {DRAWS} draws", work)
    predictions = np.column_stack([one.prediction[:, 0] for one in encoded])
    measure("intervals", lambda: resampled_fold_correlation(predictions, y[:, 0], folds_of(1000)))
    if options.ridgecv:
        x = states[:800, 6].astype(float)
        measure("one of the 65 regressions alone", lambda: fit_ridge(x, y[:800, :1], ALPHAS[options.protocol]))
        measure("the same by RidgeCV", lambda: RidgeCV(ALPHAS[options.protocol]).fit(x, y[:800, 0]))


if __name__ == "__main__":
    main()
