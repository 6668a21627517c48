"""Natural Stories: ten stories that people read word by word (Futrell et al., 2021)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from datamodules.evaluation_data import DataSource, EvaluationData
from datamodules.reading_times_table import (
    FILES,
    ReadingTimes,
    Release,
    read_assembly,
    read_participants,
    read_word_means,
    realigned,
)
from datamodules.scoring_batches import ScoringBatch, ScoringBatches
from datamodules.surprisal_windows import Window, story_windows, tokenize_story, whole_story
from datamodules.tokenizer import get_tokenizer
from datamodules.word_predictors import read_gpt3, read_rarity

__all__ = ["NaturalStories"]

Alignment = Literal["released", "realigned"]
FREQUENCIES, GPT3 = "freqs-1.tsv", "all_stories_gpt3.csv"


class NaturalStories(EvaluationData):
    """Ten stories, 10,256 words, and how long people took to read each: self-paced reading (Figure 1C of the paper).

    Frequencies (`freqs-1.tsv`) and GPT-3's surprisals (`all_stories_gpt3.csv`), both of the corpus, serve as controls
    and baselines where they lie in the folder.

    Args:
        folder: with the files of the corpus's folder `naturalstories_RTS`.
        protocol: `paper` reads each story in one pass, beyond the model's context, with nothing before it: its first
            token has no probability, and a first word of one token is left out. `corrected` puts end of text before
            each story and reads windows of the model's context that overlap by half.
        release: which times. `2021` and `2016` are means over readers, `all_stories.tok` with `processed_wordinfo.tsv`
            or `processed_wordinfo_2016.tsv`, which differ in story 3; `participants` is `processed_RTs.tsv`;
            `assembly` is Brain-Score's `assy_Futrell2018.nc`, which the paper reads, and needs h5py.
        alignment: `realigned` moves every time to the next word, since all that was released before May 2025 is
            misaligned by one; `released` takes the times as they are. By default `released` under `paper` and for
            `processed_RTs.tsv`, which is right since then, and `realigned` otherwise.
        drop_edges: leave out the first and last word of every story, which are read much more slowly.
        batch_tokens: tokens of a batch, padding included; figures do not depend on it.
        tokenizer: the model's.
        block_size: tokens of the model's context.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if files do not belong together.
        RuntimeError: if `assembly` is asked for without h5py.
    """

    task = "natural_stories"

    def __init__(
        self,
        *,
        folder: str = "data/natural_stories",
        protocol: Literal["paper", "corrected"] = "paper",
        release: Release = "2021",
        alignment: Alignment | None = None,
        drop_edges: bool = False,
        batch_tokens: int = 4096,
        tokenizer: str = "gpt2",
        block_size: int = 1024,
    ) -> None:
        super().__init__(protocol=protocol, tokenizer=tokenizer, block_size=block_size)
        self.folder = Path(folder)
        self.release: Release = release
        self.usual_alignment = "released" if protocol == "paper" or release == "participants" else "realigned"
        self.alignment = alignment or self.usual_alignment
        self.drop_edges = drop_edges
        self.batch_tokens = batch_tokens

    def read(self) -> None:
        """Read the tables, and cut the stories into tokens and windows."""
        self.times = self._times()
        self.rarity = self._predictor(FREQUENCIES, read_rarity)
        self.gpt3 = self._predictor(GPT3, read_gpt3)
        files = [*FILES[self.release], FREQUENCIES, GPT3]
        digests = {
            name: hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
            for name in files
            if (self.folder / name).is_file()
        }
        self.source = DataSource("Natural Stories", self.release, digests)
        encoding = get_tokenizer(self.tokenizer)
        self.vocabulary = encoding.n_vocab
        self.windows: list[Window] = []  # their tokens numbered over all stories
        word_of_token: list[np.ndarray] = []
        tokens = 0
        for story in np.unique(self.times.story):
            places = np.flatnonzero(self.times.story == story)
            ids, word = tokenize_story([self.times.words[place] for place in places], encoding)
            windows = (
                whole_story(ids.tolist())
                if self.protocol == "paper"
                else story_windows(ids.tolist(), beginning=encoding.eot_token, size=self.block_size)
            )
            self.windows += [Window(request, tokens + first) for request, first in windows]
            word_of_token.append(places[word])
            tokens += len(ids)
        self.word_of_token = np.concatenate(word_of_token)
        self.number_of_items = sum(len(request.continuation) for request, _ in self.windows)

    def options(self) -> dict[str, Any]:
        """Release, alignment and the words left out, where they are not the protocol's."""
        chosen: dict[str, Any] = {"release": self.release} if self.release != "2021" else {}
        if self.alignment != self.usual_alignment:
            chosen["alignment"] = self.alignment
        return chosen | ({"drop_edges": "true"} if self.drop_edges else {})

    def about(self) -> dict[str, Any]:
        """What the figures rest on."""
        corrected = self.protocol == "corrected"
        return {
            "bos": corrected,
            "window": self.block_size if corrected else None,
            "stride": self.block_size // 2 if corrected else None,
            "batch_tokens": self.batch_tokens,
            "alignment": self.alignment,
            "release": self.release,
            "tokens": len(self.word_of_token),
            "words": len(self.times),
            "rows": len(self.windows),
            "rows_long": sum(len(row.context) + len(row.continuation) - 1 > self.block_size for row, _ in self.windows),
        }

    def test_dataloader(self) -> "WindowsToScore":
        """Batches of this rank."""
        trainer = self.trainer
        assert trainer is not None
        return WindowsToScore(
            ScoringBatches(
                [request for request, _ in self.windows],
                block_size=self.block_size,
                token_budget=self.batch_tokens,
                rank=trainer.global_rank,
                world_size=trainer.world_size,
            )
        )

    def _times(self) -> ReadingTimes:
        name = FILES[self.release][-1]
        if self.release == "assembly":
            times = read_assembly(self.folder / name)
        elif self.release == "participants":
            times = read_participants(self.folder, name)
        else:
            times = read_word_means(self.folder, name)
        return realigned(times) if self.alignment == "realigned" else times

    def _predictor(self, name: str, read: Any) -> np.ndarray | None:
        path = self.folder / name
        return read(path, self.times) if path.is_file() else None


class WindowsToScore:
    """Batches whose tensors Lightning moves to the device.

    Args:
        batches: of this rank.
    """

    def __init__(self, batches: ScoringBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[ScoringBatch]:
        return iter(self.batches)
