"""A GPT that learns to predict the next token. It never hears of connectomes: evolution acts on it from outside."""

from dataclasses import asdict
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from datamodules.batch import Batch
from datamodules.manifest import part_of
from lightning_modules.chunked_loss import chunked_next_token_loss, float32_logits, logit_gradient
from lightning_modules.device_memory import DeviceMemory
from lightning_modules.gpt import GPT, GPTConfig, Size, next_token_loss
from lightning_modules.schedule import learning_rate_factor
from lightning_modules.token_mean import TokenMean
from lightning_modules.weights import read_weights

__all__ = ["LanguageModel", "NonFiniteError"]

BETAS = (0.9, 0.95)


class NonFiniteError(RuntimeError):
    """Loss or gradient norm was not finite; the message names the step and the checkpoint to go on from."""


class LanguageModel(L.LightningModule):
    """An ordinary dense next-token trainer around a `GPT` (Kotar & Tuckute 2025, section 2.1).

    It logs `train/loss` (mean over the global batch, nats per token), `train/perplexity`, `train/gradient_norm` (before
    clipping) and `train/learning_rate` every `trainer.log_every_n_steps` optimizer steps, `validation/loss` and
    `validation/perplexity` over the first tokens of the validation part, and `validation/loss_full` over all of it.

    Args:
        size: shape of the network, named after its weights; the paper has 124M and 417M.
        n_layer: blocks, in place of the size's.
        n_head: attention heads per block, in place of the size's.
        n_embd: width, in place of the size's.
        vocab_size: rows of the embedding, in place of the size's 50,304.
        block_size: tokens of context, in place of the size's 1,024.
        tied_embeddings: one matrix for embedding and head, or two.
        learning_rate: peak learning rate of AdamW.
        warmup_steps: optimizer steps of linear warm-up at the start of each generation.
        decay_steps: optimizer steps of linear decay at the end of each generation.
        steps_per_generation: optimizer steps after which the learning rate starts again.
        weight_decay: decoupled weight decay of every matrix.
        eps: AdamW's epsilon; zero is refused, since it turns pruned weights into NaN.
        compile: compile block by block with `torch.compile`; parameter names stay as they are.
        logits_budget: GB of float32 logits that a micro-batch may have; with more, the loss is formed chunk by chunk.
        checkpoint: weights to start from or to validate: a run's .ckpt or .safetensors, or a published model, as a
            folder or by its name on the Hub. The shape is then the model's.
    """

    def __init__(
        self,
        *,
        size: Size = "124M",
        n_layer: int | None = None,
        n_head: int | None = None,
        n_embd: int | None = None,
        vocab_size: int | None = None,
        block_size: int | None = None,
        tied_embeddings: bool | None = None,
        learning_rate: float = 0.0018,
        warmup_steps: int = 250,
        decay_steps: int = 1750,
        steps_per_generation: int = 7000,
        weight_decay: float = 0.1,
        eps: float = 1e-8,
        compile: bool = False,
        logits_budget: float = 8.0,
        checkpoint: str | None = None,
    ) -> None:
        super().__init__()
        if eps <= 0:
            raise ValueError(f"eps must be positive, found {eps}: 0 / (0 + eps) moves a pruned weight to NaN otherwise")
        if min(warmup_steps, decay_steps) < 1 or warmup_steps + decay_steps > steps_per_generation:
            raise ValueError(
                f"warm-up {warmup_steps} + decay {decay_steps} steps do not fit a generation of {steps_per_generation}"
            )
        shape = {
            "n_layer": n_layer,
            "n_head": n_head,
            "n_embd": n_embd,
            "vocab_size": vocab_size,
            "block_size": block_size,
            "tied_embeddings": tied_embeddings,
        }
        given = {name: value for name, value in shape.items() if value is not None}
        weights = read_weights(checkpoint) if checkpoint else None
        if weights:
            found = asdict(weights.config)
            differing = {name: (value, found[name]) for name, value in given.items() if value != found[name]}
            if differing:
                raise ValueError(f"{checkpoint} is of another architecture (asked for, found): {differing}")
        self.config = weights.config if weights else GPTConfig.named(size, **given)
        self.save_hyperparameters(ignore=["checkpoint", "compile", "logits_budget", "size", *shape])
        self.save_hyperparameters(asdict(self.config))
        self.net = weights.network() if weights else GPT(self.config)
        self.record: dict[str, Any] = {}  # about the weights; travels in every checkpoint
        self.restored: dict[str, Any] | None = None  # the checkpoint, until its micro-batches are counted anew
        if weights:
            self.record = dict(weights.record)
        self.compiled = compile
        self.logits_budget = logits_budget
        self.next_token_loss, self.logit_gradient = next_token_loss, logit_gradient
        self.validation_loss = TokenMean()
        self.validation_loss_full = TokenMean()

    def setup(self, stage: str) -> None:
        """Compile the blocks and the loss, once; refuse data of another vocabulary, and float16."""
        if getattr(getattr(self.trainer, "precision_plugin", None), "scaler", None) is not None:
            raise ValueError(
                "16-mixed scales the loss, and gradients would be clipped while they are scaled: use "
                "--trainer.precision bf16-mixed or 32-true"
            )
        part = part_of(self.trainer)
        if part and part.largest_token >= self.config.vocab_size:
            raise ValueError(
                f"the shards hold token id {part.largest_token}, the model's vocabulary has "
                f"{self.config.vocab_size} rows: set --model.vocab_size "
                f"to at least {part.largest_token + 1}, or use the shards of the right tokenizer"
            )
        known = self.record.get("tokenizer")
        if part and known and known != part.tokenizer:
            raise ValueError(
                f"the model was trained on tokens of {known!r}, the shards hold tokens of {part.tokenizer!r}"
            )
        if self.compiled and self.next_token_loss is next_token_loss:
            for block in self.net.transformer.h:
                block.compile()
            self.next_token_loss = torch.compile(next_token_loss)
            self.logit_gradient = torch.compile(logit_gradient)

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross entropy of the batch's next tokens, nats per token, shape `()`."""
        hidden, head = self.net.hidden(batch.tokens), self.net.lm_head.weight
        if float32_logits(batch.targets.numel(), self.config.vocab_size) > 1e9 * self.logits_budget:
            return chunked_next_token_loss(hidden, head, batch.targets, logit_gradient=self.logit_gradient)
        return self.next_token_loss(hidden, head, batch.targets)

    @property
    def memory(self) -> DeviceMemory:
        """Of the devices it is trained on: which micro-batches fit."""
        return DeviceMemory(self.trainer, self.config, compiled=self.compiled, logits_budget=self.logits_budget)

    # training

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW, fused where the device has it; the schedule is a function of the step alone."""
        hp = self.hparams
        optimizer = torch.optim.AdamW(
            self.net.parameters(),
            lr=hp["learning_rate"],
            betas=BETAS,
            eps=hp["eps"],
            weight_decay=hp["weight_decay"],
            fused=self.device.type in ("cpu", "cuda"),
        )

        def factor(step: int) -> float:
            return learning_rate_factor(
                step, period=hp["steps_per_generation"], warmup=hp["warmup_steps"], decay=hp["decay_steps"]
            )

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_fit_start(self) -> None:
        """Note what is read; make what is summed on the device between log steps: DDP would broadcast buffers.

        A checkpoint's micro-batches are counted anew, now that the DataModule knows how many make an optimizer step;
        Lightning takes up the counts after this hook.
        """
        if self.restored:
            count_micro_batches_anew(self.restored, self.trainer.accumulate_grad_batches)
            self.restored = None
        part = part_of(self.trainer)
        if part:
            self.record |= {"tokenizer": part.tokenizer, "data": part.fingerprint}
        self.loss_sum = torch.zeros((), device=self.device)
        self.norm = torch.zeros((), device=self.device)
        self.first_bad_step = torch.tensor(-1, device=self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one micro-batch; their sum is kept for the global batch's mean."""
        loss = self.loss(batch)
        self.loss_sum += loss.detach()
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by norm, and keep the norm. Lightning 2.6 itself refuses this for fused AdamW under bf16-mixed."""
        if gradient_clip_algorithm not in (None, "norm"):
            raise ValueError(
                f"gradients are clipped by norm here, found gradient_clip_algorithm={gradient_clip_algorithm!r}"
            )
        limit = float("inf") if gradient_clip_val is None else gradient_clip_val
        self.norm.copy_(torch.nn.utils.clip_grad_norm_(self.net.parameters(), limit))
        bad = ~(torch.isfinite(self.norm) & torch.isfinite(self.loss_sum)) & (self.first_bad_step < 0)
        self.first_bad_step.copy_(torch.where(bad, self.trainer.global_step + 1, self.first_bad_step))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Update, then log if it is due: before any callback saves a checkpoint, so that no point is lost."""
        super().optimizer_step(*args, **kwargs)
        step = self.trainer.global_step + 1
        if step % self.trainer.log_every_n_steps == 0:
            self.raise_if_not_finite()
            loss = self.trainer.strategy.reduce(self.loss_sum / self.trainer.accumulate_grad_batches, reduce_op="mean")
            self.log_at(
                step,
                {
                    "train/loss": loss.item(),
                    "train/perplexity": loss.exp().item(),
                    "train/gradient_norm": self.norm.item(),
                    "train/learning_rate": self.optimizers(use_pl_optimizer=False).param_groups[0]["lr"],
                },
            )
        self.loss_sum.zero_()

    def raise_if_not_finite(self) -> None:
        """Stop all ranks together if the loss or the gradient norm of any step so far was not finite.

        Reads from the device, so it is called at log steps and before whatever would keep the weights.
        """
        bad = int(self.trainer.strategy.reduce(self.first_bad_step.float(), reduce_op="max"))
        if bad >= 0:
            raise NonFiniteError(
                f"loss or gradient norm was not finite at optimizer step {bad}; nothing has been kept since the last "
                "checkpoint. Training is exact, so it would happen again: lower --model.learning_rate "
                "in another --run folder"
            )

    # validation

    def on_validation_epoch_start(self) -> None:
        """Count from zero, in both figures."""
        self.full_pass = False

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the figures it counts for, weighted by its tokens."""
        loss = self.loss(batch)
        if batch.quick:
            self.validation_loss.update(loss, batch.targets.numel())
        if batch.full:
            self.full_pass = True
            self.validation_loss_full.update(loss, batch.targets.numel())

    def on_validation_epoch_end(self) -> None:
        """Log the token-weighted means over all ranks."""
        values = {"validation/loss": self.validation_loss.compute().item()}
        self.validation_loss.reset()
        if self.full_pass:
            values["validation/loss_full"] = self.validation_loss_full.compute().item()
            self.validation_loss_full.reset()
        values["validation/perplexity"] = torch.tensor(values["validation/loss"]).exp().item()
        self.record |= {name.replace("/", "_"): value for name, value in values.items() if "loss" in name}
        if not self.full_pass:
            self.record.pop("validation_loss_full", None)
        if self.trainer.state.fn == "fit":
            self.log_at(self.trainer.global_step, values)
        else:
            self.log_dict(values)  # what is not for loggers, Lightning does not print either

    # logging and checkpoints

    def log_at(self, step: int, values: dict[str, float]) -> None:
        """Log at a number of optimizer steps done, and let callbacks and the progress line see the values."""
        for logger in self.trainer.loggers:
            logger.log_metrics(values, step=step)
        self.trainer.callback_metrics.update({name: torch.tensor(value) for name, value in values.items()})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the shape and what is known about the weights, in plain values."""
        checkpoint["gpt"] = asdict(self.config)
        checkpoint["record"] = dict(self.record)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another shape; take over what it knows."""
        if checkpoint.get("gpt") != asdict(self.config):
            raise ValueError(
                f"the checkpoint is of another architecture: {checkpoint.get('gpt')}, not {asdict(self.config)}"
            )
        self.record = dict(checkpoint["record"])
        self.restored = checkpoint


def count_micro_batches_anew(checkpoint: dict[str, Any], accumulation: int) -> None:
    """Let Lightning's counts of micro-batches say that each step so far had `accumulation` of them."""
    done = checkpoint["global_step"] * accumulation
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    for count in (progress["total"], progress["current"]):
        open_ones = count["processed"] - count["completed"]
        count |= {"ready": done, "started": done, "processed": done, "completed": done - open_ones}
