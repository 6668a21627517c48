"""Questions with answers to choose from, as texts to score after their contexts."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tiktoken

from datamodules.evaluation_data import EvaluationData
from datamodules.scoring_batches import Request, ScoringBatches
from datamodules.tokenizer import get_tokenizer

__all__ = ["MultipleChoiceData", "Question", "encode_jointly", "encode_separately", "stratified_subset"]

ANSWERS = 4
SEED = 0  # of the subset that a limit leaves


class Question(NamedTuple):
    """A question as a model meets it.

    Args:
        context: what is read first.
        answers: what is scored after it, each with the space that goes before it.
        options: the answers as people read them: their lengths are the cheap baselines. Under protocols that score
            letters they are other texts than `answers`.
        gold: which answer is right.
        groups: what it belongs to, by the name of the grouping, for example its subject.
    """

    context: str
    answers: tuple[str, ...]
    options: tuple[str, ...]
    gold: int
    groups: Mapping[str, str]


class MultipleChoiceData(EvaluationData):
    """Four answers to each of many questions; what is collected is a log-probability an answer.

    Args:
        limit: questions to ask, in place of all: the same subset each time, divided over `stratum` like the whole.
        batch_tokens: tokens of a batch, padding included; figures do not depend on it.
        protocol: how questions are posed.
        tokenizer: the model's.
        block_size: tokens of the model's context. Rows that exceed it lose the beginning of their context.

    Attributes:
        questions: what is asked.
        numbers: places of the questions in the data set, shape `(questions,)`.
        lengths: `tokens`, `characters` and `bytes` of what is scored, each of shape `(questions, 4)`.
        option_lengths: the same for the options as people read them; tokens with a space before them.
        unconditional: whether each answer is scored a second time, after a context that says nothing.
    """

    unconditional = False
    indifferent = "Answer:"  # the context that says nothing

    def __init__(self, *, limit: int | None, batch_tokens: int, protocol: str, tokenizer: str, block_size: int) -> None:
        super().__init__(protocol=protocol, tokenizer=tokenizer, block_size=block_size)
        if limit is not None and limit < 1:
            raise ValueError(f"--data.limit is a number of questions, found {limit}")
        self.limit = limit
        self.batch_tokens = batch_tokens

    @abstractmethod
    def pose(self, encoding: tiktoken.Encoding) -> list[Question]:
        """Read the files, set `source`, and pose all questions; `encoding` tells how long a context becomes."""

    @abstractmethod
    def stratum(self, question: Question) -> str:
        """What a limited subset has as large a share of as the whole."""

    def read(self) -> None:
        """Pose the questions, and turn them into tokens."""
        encoding = get_tokenizer(self.tokenizer)
        every = self.pose(encoding)
        if wrong := [
            number
            for number, question in enumerate(every)
            if len(question.answers) != ANSWERS or not 0 <= question.gold < ANSWERS
        ]:
            raise ValueError(f"question {wrong[0]} of {self.source.name} has not {ANSWERS} answers, one of them right")
        self.total = len(every)
        self.numbers = np.arange(len(every))
        if self.limit is not None:
            self.numbers = stratified_subset([self.stratum(question) for question in every], self.limit)
        self.questions = [every[number] for number in self.numbers]
        encode = encode_separately if self.protocol == "paper" else encode_jointly
        asked = [(question.context, answer) for question in self.questions for answer in question.answers]
        if self.unconditional:
            asked += [(self.indifferent, answer) for _, answer in asked]
        self.requests = [encode(encoding, context, answer) for context, answer in asked]
        self.number_of_items = len(self.requests)
        scored = [len(request.continuation) for request in self.requests[: ANSWERS * len(self.questions)]]
        self.lengths = _lengths([question.answers for question in self.questions], np.array(scored))
        read = [tuple(f" {option}" for option in question.options) for question in self.questions]
        tokens = [len(encoding.encode_ordinary(option)) for options in read for option in options]
        self.option_lengths = _lengths(read, np.array(tokens))
        batches = self._batches(0, 1)
        self.cut, self.long = batches.cut, batches.long

    def options(self) -> dict[str, Any]:
        """The limit, if there is one."""
        return {} if self.limit is None else {"limit": len(self.questions)}

    def about(self) -> dict[str, Any]:
        """How many questions, and how many rows did not fit into the model's context."""
        return {
            "bos": False,
            "window": self.block_size,
            "batch_tokens": self.batch_tokens,
            "rows": len(self.requests),
            "rows_cut": self.cut,
            "rows_long": self.long,
            "questions": len(self.questions),
            "questions_in_all": self.total,
            **({} if self.limit is None else {"subset_seed": SEED}),
        }

    def remarks(self) -> list[str]:
        """What a reader of the figures has to know about the questions, in plain sentences."""
        said = []
        if len(self.questions) < self.total:
            said.append(
                f"{len(self.questions):,} of {self.total:,} questions, drawn with seed {SEED}, every stratum with its "
                f"share: the standard error of an accuracy is about {0.433 / len(self.questions) ** 0.5:.4f}."
            )
        if self.cut or self.long:
            said.append(
                f"Of {len(self.requests):,} rows, {self.cut:,} exceed the model's context of {self.block_size} tokens "
                f"and lost the beginning of their context; {self.long:,} answers exceed it alone and ran in full."
            )
        return said

    def test_dataloader(self) -> ScoringBatches:
        """Batches of this rank."""
        trainer = self.trainer
        assert trainer is not None
        return self._batches(trainer.global_rank, trainer.world_size)

    def _batches(self, rank: int, world_size: int) -> ScoringBatches:
        return ScoringBatches(
            self.requests,
            block_size=self.block_size,
            token_budget=self.batch_tokens,
            rank=rank,
            world_size=world_size,
        )


