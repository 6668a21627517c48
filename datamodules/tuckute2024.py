"""Tuckute et al. (2024): 1,000 sentences of six words, and the language network's response to each."""

import hashlib
from pathlib import Path
from typing import Any, Literal

from datamodules.brain_responses import FILES, PUBLISHED_CEILINGS, Form, read_means, read_participants
from datamodules.evaluation_data import DataSource, EvaluationData
from datamodules.language_localizer import PUBLISHED_TOKENS, Activation, localizer_source, localizer_tokens
from datamodules.localizer_stimuli import read_localizer
from datamodules.sentence_batches import SentenceBatches
from datamodules.tokenizer import get_tokenizer

__all__ = ["FinalToken", "Tuckute2024", "sentence_tokens"]

FinalToken = Literal["as_given", "period"]


class Tuckute2024(EvaluationData):
    """1,000 sentences and the mean response of people's language network to each, in fMRI (Figure 1D of the paper).

    Args:
        folder: with the table of responses.
        protocol: `paper` scores every layer with unscaled activations and penalties of 1e-30 to 1e29; `corrected`
            scales them, with penalties of 1e-3 to 1e8.
        responses: `means` reads `bold_response_LH.csv`, means over participants, for which only the published noise
            ceiling is known; `participants` reads `brain-lang-data_participant_20230728.csv`.
        roi: region; `lang_LH_netw` is the left hemisphere's language network, the paper's target.
        final_token: `as_given`, where 838 of the sentences end in the token of a period; or `period`, which adds one
            to the others, so that the embedding of the last token says nothing: layer 0 then scores exactly 0.
        final_norm: take the last block's activations after the norm that precedes the head.
        localizer_folder: with the stimuli of the language localizer. If given, the units that prefer sentences to
            non-words are scored too: the top 1 % and 10 %, beside as many random ones.
        localizer_activation: `absolute` or `signed`, as in `language_localizer`.
        localizer_whole: read the localizer's stimuli to their end, not their first 12 tokens. By default under
            `corrected`.
        batch_size: sentences of a batch; figures do not depend on it.
        tokenizer: the model's.
        block_size: tokens of the model's context.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a table lacks what is asked for.
    """

    task = "tuckute2024"

    def __init__(
        self,
        *,
        folder: str = "data/tuckute2024",
        protocol: Literal["paper", "corrected"] = "paper",
        responses: Form = "means",
        roi: str = "lang_LH_netw",
        final_token: FinalToken = "as_given",
        final_norm: bool = False,
        localizer_folder: str | None = None,
        localizer_activation: Activation = "absolute",
        localizer_whole: bool | None = None,
        batch_size: int = 64,
        tokenizer: str = "gpt2",
        block_size: int = 1024,
    ) -> None:
        super().__init__(protocol=protocol, tokenizer=tokenizer, block_size=block_size)
        self.folder = Path(folder)
        self.form: Form = responses
        self.roi = roi
        self.final_token: FinalToken = final_token
        self.final_norm = final_norm
        self.localizer_folder = localizer_folder
        self.localizer_activation: Activation = localizer_activation
        self.usually_whole = protocol == "corrected"
        self.localizer_whole = self.usually_whole if localizer_whole is None else localizer_whole
        self.batch_size = batch_size

    def read(self) -> None:
        """Read the responses and, if asked for, the localizer's stimuli, and tokenise both."""
        path = self.folder / FILES[self.form]
        self.responses = (read_means if self.form == "means" else read_participants)(path, self.roi)
        self.published_ceiling = PUBLISHED_CEILINGS.get(self.roi) if self.form == "means" else None
        encoding = get_tokenizer(self.tokenizer)
        period = encoding.encode_ordinary(".") if self.final_token == "period" else []
        self.texts = sentence_tokens(encoding.encode_ordinary_batch(self.responses.sentences), period)
        digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
        self.is_sentence: list[bool] = []  # of the localizer's stimuli, which follow the sentences as further texts
        if self.localizer_folder is not None:
            stimuli = read_localizer(self.localizer_folder)
            cut = None if self.localizer_whole else PUBLISHED_TOKENS
            self.texts += localizer_tokens(stimuli, encoding, cut)
            self.is_sentence = stimuli.is_sentence
            digests |= localizer_source(stimuli)
        self.source = DataSource("Tuckute et al. 2024", self.form, digests)
        self.number_of_items = len(self.texts)

    def options(self) -> dict[str, Any]:
        """What was chosen, where it is not the protocol's."""
        chosen: dict[str, Any] = {
            "responses": self.form if self.form != "means" else None,
            "roi": self.roi if self.roi != "lang_LH_netw" else None,
            "final_token": self.final_token if self.final_token != "as_given" else None,
            "final_norm": "true" if self.final_norm else None,
        }
        if self.localizer_folder is not None:
            signed = self.localizer_activation == "signed"
            chosen["localizer_activation"] = self.localizer_activation if signed else None
            other = self.localizer_whole != self.usually_whole
            chosen["localizer_whole"] = str(self.localizer_whole).lower() if other else None
        return {name: value for name, value in chosen.items() if value is not None}

    def about(self) -> dict[str, Any]:
        """What the figures rest on."""
        return {
            "bos": False,
            "window": None,
            "roi": self.roi,
            "responses": self.form,
            "final_token": self.final_token,
            "final_norm": self.final_norm,
            "localizer": self.localizer_activation if self.is_sentence else None,
        }

    def test_dataloader(self) -> SentenceBatches:
        """Batches of this rank."""
        trainer = self.trainer
        assert trainer is not None
        return SentenceBatches(
            self.texts, batch_size=self.batch_size, rank=trainer.global_rank, world_size=trainer.world_size
        )


def sentence_tokens(sentences: list[list[int]], ending: list[int]) -> list[list[int]]:
    """Sentences of which all end in the token `ending`, appended where it is not there; as they are if it is empty."""
    return [tokens if tokens[len(tokens) - len(ending) :] == ending else [*tokens, *ending] for tokens in sentences]
