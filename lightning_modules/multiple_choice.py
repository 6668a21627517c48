"""Accuracy on questions with answers to choose from, as its own test loop (Kotar & Tuckute 2025, Figure 1B)."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from scipy.stats import binomtest

from datamodules.multiple_choice import ANSWERS, MultipleChoiceData
from datamodules.scoring_batches import ScoringBatch
from lightning_modules.evaluation import Evaluation, Items
from lightning_modules.metric import Metric, accuracy
from lightning_modules.scorer import score

__all__ = ["MultipleChoice", "cheap_answers"]

CHANCE = 1 / ANSWERS
LEVEL = 0.05
SUBJECT = "subject"  # a grouping too fine to be listed: its groups are averaged


class MultipleChoice(Evaluation):
    """Share of questions whose right answer gets the highest score, for every way of scoring at once.

    The score of an answer is its log-probability after the question: `acc_sum` takes it as it is, as the paper's
    figures seem to; `acc_token`, `acc_char` and `acc_byte` divide it by the answer's length; `acc_pmi`, if asked for,
    subtracts its log-probability after a context that says nothing. Of equal scores the first one counts. Where the
    letters of the answers are scored, all of these are the same, and only `acc_sum` is given.

    Args:
        checkpoint: weights to evaluate: a run's .ckpt or .safetensors.
        tokenizer: of the model, `gpt2` or `bytes`, where its checkpoint does not say.
        protocol: as the DataModule's; linked to it on the command line.
    """

    @property
    def data(self) -> MultipleChoiceData:
        """The questions."""
        return self.trainer.datamodule

    def test_step(self, batch: ScoringBatch, batch_idx: int) -> None:
        """Log-probabilities of the batch's answers."""
        scores = score(self.net, batch)
        self.collect({"item": scores.requests, "log_probability": scores.log_probability})

    def assemble(self, collected: Items) -> Items:
        """A row a question; what belongs to its answers is a list of four."""
        data = self.data
        nats = collected["log_probability"].reshape(-1, len(data.questions), ANSWERS)  # (1 or 2, questions, 4)
        items = {
            "item": data.numbers,
            "gold": np.array([question.gold for question in data.questions]),
            **{
                name: np.array([question.groups[name] for question in data.questions])
                for name in data.questions[0].groups
            },
            "log_probability": nats[0],
            **data.lengths,
        }
        if data.unconditional:
            items["log_probability_alone"] = nats[1]
        for name, scores in _scores(items, letters=data.protocol == "harness" and data.task == "mmlu").items():
            items[f"correct_{name}"] = scores.argmax(axis=1) == items["gold"]
        return items

    def metrics(self, items: Items) -> list[Metric]:
        """Accuracies; those of groups of questions for `acc_sum` only."""
        cheap = cheap_answers(items["gold"], self.data.option_lengths)
        overall = []
        for name in [column.removeprefix("correct_") for column in items if column.startswith("correct_")]:
            scores = _scores(items)[name]
            overall.append(self._accuracy(f"acc_{name}", items, cheap, name, _ties(scores, items["gold"])))
        groups = [column for column in self.data.questions[0].groups if column != SUBJECT]
        parts = [
            self._part(items, cheap, column, str(group)) for column in groups for group in np.unique(items[column])
        ]
        macro = [self._macro(items, cheap)] if SUBJECT in items else []
        self.remarks += [*self.data.remarks(), _verdict(overall, items, cheap)]
        return [*overall, *macro, *parts]

    def _accuracy(
        self,
        name: str,
        items: Items,
        cheap: Items,
        score: str,
        details: dict[str, float],
        where: np.ndarray | None = None,
    ) -> Metric:
        kept = np.ones(len(items["gold"]), bool) if where is None else where
        baselines = {"chance": CHANCE, **{answer: float(right[kept].mean()) for answer, right in cheap.items()}}
        plain = accuracy(name, items[f"correct_{score}"][kept], baselines, f"correct_{score}")
        return Metric(**{**vars(plain), "details": details})

    def _part(self, items: Items, cheap: Items, column: str, group: str) -> Metric:
        """Accuracy in one group."""
        where = items[column] == group
        whole = self._accuracy(f"acc_sum/{group}", items, cheap, "sum", {}, where)
        return Metric(**{**vars(whole), "statistic": {**whole.statistic, "where": [column, group]}})

    def _macro(self, items: Items, cheap: Items) -> Metric:
        """Mean of the subjects' accuracies, every subject with the same weight."""
        places = [np.flatnonzero(items[SUBJECT] == subject) for subject in np.unique(items[SUBJECT])]

        def mean(right: np.ndarray) -> float:
            return float(np.mean([right[place].mean() for place in places]))

        right = items["correct_sum"].astype(float)
        variances = [right[place].var(ddof=1) / len(place) for place in places if len(place) > 1]
        value = mean(right)
        stderr = sqrt(sum(variances)) / len(places) if len(variances) == len(places) else None
        return Metric(
            name="acc_sum/macro",
            value=value,
            n=len(right),
            stderr=stderr,
            ci95=(value - 1.96 * stderr, value + 1.96 * stderr) if stderr is not None else None,
            ci_method="normal, over questions within subjects" if stderr is not None else "",
            baselines={"chance": CHANCE, **{answer: mean(chosen) for answer, chosen in cheap.items()}},
            statistic={"kind": "mean_by_group", "column": "correct_sum", "group": SUBJECT},
        )


