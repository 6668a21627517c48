"""A generation that starts from its parent's connectome alone, through the same door as any resume."""

from typing import Any

import lightning as L

from callbacks.sparse_training import pack
from connectome import Connectome

__all__ = ["checkpoint_at_generation_start"]


def checkpoint_at_generation_start(
    connectome: Connectome, model: L.LightningModule, *, steps_per_generation: int, batch_size: int
) -> dict[str, Any]:
    """The checkpoint that a run would have written on entering the generation after `connectome`'s, had it been asked.

    Weights and masks are the connectome's; the optimizer is new; step, schedule, data position and Lightning's loop
    counters say `generation * steps_per_generation`. They imitate a checkpoint written at the end of a batch, which
    counts that batch as processed, not as completed; Lightning repairs both on load. Each step is said to have had one
    micro-batch, since `LanguageModel` counts them anew whenever it takes up a checkpoint.

    Args:
        connectome: what the parent left; its provenance names the parent's generation.
        model: the `LanguageModel` that will take it up, for its names and shape.
        steps_per_generation: optimizer steps S of a generation.
        batch_size: sequences of a global batch.

    Raises:
        ValueError: if the connectome does not say of which generation it is, or has another architecture.
    """
    if connectome.provenance.generation is None:
        raise ValueError(
            "this connectome does not say which generation left it, as a random one: it cannot be a parent"
        )
    connectome.check_fits({name: tuple(weight.shape) for name, weight in model.net.named_parameters()})
    generation = connectome.provenance.generation + 1
    step = generation * steps_per_generation
    weights = {f"net.{name}": weight for name, weight in connectome.weights().items()}
    if model.config.tied_embeddings:
        weights["net.lm_head.weight"] = weights["net.transformer.wte.weight"]
    masks = {name: pack(mask) for name, mask in connectome.masks().items()}
    stepped = {"ready": step, "completed": step}
    batches = dict.fromkeys(("ready", "started", "processed"), step) | {"completed": step - 1}
    epoch = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    return {
        "pytorch-lightning_version": L.__version__,
        "epoch": 0,
        "global_step": step,
        "state_dict": weights,
        "gpt": vars(model.config),
        "record": {},
        "callbacks": {
            "GenerationalPruning": {
                "generation": generation,
                "steps_per_generation": steps_per_generation,
                "masks": masks,
            }
        },
        "optimizer_states": [],  # the key must be there; empty keeps the fresh optimizer
        "lr_schedulers": [{"last_epoch": step, "_step_count": step + 1, "lr_lambdas": [None]}],
        "loops": {
            "fit_loop": {
                "state_dict": {"combined_loader": [{"sequences": step * batch_size}]},
                "epoch_progress": _twice(epoch),
                "epoch_loop.state_dict": {"_batches_that_stepped": step - 1},
                "epoch_loop.batch_progress": _twice(batches) | {"is_last_batch": False},
                "epoch_loop.scheduler_progress": _twice(stepped),
                "epoch_loop.automatic_optimization.optim_progress": {
                    "optimizer": {"step": _twice(stepped), "zero_grad": _twice(stepped | {"started": step})}
                },
            }
        },
    }


def _twice(count: dict[str, int]) -> dict[str, dict[str, int]]:
    return {"total": dict(count), "current": dict(count)}
