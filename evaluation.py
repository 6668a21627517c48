"""The LightningCLI behind the verb test: one evaluation of one model as a Lightning test loop."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from callbacks.evaluation_files import EvaluationFiles
from callbacks.progress_line import ProgressLine
from datamodules.evaluation_data import EvaluationData
from lightning_modules.evaluation import Evaluation
from training import quieten

__all__ = ["EVALUATIONS", "EvaluationCLI", "classes_of", "overview"]

EVALUATIONS = {  # by the word that is typed: what is computed, and on which data
    "next_word_loss": (
        "lightning_modules.next_word_loss.NextWordLoss",
        "datamodules.fineweb_validation.FineWebValidation",
    ),
    "hellaswag": ("lightning_modules.multiple_choice.MultipleChoice", "datamodules.hellaswag.HellaSwag"),
    "mmlu": ("lightning_modules.multiple_choice.MultipleChoice", "datamodules.mmlu.MMLU"),
    "natural_stories": (
        "lightning_modules.reading_times.ReadingTimesCorrelation",
        "datamodules.natural_stories.NaturalStories",
    ),
    "tuckute2024": (
        "lightning_modules.brain_encoding.BrainEncoding",
        "datamodules.tuckute2024.Tuckute2024",
    ),
    "language_localizer": (
        "lightning_modules.unit_localization.UnitLocalization",
        "datamodules.language_localizer.LanguageLocalizer",
    ),
}


def overview() -> str:
    """The evaluations that can be typed, and what each is in a line."""
    width = max(map(len, EVALUATIONS))
    lines = [f"  {name.ljust(width)}  {(classes_of(name)[1].__doc__ or '').splitlines()[0]}" for name in EVALUATIONS]
    return "\n".join(
        [
            "usage: cli.py test NAME --model.checkpoint CHECKPOINT, with NAME one of",
            *lines,
            "and cli.py test NAME --help",
        ]
    )


def classes_of(name: str) -> tuple[type[Evaluation], type[EvaluationData]]:
    """LightningModule and DataModule of an evaluation; imported only now, since some take seconds.

    Raises:
        ValueError: if no evaluation has that name.
    """
    if name not in EVALUATIONS:
        raise ValueError(f"there is no evaluation {name!r}; known: {', '.join(EVALUATIONS)}")
    module, data = (
        getattr(import_module(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in EVALUATIONS[name]
    )
    return module, data


class EvaluationCLI(LightningCLI):
    """`test NAME`: the model is a checkpoint, the data are the evaluation's own.

    Args:
        args: words of the command line after the verb, the name of the evaluation first.
        checkpoints: by step, weights to evaluate one after the other on the same data, which are read only once; by
            default only those of `--model.checkpoint`.
        again: evaluate also what has its result already, from the same data.

    Raises:
        ValueError: if no evaluation has that name.
    """

    def __init__(
        self, args: Sequence[str], *, checkpoints: Mapping[int, Path] | None = None, again: bool = True
    ) -> None:
        name, *rest = args
        self.checkpoints, self.again = checkpoints or {}, again
        quieten()
        super().__init__(
            *classes_of(name),
            save_config_callback=None,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            trainer_defaults={
                "precision": "32-true",
                "logger": False,
                "use_distributed_sampler": False,
                "enable_model_summary": False,
                "enable_checkpointing": False,
            },
            parser_kwargs={"prog": f"cli.py test {name}"},
            args=["test", *rest] if ["test", *rest] != sys.argv[1:] else None,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Evaluations take --model.checkpoint; Lightning's own options for checkpoints are left out."""
        return {"test": {"model", "dataloaders", "datamodule", "weights_only", "verbose"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The data follow the model's tokenizer and context, the model the data's protocol."""
        parser.link_arguments("data.protocol", "model.protocol")
        parser.link_arguments(
            "model", "data.tokenizer", compute_fn=lambda model: model.tokenizer, apply_on="instantiate"
        )
        parser.link_arguments(
            "model", "data.block_size", compute_fn=lambda model: model.config.block_size, apply_on="instantiate"
        )
        parser.add_lightning_class_args(EvaluationFiles, "files")

    def before_instantiate_classes(self) -> None:
        """Refuse Lightning's --ckpt_path, which would read the training's hyper-parameters into the evaluation."""
        torch.set_float32_matmul_precision("high")
        if self.config["test"].get("ckpt_path"):
            raise ValueError("name what to evaluate with --model.checkpoint, not --ckpt_path")

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Add the progress line."""
        settings = self._get(self.config_init, "trainer")
        settings["callbacks"] = [*(settings.get("callbacks") or []), ProgressLine()]
        return super().instantiate_trainer(**kwargs)

    def test(self, model: Evaluation, datamodule: EvaluationData, **_: Any) -> None:
        """Run the loop on each of the weights; the files are the result."""
        if not self.checkpoints:
            self.trainer.test(model, datamodule=datamodule, verbose=False)
            return
        files = next(callback for callback in self.trainer.callbacks if isinstance(callback, EvaluationFiles))
        datamodule.setup("test")
        for step, checkpoint in self.checkpoints.items():
            if not self.again and files.are_there(str(checkpoint), step, datamodule):
                continue
            if str(checkpoint) != model.checkpoint:
                model = type(model)(**{**self.config["test"].model.as_dict(), "checkpoint": str(checkpoint)})
            if (model.tokenizer, model.config.block_size) != (datamodule.tokenizer, datamodule.block_size):
                raise ValueError(
                    f"{checkpoint} is of tokenizer {model.tokenizer!r} and context {model.config.block_size}, the "
                    f"weights before it of {datamodule.tokenizer!r} and {datamodule.block_size}"
                )
            self.trainer.test(model, datamodule=datamodule, verbose=False)
