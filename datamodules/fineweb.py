"""FineWeb, or any other text, as token shards: the corpus of both loops and its validation part."""

from dataclasses import replace
from typing import Any, Literal

import lightning as L
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from datamodules.manifest import Part, describe_part
from datamodules.token_shards import ShardError, TokenShards, find_shards
from datamodules.window_loader import TrainingWindows, ValidationWindows

__all__ = ["FineWeb", "accumulation", "micro_batch_sizes"]

VALIDATED_AT_ONCE = 16  # sequences at a time in a validation alone, which keeps nothing for a backward pass


class FineWeb(L.LightningDataModule):
    """Windows of `block_size` tokens from token shards, as global batches divided over ranks and micro-batches.

    Args:
        folder: where the shards lie; `python cli.py prepare` writes them.
        train: what to train on: a sub-folder of `folder` (`large`, `small`), a file or a glob of shards.
        validation: what to validate on, likewise.
        batch_size: sequences per optimizer step, over all ranks and micro-batches.
        micro_batch_size: sequences that one device takes at a time; the accumulation follows from it. `auto` is the
            largest number that divides the batch and is expected to fit the device, or that of the checkpoint from
            which the run goes on, where it does both; the LightningModule's `memory` is asked. Where nothing is
            trained, `auto` is 16.
        validation_interval: optimizer steps between two validations; must divide `steps_per_generation`.
        validation_tokens: tokens of a validation during training, from the beginning of the part.
        full_validation_tokens: tokens of the validation at the end of a generation, from the beginning of the part.
        tokenizer: tokenizer of shards that have no manifest beside them.
        seed: of the order in which windows are read.
        block_size: tokens of a window; the model's context.
        steps_per_generation: optimizer steps of a generation, after which the validation is full.
    """

    def __init__(
        self,
        *,
        folder: str = "data/fineweb",
        train: str = "large",
        validation: str = "validation",
        batch_size: int = 512,
        micro_batch_size: int | Literal["auto"] = "auto",
        validation_interval: int = 250,
        validation_tokens: int = 1_638_400,
        full_validation_tokens: int = 10_485_760,
        tokenizer: str = "gpt2",
        seed: int = 0,
        block_size: int = 1024,
        steps_per_generation: int = 7000,
    ) -> None:
        super().__init__()
        if not 0 < validation_tokens <= full_validation_tokens:
            raise ValueError(
                f"expected 0 < validation_tokens <= full_validation_tokens, found {validation_tokens:,} and "
                f"{full_validation_tokens:,}"
            )
        if seed < 0:
            raise ValueError(f"the seed must not be negative, found {seed}")
        self.save_hyperparameters()
        self.part: Part | None = None
        self.shards: dict[str, TokenShards] = {}
        self.micro_batch_size = 0  # until `setup`

    def setup(self, stage: str) -> None:
        """Open and check the shards; divide the batch; tell the trainer its accumulation and validation interval."""
        if self.shards:
            return
        hp, trainer = self.hparams, self.trainer
        assert trainer is not None
        parts = {}
        for name in ("train", "validation") if stage == "fit" else ("validation",):
            paths = find_shards(hp["folder"], hp[name])
            parts[name] = describe_part(paths, hp["tokenizer"])
            self.shards[name] = TokenShards(paths, hp["block_size"])
        self.part = self._check(parts)
        self.validation_fingerprint = parts["validation"].fingerprint
        if stage == "fit":
            if trainer.accumulate_grad_batches != 1 or trainer.val_check_interval != 1.0:
                raise ValueError(
                    "trainer.accumulate_grad_batches and trainer.val_check_interval count micro-batches and follow "
                    "from the batch: leave them out, and set --data.micro_batch_size and --data.validation_interval"
                )
            if hp["validation_interval"] < 1 or hp["steps_per_generation"] % hp["validation_interval"]:
                raise ValueError(
                    f"a generation of {hp['steps_per_generation']} steps is not a whole number of validation intervals "
                    f"of {hp['validation_interval']}: set --data.validation_interval to a divisor of it"
                )
        if hp["micro_batch_size"] != "auto":
            self._divide(hp["micro_batch_size"])
        elif stage != "fit":
            self._divide(VALIDATED_AT_ONCE)
        else:
            candidates = micro_batch_sizes(hp["batch_size"], trainer.world_size)
            if not candidates:
                accumulation(hp["batch_size"], 1, trainer.world_size)  # says why
            self._divide(trainer.lightning_module.memory.largest_micro_batch(candidates))

    def _divide(self, micro_batch_size: int) -> None:
        """Take micro-batches of so many sequences, and tell the trainer what follows from that."""
        hp, trainer = self.hparams, self.trainer
        assert trainer is not None
        self.micro_batch_size = micro_batch_size
        if "train" not in self.shards:
            return
        steps = accumulation(hp["batch_size"], micro_batch_size, trainer.world_size)
        trainer.accumulate_grad_batches = steps
        if not getattr(trainer, "fast_dev_run", False):
            trainer.val_check_interval = hp["validation_interval"] * steps

    def smaller_micro_batches(self) -> list[int]:
        """Numbers below the present one that divide the batch, in ascending order."""
        assert self.trainer is not None
        divisors = micro_batch_sizes(self.hparams["batch_size"], self.trainer.world_size)
        return [each for each in divisors if each < self.micro_batch_size]

    def state_dict(self) -> dict[str, Any]:
        """What was read, and how it was divided, for whoever resumes."""
        assert self.part is not None
        assert self.trainer is not None
        return {
            "fingerprint": self.part.fingerprint,
            "validation_fingerprint": self.validation_fingerprint,
            "world_size": self.trainer.world_size,
            "micro_batch_size": self.micro_batch_size,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Refuse other shards; go on with the micro-batch of before if none was asked for; else say so."""
        now = self.state_dict()
        for part, key in (("training", "fingerprint"), ("validation", "validation_fingerprint")):
            if state[key] != now[key]:
                raise ShardError(
                    f"the run was begun on {part} shards with fingerprint {state[key]}, those in "
                    f"{self.hparams['folder']} have {now[key]}: give it the same data, or another --run folder"
                )
        before = state["micro_batch_size"]
        if self.hparams["micro_batch_size"] == "auto" and before != self.micro_batch_size:
            assert self.trainer is not None
            divides = before in micro_batch_sizes(self.hparams["batch_size"], self.trainer.world_size)
            if divides and self.trainer.lightning_module.memory.fits(before):
                rank_zero_info(f"the run goes on with micro-batches of {before}, as its checkpoint did")
                self._divide(before)
                now = self.state_dict()
        if state != now:
            rank_zero_warn(
                f"the checkpoint was written by {state['world_size']} ranks with micro-batches of "
                f"{state['micro_batch_size']}, this run has {now['world_size']} with {now['micro_batch_size']}: it "
                "reads the same sequences at every step, but rounds sums otherwise: the result is not equal bit for bit"
            )

    def _check(self, parts: dict[str, Part]) -> Part:
        hp = self.hparams
        validation = self.shards["validation"]
        windows = hp["full_validation_tokens"] // hp["block_size"]
        if windows > len(validation):
            raise ShardError(
                f"the validation part holds {len(validation) * hp['block_size']:,} tokens in whole windows, "
                f"{hp['full_validation_tokens']:,} are asked for: lower --data.full_validation_tokens (and "
                "--data.validation_tokens), or prepare more"
            )
        world = self.trainer.world_size if self.trainer else 1
        if hp["validation_tokens"] // hp["block_size"] < world:
            raise ValueError(
                f"--data.validation_tokens {hp['validation_tokens']:,} is less than one window of {hp['block_size']} "
                f"for each of {world} ranks"
            )
        if "train" not in parts:
            return parts["validation"]
        train = self.shards["train"]
        if len(train) < hp["batch_size"]:
            raise ShardError(
                f"the training part holds {len(train):,} windows of {hp['block_size']} tokens, fewer than the "
                f"{hp['batch_size']} of one global batch: prepare more, or lower --data.batch_size"
            )
        both = {path.resolve() for path in train.paths} & {path.resolve() for path in validation.paths}
        if both:
            raise ShardError(f"these shards are in training and in validation: {sorted(map(str, both))}")
        if parts["train"].tokenizer != parts["validation"].tokenizer:
            raise ShardError(
                f"training shards were written by tokenizer {parts['train'].tokenizer!r}, validation shards by "
                f"{parts['validation'].tokenizer!r}"
            )
        return replace(parts["train"], largest_token=max(part.largest_token for part in parts.values()))

    def in_full(self) -> bool:
        """Whether a validation that begins now reads the whole part: outside training, and at a generation's end."""
        trainer = self.trainer
        assert trainer is not None
        return trainer.state.fn != "fit" or trainer.global_step % self.hparams["steps_per_generation"] == 0

    def train_dataloader(self) -> TrainingWindows:
        """Endless micro-batches of this rank."""
        assert self.trainer is not None
        return TrainingWindows(
            self.shards["train"],
            micro_batch_size=self.micro_batch_size,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            seed=self.hparams["seed"],
        )

    def val_dataloader(self) -> ValidationWindows:
        """The validation part of this rank: its beginning during training, all of it at a generation's end."""
        assert self.trainer is not None
        return ValidationWindows(
            self.shards["validation"],
            quick=self.hparams["validation_tokens"] // self.hparams["block_size"],
            full=self.hparams["full_validation_tokens"] // self.hparams["block_size"],
            in_full=self.in_full,
            micro_batch_size=self.micro_batch_size,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )


def micro_batch_sizes(batch_size: int, world_size: int) -> list[int]:
    """Sequences that a rank may take at a time so that a global batch divides, in ascending order; perhaps none."""
    return [m for m in range(1, batch_size + 1) if batch_size % (m * world_size) == 0]


def accumulation(batch_size: int, micro_batch_size: int, world_size: int) -> int:
    """Micro-batches that a rank takes before an optimizer step.

    Raises:
        ValueError: with the arithmetic, if the batch does not divide.
    """
    per_round = micro_batch_size * world_size
    if min(batch_size, micro_batch_size) < 1 or batch_size % per_round:
        fitting = micro_batch_sizes(batch_size, world_size)
        advice = (
            f"--data.micro_batch_size may be {', '.join(map(str, fitting))}" if fitting else "change the batch or ranks"
        )
        raise ValueError(
            f"a global batch of {batch_size} sequences does not divide: {world_size} ranks x {micro_batch_size} = "
            f"{per_round}, and {batch_size} / {per_round} = {batch_size / max(per_round, 1):g}; {advice}"
        )
    return batch_size // per_round
