"""The LightningCLI behind the verbs fit and validate: options, defaults, and where a run goes on."""

import logging
import sys
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import strategies
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only, rank_zero_warn

from callbacks.checkpoint_io import AtomicCheckpointIO
from callbacks.generation_start import checkpoint_at_generation_start
from callbacks.generational_pruning import GenerationalPruning
from callbacks.inherit_connectome import InheritConnectome
from callbacks.keep_weights import KeepWeights
from callbacks.progress_line import ProgressLine
from callbacks.rolling_checkpoint import RollingCheckpoint
from callbacks.run_config import RunConfig
from callbacks.run_folder import RunFolder
from callbacks.run_lock import RunLock
from callbacks.run_logger import RunLogger
from callbacks.sparse_training import SparseTraining, refuse_sharding
from callbacks.throughput import Throughput
from connectome import load_connectome
from datamodules.fineweb import FineWeb
from datamodules.manifest import describe_part
from datamodules.token_shards import find_shards
from lightning_modules.language_model import LanguageModel

__all__ = ["WIRINGS", "TrainingCLI", "quieten"]

WIRINGS = (GenerationalPruning, InheritConnectome)  # imported, so that --wiring takes their short names


class TrainingCLI(LightningCLI):
    """`fit` and `validate` of a `LanguageModel` on `FineWeb`.

    Args:
        args: words of the command line, the verb first.
    """

    def __init__(self, args: Sequence[str]) -> None:
        self.verb = args[0]
        quieten()
        super().__init__(
            LanguageModel,
            FineWeb,
            save_config_callback=None,  # RunConfig does it, into the run folder
            seed_everything_default=0,
            auto_configure_optimizers=False,
            trainer_defaults={
                "max_epochs": -1,
                "check_val_every_n_epoch": None,
                "gradient_clip_val": 1.0,
                "precision": "bf16-mixed",
                "num_sanity_val_steps": 0,
                "log_every_n_steps": 10,
                "use_distributed_sampler": False,
                "enable_model_summary": False,
            },
            parser_kwargs={"prog": "cli.py"},
            args=None if list(args) == sys.argv[1:] else list(args),  # Lightning warns where both are given
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The verbs; a run finds its checkpoint itself, and an evaluation takes --model.checkpoint."""
        return {
            "fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule", "ckpt_path", "weights_only"},
            "validate": {"model", "dataloaders", "datamodule", "weights_only"},
        }

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        self._adding = subcommand  # options differ by verb, and Lightning does not say for which one they are added
        return super()._prepare_subcommand_parser(klass, subcommand, **kwargs)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Options of a run, and one source of truth for what several classes need."""
        parser.link_arguments(
            "model", "data.block_size", compute_fn=lambda model: model.config.block_size, apply_on="instantiate"
        )
        if self._adding == "validate":
            return
        parser.add_argument(
            "--run",
            type=str,
            default="runs/{arm}/seed_{seed}",
            help="Run folder: checkpoints, connectomes and curves lie in it; the same command goes on from there. "
            "{seed} and {arm} are filled in.",
        )
        parser.add_argument(
            "--generations",
            type=int,
            default=1,
            help="Generations from 0 on: 6 in the paper's outer loop; an inner loop counts as one.",
        )
        parser.add_argument("--steps_per_generation", type=int, default=7000, help="Optimizer steps of a generation.")
        parser.add_argument(
            "--generation",
            type=int | None,
            default=None,
            help="Run this one generation only, from where its parent in the run folder ended.",
        )
        parser.add_argument(
            "--parent",
            type=str | None,
            default=None,
            help="With --generation: start it from this .connectome file of its parent alone, if the run folder has "
            "no checkpoint to go on from.",
        )
        parser.add_lightning_class_args(SparseTraining, "wiring", subclass_mode=True)
        parser.add_lightning_class_args(RollingCheckpoint, "checkpoint")
        parser.add_lightning_class_args(KeepWeights, "keep")
        parser.link_arguments("steps_per_generation", "model.steps_per_generation")
        parser.link_arguments("steps_per_generation", "data.steps_per_generation")
        parser.link_arguments("steps_per_generation", "wiring.init_args.steps_per_generation")
        parser.link_arguments("seed_everything", "data.seed")
        parser.link_arguments("seed_everything", "wiring.init_args.seed")

    def before_instantiate_classes(self) -> None:
        """Fill in the run folder and how far the run goes."""
        torch.set_float32_matmul_precision("high")
        config = self.config[self.verb]
        if self.verb == "validate":
            if config.get("ckpt_path") or not config.model.checkpoint:
                raise ValueError(
                    "name what to validate with --model.checkpoint (a .ckpt or .safetensors), not --ckpt_path"
                )
            return
        wiring = config.wiring.init_args
        config.run = config.run.format(seed=config.seed_everything, arm=wiring.get("arm", "outer"))
        if config.trainer.fast_dev_run:
            self.scratch = tempfile.TemporaryDirectory(prefix="fast_dev_run_")  # removed with this object
            config.run = self.scratch.name
        if wiring.get("connectome"):
            wiring.connectome = wiring.connectome.format(seed=config.seed_everything)
        config.trainer.default_root_dir = config.run
        _check_numbers(config)
        _check_strategy(config.trainer.strategy)
        if config.trainer.max_steps == -1:
            last = config.generations if config.generation is None else config.generation + 1
            config.trainer.max_steps = config.steps_per_generation * last

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Add what every run has: its logger, its checkpoint reader, throughput and progress."""
        config = self.config[self.verb]
        settings = self._get(self.config_init, "trainer")
        environment = [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
        settings["plugins"] = [*(settings.get("plugins") or []), AtomicCheckpointIO(), *environment]
        settings["callbacks"] = [*(settings.get("callbacks") or []), Throughput(), ProgressLine()]
        if self.verb == "validate":
            settings["logger"] = False
        elif settings["logger"] is None:
            settings["logger"] = RunLogger(
                f"{config.run}/tensorboard",
                steps_per_generation=config.steps_per_generation,
                tokens_per_step=config.data.batch_size * self.model.config.block_size,
                single=config.generations == 1,
                params={"wiring": config.wiring.class_path.split(".")[-1], **config.wiring.init_args},
            )
        trainer = super().instantiate_trainer(**kwargs)
        if isinstance(trainer.strategy, DDPStrategy):
            # DDP would otherwise sort its buckets anew after the first step, and three or more ranks then sum in
            # another order: a resumed process would not repeat the bits of one that went on. A static graph would be
            # sorted anew as well, whatever else is asked for.
            trainer.strategy._ddp_kwargs["find_unused_parameters"] = True
            # A reduced gradient is then a part of its bucket. Lightning sets gradients to None after a step, so until
            # they are reduced those of several micro-batches lie beside the buckets. Zeros in place of None would stay
            # inside, but DDP divides what is inside by the number of ranks, and multiplies what it copies in by the
            # inverse: on three ranks the first step after a resume would not repeat the bits.
            trainer.strategy._ddp_kwargs["gradient_as_bucket_view"] = True
        return trainer

    def fit(self, model: LanguageModel, datamodule: FineWeb) -> None:
        """Train from where the run folder stands: afresh, or from its newest good checkpoint."""
        config = self.config[self.verb]
        folder = RunFolder(config.run)
        leads = rank_zero_only.rank == 0
        with RunLock(folder) if leads else nullcontext():
            folder.refuse_foreign_checkpoints()
            RunConfig(folder.root / "config.yaml").settle(self.config_dump, begun=folder.begun, write=leads)
            wiring = SparseTraining.of(self.trainer)
            finished = wiring.finished_file(folder, self.trainer.max_steps) if wiring else None
            if finished and finished.is_file():
                rank_zero_info(f"finished: {finished} is there")
                return
            checkpoint = self._starting_point(folder, leads)
            try:
                self.trainer.fit(model, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
            except torch.OutOfMemoryError as error:
                message = model.memory.exhausted(datamodule.micro_batch_size, datamodule.smaller_micro_batches())
                raise RuntimeError(message) from error

    def validate(self, model: LanguageModel, datamodule: FineWeb, **_: Any) -> None:
        """Next-token loss on the validation part: its beginning, and all of it."""
        self.trainer.validate(model, datamodule=datamodule)

    def _starting_point(self, folder: RunFolder, leads: bool) -> Path | None:
        """The checkpoint to go on from; None to begin. With --parent it may have to be made."""
        config = self.config[self.verb]
        checkpoint = folder.newest_checkpoint(most=self.trainer.max_steps)
        if checkpoint is None and folder.checkpoints() and min(folder.checkpoints()) > self.trainer.max_steps:
            raise FileExistsError(
                f"{folder.root} has come past step {self.trainer.max_steps:,}, where this run is to end, and keeps no "
                f"checkpoint before {min(folder.checkpoints()):,}: choose another folder with --run"
            )
        first = config.steps_per_generation * (config.generation or 0)
        lacking = checkpoint is None or folder.step_of(checkpoint) < first
        if first and lacking and config.parent:
            checkpoint = folder.checkpoint(first)
            if leads:  # the other ranks wait for this one before they read it
                self._start_from_parent(config, checkpoint)
        elif first and lacking:
            raise FileNotFoundError(
                f"generation {config.generation} begins where its parent ended, at step {first:,}, and {folder.root} "
                f"has no checkpoint of that step or later: run --generation {config.generation - 1} first, "
                "or name the parent's file with --parent"
            )
        if checkpoint is not None:
            rank_zero_info(f"going on from {checkpoint}")
        return checkpoint

    def _start_from_parent(self, config: Any, checkpoint: Path) -> None:
        parent = load_connectome(config.parent)
        if parent.provenance.generation != config.generation - 1:
            raise ValueError(
                f"{config.parent} is what generation {parent.provenance.generation} left; generation "
                f"{config.generation} starts from that of generation {config.generation - 1}"
            )
        part = describe_part(find_shards(config.data.folder, config.data.train), config.data.tokenizer)
        origin = parent.provenance
        if (origin.tokenizer, origin.step) != (part.tokenizer, config.steps_per_generation * config.generation):
            raise ValueError(
                f"{config.parent} was left at step {origin.step} by a run on tokens of {origin.tokenizer!r}; here "
                f"generation {config.generation} begins at step {config.steps_per_generation * config.generation} on "
                f"tokens of {part.tokenizer!r}"
            )
        if (origin.data, origin.seed) != (part.fingerprint, config.seed_everything):
            rank_zero_warn(
                f"{config.parent} comes from seed {origin.seed} and shards {origin.data}, this run has seed "
                f"{config.seed_everything} and shards {part.fingerprint}: it is not that run's next generation bit "
                "for bit"
            )
        content = checkpoint_at_generation_start(
            parent,
            self.model,
            steps_per_generation=config.steps_per_generation,
            batch_size=config.data.batch_size,
        )
        AtomicCheckpointIO().save_checkpoint(content, checkpoint)


def _check_numbers(config: Any) -> None:
    """Raise ValueError for numbers with which a run would train nothing, or something else than was meant."""
    generation, generations = config.generation, config.generations
    if generations < 1 or (generation is not None and generation < 0):
        raise ValueError(f"--generations is 1 or more and --generation 0 or more, found {generations} and {generation}")
    if config.parent and not generation:
        raise ValueError("--parent goes with --generation, 1 or more: the generation that starts from it")
    if generations > 1 and config.wiring.class_path.endswith("InheritConnectome"):
        raise ValueError(f"an inner loop is one generation, found --generations {generations}")
    if config.trainer.log_every_n_steps < 1:
        raise ValueError("--trainer.log_every_n_steps is 1 or more: signals and numbers are looked at there")


def _check_strategy(strategy: Any) -> None:
    """Refuse a strategy that shards parameters by its name, before Lightning asks for the libraries that it needs."""
    if isinstance(strategy, str) and strategy in StrategyRegistry:
        refuse_sharding(StrategyRegistry[strategy]["strategy"])
    elif not isinstance(strategy, str):  # a class and its options
        refuse_sharding(getattr(strategies, strategy.class_path.split(".")[-1], DDPStrategy))


def quieten() -> None:
    """Leave out an advertisement of Lightning 2.6 and a deprecation inside it, so that our messages are read."""
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
    warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=r"The `srun` command is available on your system.*")
    warnings.filterwarnings("ignore", message=r"LightningCLI's args parameter is intended.*")  # `test NAME` takes one
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: not record.getMessage().startswith("\N{ELECTRIC LIGHT BULB} Tip")
    )
