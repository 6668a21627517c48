"""Which units prefer sentences to lists of non-words, as its own test loop (Kotar & Tuckute 2025, section 2.2)."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from connectome.atomic_file import atomic_file
from datamodules.language_localizer import LanguageLocalizer
from lightning_modules.evaluation import Items
from lightning_modules.localized_units import SHARES, contrast, top_units
from lightning_modules.metric import Metric
from lightning_modules.sentence_states import SentenceStates

__all__ = ["UnitLocalization"]

SIGNIFICANT = 0.05


class UnitLocalization(SentenceStates):
    """Welch's t-test of every unit of every block, and the masks of the top 1 % and 10 %.

    Writes `<step>.units.safetensors` beside the records: `t` and `p_adjusted` (false discovery rate), float64, and
    `top_1pct` and `top_10pct`, bool, each of shape (blocks, width). `tuckute2024 --data.localizer_folder` scores
    the same units.

    Args:
        checkpoint: weights to evaluate: a run's .ckpt or .safetensors.
        tokenizer: of the model, `gpt2` or `bytes`, where its checkpoint does not say.
        protocol: as the DataModule's; linked to it on the command line.
    """

    @property
    def data(self) -> LanguageLocalizer:
        """The stimuli."""
        return self.trainer.datamodule

    def assemble(self, collected: Items) -> Items:
        """A row a stimulus; activations are kept aside."""
        self.states = collected["states"][:, 1:]  # (stimuli, blocks, width): the embedding has no units to localize
        return {
            "item": collected["item"],
            "stimulus": np.array(self.data.stimuli.texts),
            "is_sentence": np.array(self.data.stimuli.is_sentence),
        }

    def metrics(self, items: Items) -> list[Metric]:
        """Smallest t among the selected, the share that is significant, and where in the network they are."""
        shape = self.states.shape[1:]
        units = self.states.reshape(len(self.states), -1)
        del self.states
        t, p = contrast(units, items["is_sentence"], self.data.activation)
        self.arrays = {"t": t.reshape(shape), "p_adjusted": p.reshape(shape)}
        results = [
            Metric("share_significant", float(np.mean((p < SIGNIFICANT) & (t > 0))), len(t)),
            Metric("share_dead", float(np.mean(np.isnan(t))), len(t)),
        ]
        for name, share in SHARES.items():
            selected = top_units(t, share)
            mask = np.zeros(len(t), dtype=bool)
            mask[selected] = True
            self.arrays[f"top_{name}"] = mask.reshape(shape)
            activity = np.abs(units) if self.data.activation == "absolute" else units
            items[f"activation_{name}"] = activity[:, selected].mean(axis=1, dtype=np.float64)
            by_block = mask.reshape(shape).sum(axis=1).tolist()
            results.append(Metric(f"units_{name}", len(selected), len(t)))
            results.append(Metric(f"smallest_t_{name}", float(t[selected].min()), len(t)))
            self.remarks.append(f"top {100 * share:g} %, units in blocks 1, 2, …: {', '.join(map(str, by_block))}")
        return results

    def write(self, stem: Path) -> None:
        """Write the masks beside the records."""
        about = {
            "task": self.data.task,
            "protocol": self.protocol,
            "options": self.data.options(),
            "checkpoint": self.checkpoint,
            "step": int(self.record.get("step") or 0),
        }
        arrays = {name: np.ascontiguousarray(values) for name, values in self.arrays.items()}
        with atomic_file(stem.with_suffix(".units.safetensors")) as file:
            file.write(save(arrays, metadata={"about": json.dumps(about, sort_keys=True)}))
