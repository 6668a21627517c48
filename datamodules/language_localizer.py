"""The language localizer as an evaluation of its own: which units prefer sentences to lists of non-words."""

import hashlib
from typing import Any, Literal

import tiktoken

from datamodules.evaluation_data import DataSource, EvaluationData
from datamodules.localizer_stimuli import LocalizerStimuli, read_localizer
from datamodules.sentence_batches import SentenceBatches
from datamodules.tokenizer import get_tokenizer

__all__ = ["PUBLISHED_TOKENS", "Activation", "LanguageLocalizer", "localizer_source", "localizer_tokens"]

Activation = Literal["absolute", "signed"]
PUBLISHED_TOKENS = 12  # to which both published localizers cut a stimulus, which leaves 6.5 of 12 non-words


class LanguageLocalizer(EvaluationData):
    """Sentences against lists of non-words, 240 each: finds the units that respond most to language (Figure 1D).

    Args:
        folder: with the ten files `langloc_fmri_run1_stim_set1.csv` and so on.
        protocol: `paper` cuts every stimulus to its first 12 tokens, `corrected` reads the twelve words.
        activation: `absolute` compares magnitudes of activations, as the localizer that the paper cites; `signed`
            their values, as Brain-Score's.
        final_norm: take the last block's activations after the norm that precedes the head.
        batch_size: stimuli of a batch; figures do not depend on it.
        tokenizer: the model's.
        block_size: tokens of the model's context.

    Raises:
        FileNotFoundError: if there is no file of stimuli.
        ValueError: if a file is damaged.
    """

    task = "language_localizer"

    def __init__(
        self,
        *,
        folder: str = "data/langloc",
        protocol: Literal["paper", "corrected"] = "paper",
        activation: Activation = "absolute",
        final_norm: bool = False,
        batch_size: int = 64,
        tokenizer: str = "gpt2",
        block_size: int = 1024,
    ) -> None:
        super().__init__(protocol=protocol, tokenizer=tokenizer, block_size=block_size)
        self.folder = folder
        self.activation: Activation = activation
        self.final_norm = final_norm
        self.batch_size = batch_size
        self.tokens_read = PUBLISHED_TOKENS if protocol == "paper" else None

    def read(self) -> None:
        """Read and tokenise the stimuli."""
        self.stimuli = read_localizer(self.folder)
        self.texts = localizer_tokens(self.stimuli, get_tokenizer(self.tokenizer), self.tokens_read)
        self.source = DataSource("Fedorenko et al. 2010, language localizer", "", localizer_source(self.stimuli))
        self.number_of_items = len(self.texts)

    def options(self) -> dict[str, Any]:
        """The activation and the norm, where they are not the protocol's."""
        return ({} if self.activation == "absolute" else {"activation": self.activation}) | (
            {"final_norm": "true"} if self.final_norm else {}
        )

    def about(self) -> dict[str, Any]:
        """What the figures rest on."""
        return {
            "bos": False,
            "window": self.tokens_read,
            "activation": self.activation,
            "final_norm": self.final_norm,
            "sentences": sum(self.stimuli.is_sentence),
            "non_words": len(self.texts) - sum(self.stimuli.is_sentence),
        }

    def test_dataloader(self) -> SentenceBatches:
        """Batches of this rank."""
        trainer = self.trainer
        assert trainer is not None
        return SentenceBatches(
            self.texts, batch_size=self.batch_size, rank=trainer.global_rank, world_size=trainer.world_size
        )


def localizer_tokens(stimuli: LocalizerStimuli, encoding: tiktoken.Encoding, first: int | None) -> list[list[int]]:
    """Tokens of the stimuli: the `first` ones, or all."""
    return [tokens[:first] for tokens in encoding.encode_ordinary_batch(stimuli.texts)]


def localizer_source(stimuli: LocalizerStimuli) -> dict[str, str]:
    """SHA-256 of the files by their names."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in stimuli.paths}
