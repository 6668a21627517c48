"""Next-word loss on the validation part, as its own test loop (Kotar & Tuckute 2025, Figure 1B i)."""

from math import exp, log, sqrt

import numpy as np
import torch

from datamodules.fineweb_validation import WindowBatch
from datamodules.scoring_batches import ScoringBatch
from datamodules.tokenizer import get_tokenizer
from lightning_modules.evaluation import Evaluation, Items
from lightning_modules.metric import Metric
from lightning_modules.scorer import token_log_probabilities

__all__ = ["NextWordLoss"]


class NextWordLoss(Evaluation):
    """Loss in nats per token, perplexity, and bits per byte, which models of other tokenizers share.

    The standard error is over windows, since tokens of one window are not independent.

    Args:
        checkpoint: weights to evaluate: a run's .ckpt or .safetensors.
        tokenizer: of the model, `gpt2` or `bytes`, where its checkpoint does not say.
        protocol: as the DataModule's; linked to it on the command line.
    """

    def setup(self, stage: str) -> None:
        """Learn how many bytes each token stands for; end of text stands for none."""
        encoding = get_tokenizer(self.tokenizer)
        lengths = torch.zeros(self.config.vocab_size, dtype=torch.int64)
        for token in range(min(encoding.n_vocab, self.config.vocab_size)):
            if token != encoding.eot_token:
                lengths[token] = len(encoding.decode_single_token_bytes(token))
        self.register_buffer("token_bytes", lengths, persistent=False)  # follows the model to its device

    def test_step(self, batch: WindowBatch, batch_idx: int) -> None:
        """Sum the loss of each window, in float64."""
        every = torch.arange(batch.targets.numel(), device=self.device)
        window = every // batch.targets.shape[1]
        scored = ScoringBatch(batch.tokens, every, every, batch.targets.flatten(), window)
        nats = -token_log_probabilities(self.net, scored)[0].view_as(batch.targets)
        if not torch.isfinite(nats).all():
            raise RuntimeError(f"the loss of {self.checkpoint} is not finite: its weights are damaged")
        sums = nats.double().sum(dim=1)
        lengths = self.token_bytes[batch.targets].sum(dim=1)
        self.collect({"item": batch.item, "loss": sums / batch.targets.shape[1], "nats": sums, "bytes": lengths})

    def metrics(self, items: Items) -> list[Metric]:
        """Loss, perplexity, bits per byte. All windows have as many tokens: their mean is that of the tokens."""
        losses = items["loss"]
        n, loss = len(losses), float(losses.mean())
        stderr = float(losses.std(ddof=1)) / sqrt(n) if n > 1 else None
        interval = (loss - 1.96 * stderr, loss + 1.96 * stderr) if stderr is not None else None
        uniform = log(self.config.vocab_size)
        bits = items["nats"].sum() / np.log(2) / max(1, items["bytes"].sum())
        return [
            Metric("loss", loss, n, stderr, interval, "normal, over windows", {"uniform": uniform}, _MEAN_LOSS),
            Metric(
                "perplexity",
                exp(loss),
                n,
                ci95=(exp(interval[0]), exp(interval[1])) if interval else None,
                ci_method="normal, over windows, of the loss",
                baselines={"uniform": float(self.config.vocab_size)},
            ),
            Metric("bits_per_byte", float(bits), n),
        ]


_MEAN_LOSS = {"kind": "mean", "column": "loss"}