def encode_separately(encoding: tiktoken.Encoding, context: str, continuation: str) -> Request:
    """Context and continuation each by itself, as llm.c and the authors do."""
    return Request(encoding.encode_ordinary(context), encoding.encode_ordinary(continuation))


def encode_jointly(encoding: tiktoken.Encoding, context: str, continuation: str) -> Request:
    """The text as a whole, cut where the context alone would end, as lm-evaluation-harness does.

    Spaces at the end of the context go to the continuation first; an empty context becomes end of text.
    """
    bare = context.rstrip()
    continuation = context[len(bare) :] + continuation
    if not bare:
        return Request([encoding.eot_token], encoding.encode_ordinary(continuation))
    border = len(encoding.encode_ordinary(bare))
    whole = encoding.encode_ordinary(bare + continuation)
    return Request(whole[:border], whole[border:])


def stratified_subset(strata: Sequence[str], size: int) -> np.ndarray:
    """Places of `size` entries, drawn with a fixed seed, in which each stratum has its share (largest remainders).

    Args:
        strata: of every entry.
        size: how many to keep; all if there are fewer.

    Returns:
        Ascending, shape `(size,)`.
    """
    if size >= len(strata):
        return np.arange(len(strata))
    rng = np.random.default_rng(SEED)
    _, member, counts = np.unique(np.asarray(strata), return_inverse=True, return_counts=True)
    share = counts * size / len(strata)
    taken = np.floor(share).astype(int)
    most = np.argsort(taken - share, kind="stable")[: size - taken.sum()]
    taken[most] += 1
    drawn = [rng.choice(np.flatnonzero(member == stratum), n, replace=False) for stratum, n in enumerate(taken)]
    return np.sort(np.concatenate(drawn))


def _lengths(texts: Sequence[Sequence[str]], tokens: np.ndarray) -> dict[str, np.ndarray]:
    """Lengths of texts that begin with a space, which counts as part of a token but not as a character."""
    return {
        "tokens": tokens.reshape(-1, ANSWERS),
        "characters": np.array([[len(text) - 1 for text in row] for row in texts]),
        "bytes": np.array([[len(text.encode()) - 1 for text in row] for row in texts]),
    }
