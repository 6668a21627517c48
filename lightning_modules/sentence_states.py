"""What the evaluations share that look into a model: activations at the last token of each sentence."""

import torch

from datamodules.sentence_batches import SentenceBatch
from lightning_modules.activations import last_token_states
from lightning_modules.evaluation import Evaluation

__all__ = ["SentenceStates"]


class SentenceStates(Evaluation):
    """Collects `states`, the activations of all layers at the last token, shape `(sentences, layers + 1, width)`.

    The DataModules that feed it have a flag `final_norm`. Activations are computed in full float32 on GPUs too: a
    regression with the smallest penalties sees the rounding.
    """

    def on_test_start(self) -> None:
        """Compute in full float32 from here on."""
        super().on_test_start()
        self.usual_precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")

    def on_test_end(self) -> None:
        """Give whatever runs next its precision back."""
        torch.set_float32_matmul_precision(self.usual_precision)

    def test_step(self, batch: SentenceBatch, batch_idx: int) -> None:
        """Activations of all layers at the last token."""
        states = last_token_states(self.net, batch.tokens, batch.last, final_norm=self.trainer.datamodule.final_norm)
        if not torch.isfinite(states).all():
            raise RuntimeError(f"{self.checkpoint} gives activations that are not finite: its weights are damaged")
        self.collect({"item": batch.item, "states": states})