def cheap_answers(gold: np.ndarray, lengths: Items) -> Items:
    """Whether choices that need no model are right: always the same place, the shortest or the longest answer.

    Args:
        gold: right answers, shape `(questions,)`.
        lengths: `tokens` and `characters` of the answers, each of shape `(questions, 4)`. Of equally long ones the
            first counts.

    Returns:
        By name, bool, each of shape `(questions,)`.
    """
    chosen = {f"always {letter}": np.full(len(gold), place) for place, letter in enumerate("ABCD"[:ANSWERS])}
    for unit in ("tokens", "characters"):
        chosen[f"shortest in {unit}"] = lengths[unit].argmin(axis=1)
        chosen[f"longest in {unit}"] = lengths[unit].argmax(axis=1)
    return {name: place == gold for name, place in chosen.items()}


def _scores(items: Items, *, letters: bool = False) -> Items:
    """Scores of all answers by the name of the normalisation, each of shape `(questions, 4)`."""
    nats = items["log_probability"]
    scores = {"sum": nats}
    if not letters:
        for name, unit in {"token": "tokens", "char": "characters", "byte": "bytes"}.items():
            scores[name] = nats / np.maximum(items[unit], 1)
    if "log_probability_alone" in items:
        scores["pmi"] = nats - items["log_probability_alone"]
    return scores


def _ties(scores: np.ndarray, gold: np.ndarray) -> dict[str, float]:
    """How many questions have several best answers, and the accuracy if these share the point."""
    best = scores == scores.max(axis=1, keepdims=True)
    shared = best[np.arange(len(gold)), gold] / best.sum(axis=1)
    return {"ties": int((best.sum(axis=1) > 1).sum()), "value_ties_split": float(shared.mean())}


def _verdict(metrics: Sequence[Metric], items: Items, cheap: Items) -> str:
    """One sentence about what the accuracies exceed, by one-sided exact tests over questions."""
    level = LEVEL / len(metrics)
    best = max(cheap, key=lambda name: float(cheap[name].mean()))
    above_chance, above_cheap = [], []
    for metric in metrics:
        right = items[metric.statistic["column"]]
        only_model, only_cheap = int((right & ~cheap[best]).sum()), int((~right & cheap[best]).sum())
        if binomtest(int(right.sum()), len(right), CHANCE, alternative="greater").pvalue < level:
            above_chance.append(metric.name)
        if only_model > only_cheap and (
            binomtest(only_model, only_model + only_cheap, 0.5, alternative="greater").pvalue < level
        ):
            above_cheap.append(metric.name)
    tests = "this" if len(metrics) == 1 else f"each of these {len(metrics)}"
    return (
        f"Above chance ({CHANCE}): {', '.join(above_chance) or 'nothing'}. Above the best choice that needs no model "
        f"({best}, {cheap[best].mean():.4f}): {', '.join(above_cheap) or 'nothing'}. One-sided exact tests over "
        f"questions, {tests} at the level {level:.4g}; another seed of training would vary beyond that."
    )
