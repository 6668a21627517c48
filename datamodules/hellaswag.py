"""HellaSwag: which of four endings goes on with a description (Zellers et al., 2019)."""

import re
from dataclasses import replace
from typing import Any, Literal

import tiktoken

from datamodules.multiple_choice import MultipleChoiceData, Question
from datamodules.question_files import Row, fetch_rows, find_files, read_rows

__all__ = ["HellaSwag", "harness_text"]

HUB = "Rowan/hellaswag"
FILES = ("hellaswag_val.jsonl", "hellaswag_val.parquet", "validation-*.parquet", "data/validation-*.parquet")


class HellaSwag(MultipleChoiceData):
    """The 10,042 validation questions of HellaSwag: which ending goes on with a description.

    Args:
        folder: with `hellaswag_val.jsonl` of the original repository, `hellaswag_val.parquet` or the Hub's
            `validation-*.parquet`. By default the data set is fetched from the Hub, `Rowan/hellaswag`.
        revision: commit, tag or branch on the Hub.
        protocol: `paper` scores the text as it stands, tags included, as the authors' script and llm.c do; `harness`
            puts the activity before it and cleans it, as lm-evaluation-harness does.
        limit: questions to ask, in place of all: the same subset each time, with each right answer's share.
        batch_tokens: tokens of a batch, padding included; figures do not depend on it.
        tokenizer: the model's.
        block_size: tokens of the model's context. Rows that exceed it lose the beginning of their context.

    Raises:
        FileNotFoundError: if there are no such files, or the Hub cannot be reached.
        ValueError: if they hold something else.
    """

    task = "hellaswag"

    def __init__(
        self,
        *,
        folder: str | None = None,
        revision: str = "main",
        protocol: Literal["paper", "harness"] = "paper",
        limit: int | None = None,
        batch_tokens: int = 16_384,
        tokenizer: str = "gpt2",
        block_size: int = 1024,
    ) -> None:
        super().__init__(
            limit=limit, batch_tokens=batch_tokens, protocol=protocol, tokenizer=tokenizer, block_size=block_size
        )
        self.folder, self.revision = folder, revision

    def pose(self, encoding: tiktoken.Encoding) -> list[Question]:
        """All questions, in the order of the file."""
        if self.folder is None:
            rows, self.source = fetch_rows(HUB, None, "validation", self.revision)
        else:
            rows, source = read_rows(find_files(self.folder, FILES))
            self.source = replace(source, name="HellaSwag")
        self.cleaned = bool(rows) and "ctx_b" not in rows[0]
        try:
            return [self._question(row) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{', '.join(self.source.sha256)} has not the fields of HellaSwag's validation set "
                f"({type(error).__name__}: {error})"
            ) from error

    def stratum(self, question: Question) -> str:
        """The right answer."""
        return str(question.gold)

    def about(self) -> dict[str, Any]:
        """Also whether tags had been removed from the text before it was read."""
        return super().about() | {"text": "cleaned" if self.cleaned else "original"}

    def remarks(self) -> list[str]:
        """Also whether the text is the authors'."""
        cleaned = (
            "The file holds text whose tags ([header], [title], [step]) had been removed: the original is scored "
            "with them under `paper`, and with the second sentence capitalised under `harness`."
        )
        return [*super().remarks(), *([cleaned] if self.cleaned else [])]

    def _question(self, row: Row) -> Question:
        endings = tuple(row["endings"])
        context = row["ctx"]
        if self.protocol == "harness":
            if not self.cleaned:
                context = row["ctx_a"] + " " + row["ctx_b"].capitalize()
            context = harness_text(row["activity_label"] + ": " + context)
            endings = tuple(map(harness_text, endings))
        groups = {"split_type": row["split_type"]} if "split_type" in row else {}
        if "source_id" in row:
            groups["source"] = row["source_id"].partition("~")[0]
        return Question(context, tuple(f" {ending}" for ending in endings), endings, int(row["label"]), groups)


def harness_text(text: str) -> str:
    """Text without WikiHow's tags, as lm-evaluation-harness cleans it; the order of the steps matters."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")
